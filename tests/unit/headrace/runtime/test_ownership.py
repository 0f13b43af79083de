from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from headrace.errors import LostOwnership
from headrace.events.topics import partition
from headrace.kubernetes.resources import CONFIG_MAPS, LEASES
from headrace.runtime.clock import LoopClock
from headrace.runtime.cluster_memory.cluster import MemoryCluster
from headrace.runtime.lease import LeaseMismatch, Terms
from headrace.runtime.ownership import Layout, Membership, Ownership

pytestmark = pytest.mark.looptime

KEYS = [f"team-{number % 7}/app-{number}" for number in range(500)]
TERMS = Terms(duration_seconds=10, renew_seconds=3, retry_seconds=1)


class Followed:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.shards: set[int] = set()
        self.log: list[tuple[str, frozenset[int]]] = []

    def gained(self, shards: frozenset[int]) -> None:
        self.shards |= shards
        self.log.append(("gained", shards))

    def lost(self, shards: frozenset[int]) -> None:
        self.shards -= shards
        self.log.append(("lost", shards))


class World:
    def __init__(self) -> None:
        self.clock = LoopClock()
        self.cluster = MemoryCluster(self.clock)
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def replica(
        self,
        identity: str,
        *,
        service: str = "traffic-router",
        instance_id: str = "",
        layout: Layout | None = None,
    ) -> Ownership:
        membership = Membership(
            service, "default", identity, instance_id, layout or Layout(), TERMS
        )
        return Ownership(self.cluster.client(identity), self.clock, membership)

    def start(self, identity: str, ownership: Ownership) -> None:
        self.tasks[identity] = asyncio.create_task(ownership.run())

    async def kill(self, identity: str) -> None:
        task = self.tasks.pop(identity)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def end(self) -> None:
        for identity in list(self.tasks):
            await self.kill(identity)


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def test_a_key_is_owned_with_the_partition_that_kafka_gives_it() -> None:
    layout = Layout(12, 4)
    for key in KEYS:
        shard = layout.shard_of(key)
        assert shard == partition(key, 12) % 4
        assert partition(key, 12) in layout.partitions_of(frozenset({shard}))
    assert {layout.shard_of(key) for key in KEYS} == {0, 1, 2, 3}


async def test_a_partition_belongs_to_exactly_one_shard() -> None:
    layout = Layout(12, 4)
    parts = [layout.partitions_of(frozenset({shard})) for shard in range(4)]
    assert sorted(p for part in parts for p in part) == list(range(12))


async def test_shards_must_divide_the_partitions() -> None:
    with pytest.raises(ValueError, match="do not divide"):
        Layout(12, 5)


async def test_lease_names_tell_services_instances_and_shards_apart() -> None:
    plain = Membership("traffic-router", "ns", "me")
    assert plain.lease_name(3) == "headrace-traffic-router-3"
    blue = Membership("traffic-router", "ns", "me", "blue")
    assert blue.lease_name(0) == "headrace-traffic-router-blue-0"
    odd = Membership("traffic-router", "ns", "me", "Blue_1").lease_name(0)
    assert odd == odd.lower()
    assert odd != Membership("traffic-router", "ns", "me", "blue_1").lease_name(0)


async def test_a_lone_replica_may_act_for_every_key_at_once() -> None:
    world = World()
    ownership = world.replica("a")
    followed = Followed()
    ownership.listen(followed)
    assert not any(ownership.may_act(key) for key in KEYS)
    world.start("a", ownership)
    await asyncio.sleep(0.1)
    assert all(ownership.may_act(key) for key in KEYS)
    assert ownership.partitions == frozenset(range(12))
    assert all(ownership.reads(number) for number in range(12))
    assert followed.shards == {0, 1, 2, 3}
    leases = await world.cluster.client("test").list(LEASES)
    assert len(leases.items) == 4
    annotations = leases.items[0]["metadata"]["annotations"]
    assert annotations == {"headrace.io/partitions": "12", "headrace.io/shards": "4"}
    await world.end()


async def test_a_late_listener_hears_of_what_is_held() -> None:
    world = World()
    ownership = world.replica("a")
    world.start("a", ownership)
    await asyncio.sleep(0.1)
    followed = Followed()
    ownership.listen(followed)
    assert followed.shards == {0, 1, 2, 3}
    await world.end()


async def test_no_key_is_ever_owned_twice_and_a_dead_replica_is_replaced() -> None:
    world = World()
    first, second = world.replica("a"), world.replica("b")
    world.start("a", first)
    await asyncio.sleep(0.5)
    world.start("b", second)
    for _ in range(50):
        await asyncio.sleep(1)
        assert not first.shards & second.shards
    await world.kill("a")
    killed_at = world.clock.monotonic()
    while len(second.shards) < 4:
        await asyncio.sleep(0.1)
        assert not first.shards & second.shards
        assert world.clock.monotonic() - killed_at < 15
    await world.end()


async def test_services_and_instances_do_not_disturb_each_other() -> None:
    world = World()
    owners = [
        world.replica("a", service="traffic-router"),
        world.replica("b", service="rollout-controller"),
        world.replica("c", service="traffic-router", instance_id="blue"),
    ]
    for number, ownership in enumerate(owners):
        await ownership.check()
        world.start(str(number), ownership)
    await asyncio.sleep(1)
    assert all(len(ownership.shards) == 4 for ownership in owners)
    await world.end()


async def test_releasing_tells_the_listeners_and_lets_others_in() -> None:
    world = World()
    first, second = world.replica("a"), world.replica("b")
    followed = Followed()
    first.listen(followed)
    world.start("a", first)
    await asyncio.sleep(1)
    world.start("b", second)
    await asyncio.sleep(1)
    await world.kill("a")
    await first.release()
    assert followed.shards == set()
    await until(lambda: len(second.shards) == 4, 3)
    await world.end()


async def test_refuses_to_start_beside_replicas_of_another_layout() -> None:
    world = World()
    running = world.replica("a", layout=Layout(12, 6))
    world.start("a", running)
    await asyncio.sleep(1)
    with pytest.raises(LeaseMismatch, match=r"headrace\.io/shards=6"):
        await world.replica("b", layout=Layout(12, 4)).check()
    await world.replica("c", layout=Layout(12, 6)).check()
    await world.end()


async def test_waits_for_the_leases_of_a_dead_replica_of_another_layout() -> None:
    world = World()
    world.start("a", world.replica("a", layout=Layout(12, 6)))
    await asyncio.sleep(1)
    await world.kill("a")
    began = world.clock.monotonic()
    changed = world.replica("b", layout=Layout(12, 4))
    await changed.check()
    assert 9 <= world.clock.monotonic() - began <= 12
    world.start("b", changed)
    await until(lambda: len(changed.shards) == 4)
    await world.end()


async def test_stops_when_another_layout_appears_while_running() -> None:
    world = World()
    world.start("a", world.replica("a", layout=Layout(12, 6)))
    await asyncio.sleep(1)
    with pytest.raises(ExceptionGroup) as stopped:
        await world.replica("b", layout=Layout(12, 4)).run()
    assert stopped.group_contains(LeaseMismatch)
    await world.end()


async def test_no_write_leaves_for_a_key_whose_lease_is_lost() -> None:
    world = World()
    ownership = world.replica("a")
    guarded = ownership.guard(world.cluster.client("a"), KEYS[0])
    manifest = {"metadata": {"namespace": "default", "name": "x"}}
    with pytest.raises(LostOwnership):
        await guarded.create(CONFIG_MAPS, manifest)
    world.start("a", ownership)
    await asyncio.sleep(0.1)
    await guarded.create(CONFIG_MAPS, manifest)
    await world.kill("a")
    await asyncio.sleep(10)
    with pytest.raises(LostOwnership):
        await guarded.delete(CONFIG_MAPS, "default", "x")
    assert await world.cluster.client("test").get(CONFIG_MAPS, "default", "x")
