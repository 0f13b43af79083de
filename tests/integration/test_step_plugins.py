"""The rollout-controller with real workers of step plugins: one over HTTP, one over the bus."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from headrace.events.envelope import Event, decode
from headrace.events.plugins import PluginAnswered, PluginRequested, WorkerAnswer
from headrace.events.topics import TopicSettings, topics
from headrace.kubernetes.resources import CONFIG_MAPS, EVENTS, ROLLOUTS, SECRETS, Manifest
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster, MemoryClusterSettings
from headrace.runtime.component import Ports
from headrace.runtime.metrics import Metrics
from headrace.runtime.ownership import Membership, Ownership
from headrace.runtime.recorder import Recorder
from headrace.runtime.service import Part, Service, ownership_part
from rollout_controller.controller import RolloutController
from rollout_controller.settings import ControllerSettings

pytestmark = [pytest.mark.spec("canary 9"), pytest.mark.timeout(60)]

HOME = "headrace"
NAME = "acme/approve"
SOURCE = "cluster-uid"
TOPICS = topics(TopicSettings("test"))
TOKEN = "Bearer not-to-be-seen"
WAIT_SECONDS = 20.0

Answer = Callable[[dict[str, Any]], Awaitable[dict[str, Any]] | dict[str, Any]]


def _succeed(call: dict[str, Any]) -> dict[str, Any]:
    return {"phase": "Successful"}


class Worker:
    """A worker that keeps what it is asked, and answers as it is told."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.answers: dict[str, Answer] = {}

    async def take(self, call: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(call)
        answer = self.answers.get(call["operation"], _succeed)(call)
        return answer if isinstance(answer, dict) else await answer

    def operations(self) -> list[str]:
        return [call["operation"] for call in self.calls]

    async def serve(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        return web.json_response(await self.take(await request.json()))


class World:
    """A controller over memory ports, on the machine's clock."""

    def __init__(self, location: str) -> None:
        self.clock = SystemClock()
        settings = MemoryClusterSettings(pod_ready_seconds=0.02, pod_termination_seconds=0.02)
        self.cluster = MemoryCluster(self.clock, settings)
        self.person = self.cluster.client("person")
        self.broker = MemoryBroker()
        self.worker = Worker()
        self.location = location
        self._running: tuple[Service, asyncio.Task[None]] | None = None

    async def start(self) -> None:
        """Start a controller that knows nothing but what is in the cluster."""
        service = self._service()
        self._running = service, asyncio.create_task(service.run())

    async def stop(self) -> None:
        """End the controller in order."""
        assert self._running is not None
        service, task = self._running
        service.stop()
        await task

    async def configure(self, **members: Any) -> None:
        entry = {"name": NAME, "protocol": "headrace/v1", "location": self.location, **members}
        data = {"stepPlugins": json.dumps([entry])}
        metadata = {"name": "argo-rollouts-config", "namespace": HOME}
        await self.person.create(
            CONFIG_MAPS,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data},
        )

    def _service(self) -> Service:
        client = self.cluster.client("rollout-controller")
        ownership = Ownership(client, self.clock, Membership("rollout-controller", HOME, "0"))
        metrics = Metrics(["rollout-controller"], self.clock)
        bus = MemoryBus(self.broker, "rollout-controller")
        ports = Ports(
            cluster=client,
            bus=bus,
            topics=TOPICS,
            ownership=ownership,
            clock=self.clock,
            rng=random.Random(1),
            recorder=Recorder(lambda key: ownership.guard(client, key), self.clock, metrics),
            metrics=metrics,
            source=SOURCE,
        )
        settings = ControllerSettings(bus="memory", identity="0")
        controller = RolloutController(ports, settings)
        return Service(
            "rollout-controller",
            parts=(
                Part("bus", start=bus.start, close=bus.close),
                controller.caches,
                ownership_part(ownership),
                *controller.work,
            ),
        )

    async def release(self, *steps: Mapping[str, Any]) -> None:
        """Deploy a first version with these steps, and begin the update to a second."""
        await self.person.create(ROLLOUTS, rollout(list(steps)))
        await self.until("Healthy", lambda status: status.get("phase") == "Healthy")
        template = {"spec": {"containers": [{"name": "app", "image": "app:v2"}]}}
        await self.patch({"spec": {"template": template}})

    async def patch(self, body: Mapping[str, Any], subresource: str = "") -> None:
        await self.person.patch(
            ROLLOUTS, "default", "app", MergePatch(body), subresource=subresource
        )

    async def status(self) -> dict[str, Any]:
        found = await self.person.get(ROLLOUTS, "default", "app")
        return dict(found.get("status") or {})

    async def until(
        self, what: str, is_so: Callable[[dict[str, Any]], bool]
    ) -> list[dict[str, Any]]:
        """Wait for a condition on the status; return the entries of step plugins."""
        deadline = self.clock.monotonic() + WAIT_SECONDS
        while not is_so(status := await self.status()):
            assert self.clock.monotonic() < deadline, f"{what}: {status}"
            await asyncio.sleep(0.01)
        return list((status.get("canary") or {}).get("stepPluginStatuses") or ())

    async def events(self) -> list[str]:
        listing = await self.person.list(EVENTS)
        return [str(item["message"]) for item in listing.items]

    async def answer_on_bus(self) -> None:
        """Be a worker on the bus: every request is answered twice."""
        bus = MemoryBus(self.broker, "acme-worker")
        await bus.start()
        consumer = bus.consumer([TOPICS.steps])
        await consumer.assign(frozenset(range(12)))
        try:
            while True:
                for record in await consumer.poll(1.0):
                    event = decode(record.key, record.headers, record.value)
                    if isinstance(event.payload, PluginRequested):
                        await self._answer_event(bus, event, event.payload)
        finally:
            await consumer.close()
            await bus.close()

    async def _answer_event(self, bus: MemoryBus, event: Event, call: PluginRequested) -> None:
        said = await self.worker.take(call.model_dump(mode="json", by_alias=True))
        payload = PluginAnswered(
            namespace=call.namespace,
            rollout=call.rollout,
            uid=call.uid,
            call=call.call,
            answer=WorkerAnswer.load(said),
        )
        for _ in range(2):
            answer = Event.of(payload, source=event.source, time=self.clock.now())
            bus.publish(TOPICS.answers, answer)


def rollout(steps: list[Mapping[str, Any]]) -> Manifest:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "app", "namespace": "default"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "app"}},
            "template": {
                "metadata": {"labels": {"app": "app"}},
                "spec": {"containers": [{"name": "app", "image": "app:v1"}]},
            },
            "strategy": {"canary": {"steps": steps}},
        },
    }


STEP: dict[str, Any] = {"plugin": {"name": NAME, "config": {"who": "ops"}}}
LAST: dict[str, Any] = {"pause": {}}


@asynccontextmanager
async def world_over(location: str, **configured: Any) -> AsyncIterator[World]:
    """Yield a world with a worker at a free port of this machine, or on the bus."""
    world = World(location)
    application = web.Application()
    application.router.add_post("/step", world.worker.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    if location == "http":
        world.location = f"http://127.0.0.1:{runner.addresses[0][1]}/step"
    await world.configure(**configured)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(world.cluster.run()), group.create_task(world.answer_on_bus())]
        await world.start()
        try:
            yield world
        finally:
            await world.stop()
            for task in tasks:
                task.cancel()
            await runner.cleanup()


def at_step(index: int) -> Callable[[dict[str, Any]], bool]:
    return lambda status: (
        status.get("currentStepIndex") == index and bool(status.get("pauseConditions"))
    )


@pytest.mark.parametrize("location", ["http", "kafka"])
async def test_a_worker_lets_the_release_go_on(location: str) -> None:
    async with world_over(location) as world:
        world.worker.answers["Run"] = lambda _: {
            "phase": "Successful",
            "message": "approved",
            "status": {"ticket": 7},
        }
        await world.release(STEP, LAST)
        (run,) = await world.until("the second step", at_step(1))
        assert (run["phase"], run["message"], run["executions"]) == ("Successful", "approved", 1)
        assert run["status"] == {"ticket": 7}
        (call,) = world.worker.calls
        assert (call["plugin"], call["operation"], call["step"]) == (NAME, "Run", 0)
        assert call["config"] == {"who": "ops"}
        assert call["object"]["metadata"]["name"] == "app"
        stored = call["object"]["status"]["canary"]["stepPluginStatuses"]
        assert [each["operation"] for each in stored] == ["Run"]


@pytest.mark.parametrize("location", ["http", "kafka"])
async def test_a_worker_stops_the_release(location: str) -> None:
    async with world_over(location) as world:
        world.worker.answers["Run"] = lambda _: {"phase": "Failed", "message": "not today"}
        await world.release(STEP, LAST)
        (run,) = await world.until("Degraded", lambda status: status.get("phase") == "Degraded")
        assert run["phase"] == "Failed"
        message = (await world.status())["message"]
        assert message.endswith(f"Step Plugin 1 ({NAME}) failed: not today")
        assert world.worker.operations() == ["Run"]
        assert f"Step plugin {NAME} (step 1) transitioned to Failed" in await world.events()


@pytest.mark.parametrize("location", ["http", "kafka"])
async def test_an_abort_undoes_a_step_that_was_successful(location: str) -> None:
    async with world_over(location) as world:
        await world.release(STEP, LAST)
        await world.until("the second step", at_step(1))
        await world.patch({"status": {"abort": True}}, "status")
        await world.until("undone", lambda status: len(plugin_entries(status)) == 2)
        run, undone = plugin_entries(await world.status())
        assert (run["operation"], undone["operation"]) == ("Run", "Abort")
        assert undone["phase"] == "Successful"
        assert world.worker.operations() == ["Run", "Abort"]
        assert f"Step plugin {NAME} (step 1) aborted (Successful)" in await world.events()


def plugin_entries(status: dict[str, Any]) -> list[dict[str, Any]]:
    return list((status.get("canary") or {}).get("stepPluginStatuses") or ())


async def test_promotion_ends_a_step_that_runs() -> None:
    async with world_over("http") as world:
        world.worker.answers["Run"] = lambda _: {"phase": "Running"}
        await world.release(STEP, LAST)
        await world.until("Running", lambda status: executions(status) == 1)
        await world.patch({"status": {"promoteFull": True}}, "status")
        await world.until("ended", lambda status: len(plugin_entries(status)) == 2)
        assert world.worker.operations() == ["Run", "Terminate"]
        await world.until("Healthy", lambda status: status.get("phase") == "Healthy")


def executions(status: dict[str, Any]) -> int:
    return sum(entry.get("executions", 0) for entry in plugin_entries(status))


@pytest.mark.parametrize("location", ["http", "kafka"])
async def test_a_worker_that_hangs_holds_up_nothing_and_is_an_error(location: str) -> None:
    async with world_over(location, timeout="300ms") as world:
        hanging = asyncio.Event()

        async def hang(call: dict[str, Any]) -> dict[str, Any]:
            await hanging.wait()
            return {"phase": "Successful"}

        world.worker.answers["Run"] = hang
        await world.release(STEP, LAST)
        (run,) = await world.until("an error", lambda status: executions(status) == 1)
        assert (run["phase"], run["backoff"]) == ("Error", "30s")
        assert "deadline exceeded" in run["message"] or "no answer on Kafka" in run["message"]
        await world.patch({"spec": {"replicas": 2}})
        await world.until("scaled meanwhile", lambda status: status.get("replicas", 0) >= 2)
        hanging.set()


async def test_an_abort_does_not_wait_for_a_call_under_way() -> None:
    async with world_over("http") as world:
        hanging = asyncio.Event()

        async def hang(call: dict[str, Any]) -> dict[str, Any]:
            await hanging.wait()
            return {"phase": "Successful"}

        world.worker.answers["Run"] = hang
        await world.release(STEP, LAST)
        await world.until("called", lambda _: world.worker.operations() == ["Run"])
        await world.patch({"status": {"abort": True}}, "status")
        await world.until("undone", lambda status: len(plugin_entries(status)) == 2)
        assert world.worker.operations() == ["Run", "Abort"]
        hanging.set()


async def test_a_restart_repeats_the_call_under_the_same_id() -> None:
    async with world_over("http") as world:
        hanging = asyncio.Event()

        async def answer(call: dict[str, Any]) -> dict[str, Any]:
            if len(world.worker.calls) == 1:
                await hanging.wait()
            return {"phase": "Successful"}

        world.worker.answers["Run"] = answer
        await world.release(STEP, LAST)
        await world.until("called", lambda _: world.worker.operations() == ["Run"])
        await world.stop()
        await world.start()
        await world.until("the second step", at_step(1))
        hanging.set()
        first, repeated = world.worker.calls
        assert first["call"] == repeated["call"]
        assert (first["execution"], repeated["execution"]) == (1, 1)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"phase": 1}, "the worker's answer is not usable: phase"),
        ({"status": {"a": "x" * 70_000}}, "the worker's status is larger than 65536 bytes"),
        ({"message": "x" * 300_000}, "is larger than 262144 bytes"),
        ({"requeueAfter": "soon"}, "the worker's requeueAfter: time: invalid duration"),
        ({"error": "out of order"}, "out of order"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_an_error(answer: dict[str, Any], text: str) -> None:
    async with world_over("http") as world:
        world.worker.answers["Run"] = lambda _: answer
        await world.release(STEP, LAST)
        (run,) = await world.until("an error", lambda status: executions(status) == 1)
        assert run["phase"] == "Error"
        assert text in run["message"]
        assert len(run["message"]) <= 2048


async def test_headers_of_secrets_reach_the_worker_and_nobody_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "approve", "namespace": HOME},
        "data": {"Authorization": "QmVhcmVyIG5vdC10by1iZS1zZWVu"},
    }
    source = [{"secretRef": {"name": "approve"}}]
    async with world_over("http", headersFrom=source) as world:
        await world.person.create(SECRETS, secret)
        world.worker.answers["Run"] = lambda _: {"phase": "Failed", "message": f"not {TOKEN}"}
        await world.release(STEP, LAST)
        await world.until("Degraded", lambda status: status.get("phase") == "Degraded")
        (headers,) = world.worker.headers
        assert headers["Authorization"] == TOKEN
        assert headers["ce-type"] == "headrace.plugin.requested.v1"
        assert headers["ce-id"] == world.worker.calls[0]["call"]
        status = await world.status()
        assert "failed: not *****" in status["message"]
        told = "".join(await world.events()) + json.dumps(status)
    output = capsys.readouterr()
    assert "not-to-be-seen" not in told + output.out + output.err


async def test_a_plugin_that_is_configured_later_goes_on() -> None:
    async with world_over("http", name="acme/other") as world:
        await world.release(STEP, LAST)
        await world.until(
            "the failure is told",
            lambda status: (
                (status.get("headrace") or {}).get("waiting", {}).get("reason") == "Failure"
            ),
        )
        entry = {"name": NAME, "protocol": "headrace/v1", "location": world.location}
        data = {"stepPlugins": json.dumps([entry])}
        await world.person.patch(
            CONFIG_MAPS, HOME, "argo-rollouts-config", MergePatch({"data": data})
        )
        await world.until("the second step", at_step(1))
        message = f"could not create step plugin at index 0: plugin {NAME} not configured"
        told = [text for text in await world.events() if message in text]
        assert len(told) == 1
        assert told[0].startswith("Reconciliation failed with error: ")


async def test_a_binary_is_refused_until_it_is_a_worker() -> None:
    async with world_over("http", protocol=None) as world:
        data = {"stepPlugins": json.dumps([{"name": NAME, "location": "file:///plugin"}])}
        change = MergePatch({"data": data})
        await world.person.patch(CONFIG_MAPS, HOME, "argo-rollouts-config", change)
        await world.person.create(ROLLOUTS, rollout([STEP, LAST]))
        await world.until("refused", lambda status: status.get("phase") == "Degraded")
        message = (await world.status())["message"]
        assert "spec.strategy.canary.steps[0].plugin: Forbidden" in message
        assert 'set "protocol: headrace/v1"' in message
        entry = {"name": NAME, "protocol": "headrace/v1", "location": world.location}
        data = {"stepPlugins": json.dumps([entry])}
        change = MergePatch({"data": data})
        await world.person.patch(CONFIG_MAPS, HOME, "argo-rollouts-config", change)
        await world.until("Healthy", lambda status: status.get("phase") == "Healthy")
