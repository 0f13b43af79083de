from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from headrace.errors import Forbidden, LostOwnership, RateLimited, RolloutError, Unavailable
from headrace.kubernetes.resources import EVENTS, Manifest, Resource
from headrace.model.meta import format_time
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster_memory.client import Request
from headrace.runtime.cluster_memory.cluster import MemoryCluster
from headrace.runtime.guard import GuardedCluster
from headrace.runtime.metrics import Metrics
from headrace.runtime.recorder import Recorder

pytestmark = pytest.mark.spec("cli-and-clients 9")

ROLLOUT: Manifest = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Rollout",
    "metadata": {"namespace": "default", "name": "web", "uid": "u-1", "resourceVersion": "7"},
}


OTHER: Manifest = {**ROLLOUT, "metadata": {**ROLLOUT["metadata"], "name": "api", "uid": "u-2"}}
UNWRITTEN = "headrace_runtime_unwritten_events_total{"


class World:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.cluster = MemoryCluster(self.clock)
        self.metrics = Metrics(["rollout-controller"], self.clock)
        self.is_held = True
        self.keys: list[str] = []
        self.recorder = Recorder(self.guard, self.clock, self.metrics)

    def guard(self, key: str) -> GuardedCluster:
        self.keys.append(key)
        return GuardedCluster(self.cluster.client("us"), lambda: self.is_held)

    def fail(self, error: RolloutError | None, name: str = "") -> None:
        def intercept(request: Request) -> None:
            if error is not None and request.resource == "events" and name in request.name:
                raise error

        self.cluster.intercept = intercept

    async def reasons(self) -> list[str]:
        listed = sorted(await self.events(), key=lambda event: str(event["metadata"]["name"]))
        return [event["reason"] for event in listed]

    async def events(self) -> list[Manifest]:
        return list((await self.cluster.client("test").list(EVENTS)).items)

    def exposed(self) -> str:
        return "".join(self.metrics.expose())


async def test_writes_an_event_as_clients_know_it() -> None:
    world = World()
    await world.recorder.record(ROLLOUT, "RolloutPaused", "Rollout is paused (CanaryPauseStep)")
    (event,) = await world.events()
    assert event["involvedObject"] == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "namespace": "default",
        "name": "web",
        "uid": "u-1",
        "resourceVersion": "7",
    }
    assert event["source"] == {"component": "rollouts-controller"}
    assert (event["type"], event["reason"], event["count"]) == ("Normal", "RolloutPaused", 1)
    assert event["message"] == "Rollout is paused (CanaryPauseStep)"
    now = format_time(world.clock.now())
    assert event["firstTimestamp"] == event["lastTimestamp"] == now
    name, _, suffix = event["metadata"]["name"].rpartition(".")
    assert name == "web"
    assert int(suffix, 16) == int(world.clock.now() * 1e9)


async def test_a_repetition_in_the_same_moment_is_an_event_of_its_own() -> None:
    world = World()
    for _ in range(3):
        await world.recorder.record(ROLLOUT, "RolloutPaused", "again")
    names = [event["metadata"]["name"] for event in await world.events()]
    assert len(set(names)) == 3
    assert names == sorted(names)


async def test_counts_what_it_writes_about_rollouts() -> None:
    world = World()
    await world.recorder.record(ROLLOUT, "RolloutAborted", "aborted", "Warning")
    labels = 'namespace="default",name="web",type="Warning",reason="RolloutAborted"'
    assert f"rollout_events_total{{{labels}}} 1" in world.exposed()


async def test_a_failure_is_counted_and_does_not_fail_the_reconcile() -> None:
    world = World()

    def refuse(request: Request) -> None:
        if request.resource == "events":
            raise Forbidden("events is forbidden")

    world.cluster.intercept = refuse
    await world.recorder.record(ROLLOUT, "RolloutPaused", "paused")
    exposed = world.exposed()
    assert 'headrace_runtime_unwritten_events_total{kind="Rollout"} 1' in exposed
    assert "rollout_events_total{" not in exposed


async def test_a_lost_lease_ends_the_reconcile() -> None:
    world = World()
    world.is_held = False
    with pytest.raises(LostOwnership):
        await world.recorder.record(ROLLOUT, "RolloutPaused", "paused")
    assert await world.events() == []


async def test_a_run_is_written_about_under_the_key_of_its_rollout() -> None:
    world = World()
    run = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {
            "namespace": "default",
            "name": "web-1",
            "uid": "u-2",
            "annotations": {"headrace.io/key": "default/web"},
        },
    }
    await world.recorder.record(run, "AnalysisRunFailed", "failed", "Warning")
    await world.recorder.record(ROLLOUT, "RolloutPaused", "paused")
    assert world.keys == ["default/web", "default/web"]
    assert len(await world.events()) == 2


async def test_texts_without_end_are_cut() -> None:
    world = World()
    long = {**ROLLOUT, "metadata": {**ROLLOUT["metadata"], "name": "x" * 253}}
    await world.recorder.record(long, "InvalidSpec", "y" * 50_000)
    (event,) = await world.events()
    assert len(event["metadata"]["name"]) <= 253
    assert len(event["message"]) == 32_768


@pytest.mark.parametrize(("kind", "level"), [("Normal", "debug"), ("Warning", "warning")])
async def test_each_event_is_a_line_of_the_log(kind: str, level: str) -> None:
    with capture_logs() as lines:
        await World().recorder.record(ROLLOUT, "RolloutAborted", "aborted", kind)
    (line,) = lines
    assert (line["event_reason"], line["event_type"], line["log_level"]) == (
        "RolloutAborted",
        kind,
        level,
    )
    assert (line["namespace"], line["object"], line["kind"]) == ("default", "web", "Rollout")


@pytest.mark.parametrize("error", [Unavailable("down"), RateLimited("slow down")])
async def test_what_cannot_be_written_now_is_written_later_with_its_own_time(
    error: RolloutError,
) -> None:
    world = World()
    then = format_time(world.clock.now())
    world.fail(error)
    await world.recorder.record(ROLLOUT, "RolloutPaused", "paused")
    world.fail(None)
    world.clock.advance(5)
    await world.recorder.catch_up()
    (event,) = await world.events()
    assert (event["reason"], event["firstTimestamp"]) == ("RolloutPaused", then)
    assert UNWRITTEN not in world.exposed()
    assert 'reason="RolloutPaused"} 1' in world.exposed()


async def test_events_of_one_object_keep_their_order() -> None:
    world = World()
    world.fail(Unavailable("down"))
    await world.recorder.record(ROLLOUT, "First", "1")
    await world.recorder.record(ROLLOUT, "Second", "2")
    sent: list[str] = []
    world.cluster.intercept = lambda request: sent.append(request.verb)
    await world.recorder.record(ROLLOUT, "Third", "3")
    assert await world.reasons() == ["First", "Second", "Third"]
    assert sent.count("create") == 3


async def test_an_object_whose_events_are_not_taken_holds_up_no_other_one() -> None:
    world = World()
    world.fail(Unavailable("down"))
    await world.recorder.record(ROLLOUT, "RolloutPaused", "paused")
    await world.recorder.record(OTHER, "RolloutResumed", "resumed")
    world.fail(RateLimited("a quota"), "web")
    await world.recorder.catch_up()
    await world.recorder.catch_up()
    assert await world.reasons() == ["RolloutResumed"]


async def test_tries_end() -> None:
    world = World()
    world.fail(Unavailable("down"))
    await world.recorder.record(ROLLOUT, "RolloutPaused", "paused")
    world.clock.advance(119)
    await world.recorder.catch_up()
    assert UNWRITTEN not in world.exposed()
    world.clock.advance(1)
    await world.recorder.catch_up()
    assert UNWRITTEN + 'kind="Rollout"} 1' in world.exposed()


async def test_what_an_outage_leaves_is_bounded() -> None:
    world = World()
    world.fail(Unavailable("down"))
    for number in range(1003):
        await world.recorder.record(ROLLOUT, "RolloutPaused", str(number))
    assert UNWRITTEN + 'kind="Rollout"} 3' in world.exposed()
    world.fail(None)
    await world.recorder.catch_up()
    assert len(await world.events()) == 1000


async def test_what_waits_is_another_replicas_when_the_lease_is_lost() -> None:
    world = World()
    world.fail(Unavailable("down"))
    await world.recorder.record(ROLLOUT, "RolloutPaused", "paused")
    world.fail(None)
    world.is_held = False
    await world.recorder.catch_up()
    world.is_held = True
    await world.recorder.catch_up()
    assert await world.events() == []
    assert UNWRITTEN + 'kind="Rollout"} 1' in world.exposed()


async def test_an_event_whose_answer_was_lost_counts_as_written() -> None:
    world = World()
    client = world.cluster.client("us")

    class Deaf(GuardedCluster):
        async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
            await client.create(resource, manifest)
            raise Unavailable("no answer")

    guards = [Deaf(client, lambda: True), GuardedCluster(client, lambda: True)]
    recorder = Recorder(lambda _: guards.pop(0), world.clock, world.metrics)
    await recorder.record(ROLLOUT, "RolloutPaused", "paused")
    await recorder.catch_up()
    assert await world.reasons() == ["RolloutPaused"]
    assert UNWRITTEN not in world.exposed()
    assert 'reason="RolloutPaused"} 1' in world.exposed()


async def test_the_part_writes_what_waits() -> None:
    world = World()
    world.fail(Unavailable("down"))
    await world.recorder.record(ROLLOUT, "RolloutPaused", "paused")
    world.fail(None)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(world.recorder.run())
        while not await world.events():
            await asyncio.sleep(0)
        task.cancel()
    assert await world.reasons() == ["RolloutPaused"]
