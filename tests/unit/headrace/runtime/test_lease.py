from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from headrace.errors import Unavailable
from headrace.kubernetes.resources import LEASES, Manifest, Resource
from headrace.model.meta import parse_time
from headrace.runtime.clock import LoopClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory.client import Request
from headrace.runtime.cluster_memory.cluster import MemoryCluster
from headrace.runtime.lease import (
    Claim,
    Lease,
    LeaseMismatch,
    Terms,
    check_agreement,
    decide,
    new_lease,
    release,
    renew,
    sight,
    take,
)

pytestmark = pytest.mark.looptime

TERMS = Terms(duration_seconds=10, renew_seconds=3, retry_seconds=1)


def claim(identity: str, **annotations: str) -> Claim:
    return Claim("default", "headrace-x-0", identity, TERMS, {"app": "x"}, annotations)


def stored(identity: str, *, version: str = "1", **annotations: str) -> Manifest:
    manifest = new_lease(claim(identity, **annotations), 1_700_000_000.25)
    manifest["metadata"] |= {"uid": "u", "resourceVersion": version}
    return manifest


# The pure half.


async def test_a_lease_is_free_when_it_did_not_change_for_its_duration() -> None:
    first = sight(None, stored("other"), 100.0)
    again = sight(first, stored("other", version="2"), 105.0)
    assert again.since == 100.0, "only the record counts, by our own clock"
    assert decide(again, claim("me"), 109.9) == "wait"
    assert decide(again, claim("me"), 110.0) == "take"


async def test_a_renewal_starts_the_wait_again() -> None:
    first = sight(None, stored("other"), 100.0)
    renewed = stored("other")
    renewed["spec"]["renewTime"] = "2023-11-14T22:13:25.000000Z"
    assert decide(sight(first, renewed, 109.0), claim("me"), 110.0) == "wait"


async def test_a_released_lease_is_free_at_once() -> None:
    manifest = stored("other")
    patch = release(manifest, 1_700_000_001.0)
    manifest["spec"] |= patch.body["spec"]
    assert patch.body["metadata"]["resourceVersion"] == "1"
    assert decide(sight(None, manifest, 0.0), claim("me"), 0.0) == "take"


async def test_an_own_lease_is_renewed_whatever_its_age() -> None:
    assert decide(sight(None, stored("me"), 0.0), claim("me"), 100.0) == "renew"
    patch = renew(stored("me", version="7"), claim("me"), 1_700_000_009.5)
    assert patch == MergePatch(
        {
            "metadata": {"resourceVersion": "7"},
            "spec": {"renewTime": "2023-11-14T22:13:29.500000Z"},
        }
    )


async def test_taking_counts_the_transition_and_writes_the_holder() -> None:
    patch = take(stored("other", version="7"), claim("me", a="1"), 1_700_000_020.0)
    assert patch.body["metadata"]["resourceVersion"] == "7"
    assert patch.body["metadata"]["annotations"] == {"a": "1"}
    assert patch.body["spec"]["holderIdentity"] == "me"
    assert patch.body["spec"]["leaseTransitions"] == 1
    assert patch.body["spec"]["acquireTime"] == patch.body["spec"]["renewTime"]


async def test_the_duration_in_the_object_is_rounded_up() -> None:
    short = Claim("default", "x", "me", Terms(1.5, 0.5, 0.1))
    assert new_lease(short, 0.0)["spec"]["leaseDurationSeconds"] == 2


async def test_refuses_a_living_holder_that_shares_the_work_out_differently() -> None:
    wanted = claim("me", shards="4")
    first = sight(None, stored("other", shards="6"), 0.0)
    check_agreement(None, first, wanted)  # it may be dead
    check_agreement(first, sight(first, stored("other", shards="6"), 1.0), wanted)
    renewed = stored("other", shards="6")
    renewed["spec"]["renewTime"] = "2023-11-14T22:13:25.000000Z"
    with pytest.raises(LeaseMismatch, match="shards=6"):
        check_agreement(first, sight(first, renewed, 2.0), wanted)


# The shell, on the memory cluster.


class World:
    """A cluster and replicas that want the same Lease."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.cluster = MemoryCluster(self.clock)
        self.changes: list[tuple[float, str, bool]] = []

    def replica(self, identity: str) -> Lease:
        def changed(is_held: bool) -> None:
            self.changes.append((round(self.clock.monotonic(), 2), identity, is_held))

        return Lease(self.cluster.client(identity), self.clock, claim(identity), changed)

    async def object(self) -> Manifest:
        return await self.cluster.client("test").get(LEASES, "default", "headrace-x-0")


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def test_a_replica_gets_a_new_lease_at_once_and_keeps_it() -> None:
    world = World()
    lease = world.replica("a")
    running = asyncio.create_task(lease.run())
    await asyncio.sleep(0)
    assert lease.is_held
    await asyncio.sleep(3600)
    assert lease.is_held
    assert world.changes == [(0.0, "a", True)]
    spec = (await world.object())["spec"]
    assert parse_time(spec["renewTime"]) == pytest.approx(world.clock.now(), abs=3.1)
    writes = [r for r in world.cluster.requests if r.identity == "a"]
    assert len(writes) == pytest.approx(1200, abs=10), "a renewal is one request"
    await end(running)


async def test_only_one_of_two_holds_and_the_other_takes_over_when_it_dies() -> None:
    world = World()
    first, second = world.replica("a"), world.replica("b")
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.5)
    waiting = asyncio.create_task(second.run())
    await asyncio.sleep(100)
    assert first.is_held
    assert not second.is_held
    died_at = world.clock.monotonic()
    await end(running)
    await until(lambda: second.is_held)
    assert world.clock.monotonic() - died_at < 12
    assert not first.is_held, "the first had stopped by its own clock before"
    assert (await world.object())["spec"]["leaseTransitions"] == 1
    await end(waiting)


async def test_a_released_lease_is_taken_within_the_retry_time() -> None:
    world = World()
    first, second = world.replica("a"), world.replica("b")
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.5)
    waiting = asyncio.create_task(second.run())
    await asyncio.sleep(5)
    await end(running)
    await first.release()
    assert not first.is_held
    assert not (await world.object())["spec"].get("holderIdentity")
    await until(lambda: second.is_held, 1.5)
    await end(waiting)
    assert [change[1:] for change in world.changes] == [("a", True), ("a", False), ("b", True)]


async def test_a_holder_stops_before_others_may_start_when_its_renewals_fail() -> None:
    world = World()
    first, second = world.replica("a"), world.replica("b")
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.5)
    waiting = asyncio.create_task(second.run())
    await asyncio.sleep(20)

    def cut_off(request: Request) -> None:
        if request.identity == "a":
            raise Unavailable("no route to host")

    world.cluster.intercept = cut_off
    await until(lambda: second.is_held)
    times = {(identity, is_held): at for at, identity, is_held in world.changes}
    assert times["a", False] <= times["b", True] - 1, "never two at a time, with a margin"
    world.cluster.intercept = None
    await asyncio.sleep(30)
    assert second.is_held
    assert not first.is_held
    await end(running)
    await end(waiting)


async def test_a_short_failure_of_the_api_server_does_not_cost_the_lease() -> None:
    world = World()
    lease = world.replica("a")
    running = asyncio.create_task(lease.run())
    await asyncio.sleep(20)

    def refuse(request: Request) -> None:
        raise Unavailable("restarting")

    world.cluster.intercept = refuse
    await asyncio.sleep(4)
    world.cluster.intercept = None
    await asyncio.sleep(20)
    assert world.changes == [(0.0, "a", True)]
    await end(running)


async def test_a_frozen_holder_knows_before_its_next_write() -> None:
    class FreezableClock(LoopClock):
        """Time goes on while the process does not run: SIGSTOP."""

        frozen_seconds = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.frozen_seconds

    world = World()
    clock = FreezableClock()
    lease = Lease(world.cluster.client("a"), clock, claim("a"), lambda _: None)
    running = asyncio.create_task(lease.run())
    await asyncio.sleep(1)
    assert lease.is_held
    clock.frozen_seconds = 9.0
    assert not lease.is_held, "without a turn of the event loop"
    await end(running)


async def test_a_slow_answer_makes_no_lease_look_older_than_it_is() -> None:
    world = World()
    holder = asyncio.create_task(world.replica("a").run())
    await asyncio.sleep(1)

    class SlowFirst:
        """A port whose first answer comes when its process was frozen for a while."""

        def __init__(self) -> None:
            self.delay_seconds = 9.5

        async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
            delay, self.delay_seconds = self.delay_seconds, 0.0
            await asyncio.sleep(delay)
            return await world.cluster.client("b").get(resource, namespace, name)

    slow: Any = SlowFirst()
    other = Lease(slow, world.clock, claim("b"), lambda _: None)
    assert not await other.attempt()
    await asyncio.sleep(1)
    assert not await other.attempt(), "its holder has renewed it a moment ago"
    await end(holder)


async def test_a_gap_is_told_as_loss_and_gain_even_if_nobody_took_the_lease() -> None:
    world = World()
    lease = world.replica("a")
    running = asyncio.create_task(lease.run())
    await asyncio.sleep(1)
    await end(running)
    await asyncio.sleep(20)
    running = asyncio.create_task(lease.run())
    await asyncio.sleep(0.5)
    assert lease.is_held
    assert [change[2] for change in world.changes] == [True, False, True]
    await end(running)


async def test_a_holder_that_comes_back_late_finds_the_lease_taken() -> None:
    world = World()
    first, second = world.replica("a"), world.replica("b")
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.5)
    await end(running)  # frozen: it does not run, but keeps what it knows
    waiting = asyncio.create_task(second.run())
    await until(lambda: second.is_held)
    running = asyncio.create_task(first.run())
    await asyncio.sleep(30)
    assert not first.is_held
    assert second.is_held
    assert (await world.object())["spec"]["holderIdentity"] == "b"
    await end(running)
    await end(waiting)


async def test_a_deleted_lease_is_created_again() -> None:
    world = World()
    lease = world.replica("a")
    running = asyncio.create_task(lease.run())
    await asyncio.sleep(5)
    await world.cluster.client("test").delete(LEASES, "default", "headrace-x-0")
    await asyncio.sleep(5)
    assert lease.is_held
    assert (await world.object())["spec"]["holderIdentity"] == "a"
    assert world.changes == [(0.0, "a", True)]
    await end(running)


async def test_a_foreign_annotation_does_not_cost_the_lease() -> None:
    world = World()
    lease = world.replica("a")
    running = asyncio.create_task(lease.run())
    await asyncio.sleep(5)
    patch = MergePatch({"metadata": {"annotations": {"by": "somebody"}}})
    await world.cluster.client("test").patch(LEASES, "default", "headrace-x-0", patch)
    await asyncio.sleep(60)
    assert world.changes == [(0.0, "a", True)]
    await end(running)


async def test_release_without_an_api_server_ends_in_time() -> None:
    world = World()
    lease = world.replica("a")
    running = asyncio.create_task(lease.run())
    await asyncio.sleep(1)
    await end(running)

    def refuse(request: Request) -> None:
        raise Unavailable("away")

    world.cluster.intercept = refuse
    await lease.release()
    assert not lease.is_held
