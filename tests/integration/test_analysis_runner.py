"""The analysis-runner's shell on a memory cluster and a memory bus."""

from __future__ import annotations

import asyncio
import base64
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from analysis_runner.core.samples import Answer, Judged, MeasurementError, Samples, Unfinished
from analysis_runner.providers.provider import InstantProvider, Provider, RunContext
from analysis_runner.runner import AnalysisRunner
from analysis_runner.settings import RunnerSettings
from headrace.errors import NotFound, Unavailable
from headrace.events.analysis import AnalysisJudged, AnalysisMeasured
from headrace.events.envelope import Event, decode
from headrace.events.rollout import AnalysisRequested
from headrace.events.topics import KEY_ANNOTATION, TopicSettings, topics
from headrace.expression.values import floats
from headrace.kubernetes.resources import ANALYSIS_RUNS, EVENTS, SECRETS, Manifest
from headrace.model.analysis import AnalysisPhase, Measurement, Metric
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster, Request
from headrace.runtime.component import Ports
from headrace.runtime.lease import Terms
from headrace.runtime.metrics import Metrics
from headrace.runtime.ownership import Membership, Ownership
from headrace.runtime.recorder import Recorder
from headrace.runtime.service import Part, Service, ownership_part

TOPICS = topics(TopicSettings("test"))
WAIT_SECONDS = 5.0


class Script(InstantProvider):
    """Answers each query with what the test has laid out for it, 1.0 when nothing is.

    Attributes:
        asked: The queries in order.
        answers: What to answer, by query; the last one stays.
        gates: A query with a gate waits for it.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: defaultdict[str, deque[Answer | Exception]] = defaultdict(deque)
        self.gates: dict[str, asyncio.Event] = {}
        self.running = 0
        self.running_max = 0

    def say(self, query: str, *answers: float | Answer | Exception) -> None:
        self.answers[query].extend(
            Samples(floats([each]), f"[{each:g}]") if isinstance(each, float) else each
            for each in answers
        )

    def address(self, metric: Metric) -> str:
        assert metric.provider.prometheus is not None
        return metric.provider.prometheus.address

    def metadata(self, metric: Metric) -> Mapping[str, str]:
        return {"ResolvedPrometheusQuery": _query(metric)}

    async def run(self, metric: Metric, context: RunContext) -> Answer:
        query = _query(metric)
        self.asked.append(query)
        self.running += 1
        self.running_max = max(self.running, self.running_max)
        try:
            if query in self.gates:
                await self.gates[query].wait()
        finally:
            self.running -= 1
        answers = self.answers[query]
        if not answers:
            return Samples(floats([1.0]), "[1]")
        answer = answers.popleft() if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Errand(InstantProvider):
    """A provider whose measurements take more than one request, as jobs do."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.is_done = False

    def address(self, metric: Metric) -> str:
        return "errand"

    def metadata(self, metric: Metric) -> Mapping[str, str]:
        return {}

    async def run(self, metric: Metric, context: RunContext) -> Answer:
        self.steps.append("run")
        return Unfinished(SystemClock().now(), {"errand": f"{context.index}"})

    async def resume(self, metric: Metric, context: RunContext, unfinished: Measurement) -> Answer:
        self.steps.append("resume")
        assert unfinished.metadata == {"errand": "0"}
        if not self.is_done:
            later = SystemClock().now() + 0.05
            return Unfinished(later, unfinished.metadata)  # type: ignore[arg-type]
        return Judged(AnalysisPhase.SUCCESSFUL, metadata=unfinished.metadata)

    async def terminate(
        self, metric: Metric, context: RunContext, unfinished: Measurement
    ) -> Answer:
        self.steps.append("terminate")
        return Judged(AnalysisPhase.INCONCLUSIVE, "stopped")


def _query(metric: Metric) -> str:
    assert metric.provider.prometheus is not None
    return metric.provider.prometheus.query


def metric(name: str, **fields: Any) -> dict[str, Any]:
    query = fields.pop("query", name)
    return {
        "name": name,
        "successCondition": "result[0] >= 0.95",
        "provider": {"prometheus": {"address": "http://prom", "query": query}},
        **fields,
    }


class World:
    """A memory cluster and bus, runners on them, and the user's hand."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.cluster = MemoryCluster(self.clock)
        self.user = self.cluster.client("user")
        self.broker = MemoryBroker()
        self.script = Script()
        self.errand = Errand()
        self.settings = RunnerSettings(bus="memory")
        self.runner: AnalysisRunner | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, identity: str = "runner-1", *, wait: bool = True) -> None:
        client = self.cluster.client("analysis-runner")
        bus = MemoryBus(self.broker, "analysis-runner")
        terms = Terms(duration_seconds=1.0, renew_seconds=0.2, retry_seconds=0.02)
        membership = Membership("analysis-runner", "default", identity, terms=terms)
        ownership = Ownership(client, self.clock, membership)
        metrics = Metrics(("analysis-runner",), self.clock)
        self.metrics = metrics
        ports = Ports(
            cluster=client,
            bus=bus,
            topics=TOPICS,
            ownership=ownership,
            clock=self.clock,
            rng=random.Random(1),
            recorder=Recorder(lambda key: ownership.guard(client, key), self.clock, metrics),
            metrics=metrics,
            source="memory",
        )
        providers: dict[str, Provider] = {"prometheus": self.script, "job": self.errand}
        self.runner = AnalysisRunner(ports, self.settings, providers)
        service = Service(
            "analysis-runner",
            base=(Part("bus", start=bus.start, close=bus.close),),
            parts=(self.runner.caches, ownership_part(ownership), *self.runner.work),
            grace_seconds=1.0,
        )
        self._tasks[identity] = asyncio.create_task(service.run())
        if wait:
            await self.until(lambda: len(ownership.shards) == 4)

    async def kill(self, identity: str = "runner-1") -> None:
        task = self._tasks.pop(identity)
        task.cancel()
        await asyncio.wait({task})

    async def close(self) -> None:
        for identity in [*self._tasks]:
            await self.kill(identity)

    # The user's hand

    async def create(self, name: str, *metrics: dict[str, Any], **spec: Any) -> Manifest:
        metadata = {"name": name, "namespace": "shop", **spec.pop("metadata", {})}
        return await self.user.create(
            ANALYSIS_RUNS,
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "AnalysisRun",
                "metadata": metadata,
                "spec": {"metrics": list(metrics), **spec},
            },
        )

    async def patch(self, name: str, **body: Any) -> None:
        await self.user.patch(ANALYSIS_RUNS, "shop", name, MergePatch(body))

    async def secret(self, name: str, **values: str) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        manifest = {"metadata": {"name": name, "namespace": "shop"}, "data": data}
        await self.user.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", **manifest})

    # What is seen

    async def status(self, name: str) -> dict[str, Any]:
        run = await self.user.get(ANALYSIS_RUNS, "shop", name)
        status: dict[str, Any] = run.get("status") or {}
        return status

    async def result(self, name: str, metric_name: str) -> dict[str, Any]:
        results = (await self.status(name)).get("metricResults") or []
        return next((each for each in results if each["name"] == metric_name), {})

    async def until(self, is_so: Callable[[], Any]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not is_so():
                await asyncio.sleep(0.002)

    async def until_phase(self, name: str, phase: str) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_SECONDS):
            while (status := await self.status(name)).get("phase") != phase:
                await asyncio.sleep(0.002)
        return status

    async def events(self) -> list[tuple[str, str, str]]:
        listing = await self.user.list(EVENTS)
        events = [(each["type"], each["reason"], each["message"]) for each in listing.items]
        return sorted(events)

    def facts(self, kind: type[Any]) -> list[Any]:
        events = [
            decode(record.key, record.headers, record.value)
            for record in self.broker.records(TOPICS.verdicts.name)
        ]
        return [event.payload for event in events if isinstance(event.payload, kind)]

    def fact_ids(self) -> list[str]:
        records = self.broker.records(TOPICS.verdicts.name)
        return [record.headers["ce_id"] for record in records]

    def metric(self, name: str) -> float:
        lines = "".join(self.metrics.expose()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{"))

    def requests(self, *verbs: str, resource: str = "analysisruns") -> list[Request]:
        return [
            request
            for request in self.cluster.requests
            if request.identity == "analysis-runner"
            and request.verb in verbs
            and request.resource == resource
        ]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


async def test_a_run_is_measured_judged_and_told(world: World) -> None:
    await world.start()
    owner = {"kind": "Rollout", "name": "web", "uid": "rollout-uid", "controller": True}
    run = await world.create(
        "web-1",
        metric("ok"),
        metadata={
            "annotations": {KEY_ANNOTATION: "shop/web", "rollout.argoproj.io/revision": "2"},
            "labels": {"rollouts-pod-template-hash": "abc"},
            "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", **owner}],
        },
    )
    status = await world.until_phase("web-1", "Successful")
    assert status["runSummary"] == {"count": 1, "successful": 1}
    assert status["dryRunSummary"] == {}
    assert status["completedAt"]
    (result,) = status["metricResults"]
    assert result["metadata"] == {"ResolvedPrometheusQuery": "ok"}
    assert result["measurements"][0]["value"] == "[1]"
    await world.until(lambda: world.facts(AnalysisJudged))
    (measured,), (judged,) = world.facts(AnalysisMeasured), world.facts(AnalysisJudged)
    assert (measured.metric, measured.index, measured.phase) == ("ok", 0, "Successful")
    assert (judged.key, judged.uid, judged.run, judged.run_uid) == (
        "shop/web",
        "rollout-uid",
        "web-1",
        run["metadata"]["uid"],
    )
    assert (judged.phase, judged.pod_hash, judged.revision) == ("Successful", "abc", "2")
    live = await world.user.get(ANALYSIS_RUNS, "shop", "web-1")
    assert judged.resource_version == live["metadata"]["resourceVersion"]


async def test_a_quick_run_costs_one_write_and_its_events(world: World) -> None:
    await world.start()
    world.script.say("bad", 0.5)
    await world.create("web-1", metric("bad", failureLimit=0, interval="1s", count=5))
    status = await world.until_phase("web-1", "Failed")
    assert status["message"] == 'Metric "bad" assessed Failed due to failed (1) > failureLimit (0)'
    await world.until(lambda: len(world.requests("create", resource="events")) == 2)
    assert await world.events() == [
        ("Warning", "AnalysisRunFailed", "Analysis Completed. Result: Failed"),
        ("Warning", "MetricFailed", "Metric 'bad' Completed. Result: Failed"),
    ]
    (patch,) = world.requests("patch")
    assert patch.subresource == ""
    assert set(patch.body) == {"metadata", "status"}
    assert set(patch.body["metadata"]) == {"resourceVersion"}
    assert world.requests("get") == []


async def test_metrics_of_a_round_are_written_together(world: World) -> None:
    await world.start()
    await world.create("web-1", *(metric(f"m{number}") for number in range(5)))
    await world.until_phase("web-1", "Successful")
    assert len(world.requests("patch")) == 1
    assert sorted(world.script.asked) == ["m0", "m1", "m2", "m3", "m4"]


async def test_a_slow_store_delays_its_own_metrics_only(world: World) -> None:
    world.script.gates["slow"] = asyncio.Event()
    await world.start()
    await world.create("slow", metric("slow"))
    await world.create("mixed", metric("slow"), metric("fast", count=2, interval="1ms"))
    await world.create("fast", metric("fast"))
    await world.until_phase("fast", "Successful")
    await world.until_phase("slow", "Running")
    async with asyncio.timeout(WAIT_SECONDS):
        while (await world.result("mixed", "fast")).get("phase") != "Successful":
            await asyncio.sleep(0.005)
    assert (await world.status("mixed"))["phase"] == "Running"
    world.script.gates["slow"].set()
    await world.until_phase("mixed", "Successful")
    assert world.script.asked.count("slow") == 2


async def test_a_failure_ends_the_run_though_another_metric_is_slow(world: World) -> None:
    world.script.gates["slow"] = asyncio.Event()
    world.script.say("bad", 0.1)
    await world.start()
    await world.create("web", metric("slow"), metric("bad"))
    status = await world.until_phase("web", "Failed")
    assert [each["name"] for each in status["metricResults"]] == ["bad"]
    assert status["runSummary"] == {"count": 2, "failed": 1}
    await world.until(lambda: world.script.running == 0)


async def test_a_crash_loses_a_measurement_under_way_only(world: World) -> None:
    world.script.gates["slow"] = asyncio.Event()
    await world.start()
    await world.create("web", metric("slow"), metric("fast"))
    await world.until_phase("web", "Running")
    await world.until(lambda: world.facts(AnalysisMeasured))
    await world.kill()
    world.script.gates["slow"].set()
    await world.start("runner-2")
    await world.until_phase("web", "Successful")
    assert world.script.asked.count("slow") == 2
    assert world.script.asked.count("fast") == 1


async def test_says_everything_again_after_a_restart_under_the_same_ids(world: World) -> None:
    await world.start()
    await world.create("web", metric("ok", count=2, interval="1ms"))
    await world.until_phase("web", "Successful")
    await world.until(lambda: len(world.fact_ids()) == 3)
    await world.kill()
    await world.start("runner-2")
    await world.until(lambda: len(world.fact_ids()) == 6)
    assert set(world.fact_ids()[:3]) == set(world.fact_ids()[3:])


async def test_says_again_what_the_bus_missed(world: World) -> None:
    await world.start()
    world.broker.is_up = False
    await world.create("web", metric("ok"))
    await world.until_phase("web", "Successful")
    assert world.facts(AnalysisJudged) == []
    world.broker.is_up = True
    await world.until(lambda: world.facts(AnalysisJudged))


async def test_old_runs_are_left_in_peace_after_a_restart(world: World) -> None:
    world.settings = world.settings.model_copy(update={"say_again_seconds": 60.0})
    await world.create("old", metric("ok"))
    await world.patch("old", status={"phase": "Failed", "completedAt": "2020-01-01T00:00:00Z"})
    await world.create("young", metric("ok"))
    await world.start()
    await world.until_phase("young", "Successful")
    await world.until(lambda: world.facts(AnalysisJudged))
    assert {fact.run for fact in world.facts(AnalysisJudged)} == {"young"}


async def test_a_terminated_run_is_successful(world: World) -> None:
    await world.start()
    await world.create("web", metric("ok", interval="1h"))
    await world.until_phase("web", "Running")
    await world.patch("web", spec={"terminate": True})
    status = await world.until_phase("web", "Successful")
    assert status["message"] == "Run Terminated"


async def test_secrets_are_read_in_every_round_and_never_shown(world: World) -> None:
    await world.secret("token", key="hunter2")
    world.script.say("q hunter2", MeasurementError("denied for hunter2"), 1.0)
    source = {"secretKeyRef": {"name": "token", "key": "key"}}
    await world.start()
    await world.create(
        "web",
        metric("m", query="q {{args.token}}"),
        args=[{"name": "token", "valueFrom": source}],
    )
    await world.until(lambda: world.facts(AnalysisMeasured))
    result = await world.result("web", "m")
    assert result["measurements"][0]["message"] == "denied for *****"
    assert "hunter2" not in str(await world.user.get(ANALYSIS_RUNS, "shop", "web"))
    assert len(world.requests("get", resource="secrets")) == 1


async def test_a_missing_secret_ends_the_run(world: World) -> None:
    await world.start()
    source = {"secretKeyRef": {"name": "token", "key": "key"}}
    args = [{"name": "token", "valueFrom": source}]
    await world.create("web", metric("m", query="{{args.token}}"), args=args)
    status = await world.until_phase("web", "Error")
    assert status["message"] == 'Unable to resolve metric arguments: secrets "token" not found'
    assert "completedAt" not in status
    await world.secret("token", other="x")
    await world.create("web-2", metric("m", query="{{args.token}}"), args=args)
    status = await world.until_phase("web-2", "Error")
    assert status["message"] == (
        "Unable to resolve metric arguments: key 'key' does not exist in secret 'token'"
    )


async def test_a_run_that_begins_anew_reads_its_secrets_again(world: World) -> None:
    await world.start()
    source = {"secretKeyRef": {"name": "token", "key": "key"}}
    args = [{"name": "token", "valueFrom": source}]
    await world.create("web", metric("m", query="{{args.token}}"), args=args)
    await world.until_phase("web", "Error")
    await world.secret("token", key="x")
    await world.user.patch(ANALYSIS_RUNS, "shop", "web", MergePatch({"status": None}))
    await world.until_phase("web", "Successful")


async def test_a_secret_that_cannot_be_read_for_a_moment_is_no_verdict(world: World) -> None:
    await world.secret("token", key="x")
    failures = 0

    def fail(request: Request) -> None:
        nonlocal failures
        if request.resource == "secrets" and request.verb == "get" and failures < 2:
            failures += 1
            raise Unavailable("the API server is away")

    world.cluster.intercept = fail
    await world.start()
    source = {"secretKeyRef": {"name": "token", "key": "key"}}
    args = [{"name": "token", "valueFrom": source}]
    await world.create("web", metric("m", query="{{args.token}}"), args=args)
    await world.until_phase("web", "Successful")
    assert failures == 2


async def test_an_invalid_spec_ends_the_run(world: World) -> None:
    await world.start()
    await world.create("web")
    status = await world.until_phase("web", "Error")
    assert status == {"phase": "Error", "message": "Analysis spec invalid: no metrics specified"}
    await world.until(lambda: world.facts(AnalysisJudged))
    assert await world.events() == [
        ("Warning", "AnalysisRunError", "Analysis Completed. Result: Error")
    ]


async def test_providers_of_later_versions_are_measurement_errors(world: World) -> None:
    await world.start()
    web = {"name": "m", "provider": {"web": {"url": "http://x"}}}
    await world.create("web", web)
    async with asyncio.timeout(WAIT_SECONDS):
        while not (result := await world.result("web", "m")):
            await asyncio.sleep(0.005)
    assert result["measurements"][0]["message"] == "provider web: not supported by this version"
    assert result["error"] == 1


async def test_a_bug_in_a_provider_is_the_error_of_its_measurement(world: World) -> None:
    world.script.say("m", KeyError("oops"))
    await world.start()
    await world.create("web", metric("m"))
    await world.create("other", metric("ok"))
    await world.until_phase("other", "Successful")
    async with asyncio.timeout(WAIT_SECONDS):
        while not (result := await world.result("web", "m")):
            await asyncio.sleep(0.005)
    assert result["measurements"][0]["message"] == "KeyError in the provider"


async def test_unfinished_measurements_are_resumed(world: World) -> None:
    await world.start()
    await world.create("web", {"name": "job", "provider": {"job": {"spec": {}}}})
    await world.until(lambda: world.errand.steps.count("resume") > 1)
    assert (await world.status("web"))["phase"] == "Running"
    world.errand.is_done = True
    status = await world.until_phase("web", "Successful")
    assert len(status["metricResults"][0]["measurements"]) == 1
    await world.until(lambda: world.facts(AnalysisMeasured))
    assert world.errand.steps[0] == "run"


async def test_unfinished_measurements_are_ended_with_the_run(world: World) -> None:
    await world.start()
    await world.create("web", {"name": "job", "provider": {"job": {"spec": {}}}})
    await world.until(lambda: "resume" in world.errand.steps)
    await world.patch("web", spec={"terminate": True})
    status = await world.until_phase("web", "Inconclusive")
    assert status["metricResults"][0]["measurements"][0]["message"] == "Metric Terminated"
    assert world.errand.steps.count("terminate") == 1


async def test_a_run_is_deleted_when_its_time_is_over(world: World) -> None:
    await world.start()
    await world.create("web", metric("ok"), ttlStrategy={"secondsAfterSuccess": 0})
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            try:
                await world.status("web")
            except NotFound:
                break
            await asyncio.sleep(0.01)
    assert world.facts(AnalysisJudged)


async def test_an_edit_in_the_middle_of_a_measurement_is_no_conflict_to_the_user(
    world: World,
) -> None:
    world.script.gates["m"] = asyncio.Event()
    await world.start()
    await world.create("web", metric("m", interval="1ms", count=2))
    await world.until(lambda: world.script.running)
    await world.patch("web", metadata={"labels": {"team": "a"}})
    world.script.gates["m"].set()
    await world.until_phase("web", "Successful")
    run = await world.user.get(ANALYSIS_RUNS, "shop", "web")
    assert run["metadata"]["labels"] == {"team": "a"}
    assert run["status"]["metricResults"][0]["count"] == 2


async def test_measurements_of_one_address_are_bounded(world: World) -> None:
    update = {"measurements_per_address_max": 3}
    world.settings = world.settings.model_copy(update=update)
    world.script.gates["m"] = asyncio.Event()
    await world.start()
    for number in range(10):
        await world.create(f"web-{number}", metric("m"))
    await world.until(lambda: world.script.running == 3)
    world.script.gates["m"].set()
    for number in range(10):
        await world.until_phase(f"web-{number}", "Successful")
    assert world.script.running_max == 3


async def test_a_second_replica_takes_over(world: World) -> None:
    await world.start()
    await world.create("web", metric("m", interval="50ms", count=20))
    await world.until_phase("web", "Running")
    await world.start("runner-2", wait=False)
    await world.kill("runner-1")
    await world.until_phase("web", "Successful")
    ids = world.fact_ids()
    assert len(set(ids)) == 21
    assert {fact.index for fact in world.facts(AnalysisMeasured)} == set(range(20))


async def test_a_request_of_the_bus_costs_nothing_when_the_watch_is_in_time(world: World) -> None:
    await world.start()
    run = await world.create("web-1", metric("m", interval="1h"))
    bus = MemoryBus(world.broker, "controller")
    await bus.start()
    request = AnalysisRequested(
        namespace="shop", rollout="web", uid="u", run="web-1", run_uid=run["metadata"]["uid"]
    )
    bus.publish(TOPICS.steps, Event.of(request, source="memory", time=world.clock.now()))
    await world.until_phase("web-1", "Running")
    adds = world.metric("workqueue_adds_total")
    await world.until(lambda: world.metric("workqueue_adds_total") > adds)
    await world.until(lambda: world.metric("workqueue_unfinished_work_seconds") == 0)
    assert world.requests("get") == []
    await bus.close()


async def test_a_run_that_the_watch_does_not_bring_is_read(world: World) -> None:
    await world.start()
    label = {"argo-rollouts.argoproj.io/controller-instance-id": "late"}
    run = await world.create("web-1", metric("m"), metadata={"labels": label})
    bus = MemoryBus(world.broker, "controller")
    await bus.start()
    request = AnalysisRequested(
        namespace="shop", rollout="web", uid="u", run="web-1", run_uid=run["metadata"]["uid"]
    )
    bus.publish(TOPICS.steps, Event.of(request, source="memory", time=world.clock.now()))
    await world.until_phase("web-1", "Successful")
    await bus.close()


async def test_gauges_show_runs_and_metrics(world: World) -> None:
    await world.start()
    await world.create("web", metric("m"))
    await world.until_phase("web", "Successful")
    text = "".join(world.metrics.expose())
    assert 'analysis_run_info{namespace="shop",name="web",phase="Successful"} 1' in text
    labels = 'namespace="shop",name="web",metric="m",type="Prometheus",dry_run="false"'
    assert f'analysis_run_metric_phase{{{labels},phase="Successful"}} 1' in text
    assert f'analysis_run_metric_phase{{{labels},phase="Failed"}} 0' in text


async def test_an_idle_run_is_not_looked_at(world: World) -> None:
    await world.start()
    await world.create("web", metric("m", interval="1h"))
    await world.until(lambda: world.facts(AnalysisMeasured))
    await world.until(lambda: world.metric("workqueue_unfinished_work_seconds") == 0)
    adds = world.metric("workqueue_adds_total")
    await world.create("other", metric("n", interval="20ms", count=10))
    await world.until_phase("other", "Successful")
    assert world.script.asked.count("m") == 1
    assert [request.name for request in world.requests("patch")].count("web") == 1
    assert world.metric("workqueue_adds_total") > adds
