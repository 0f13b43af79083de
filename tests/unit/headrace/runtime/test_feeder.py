from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest

from headrace.runtime.clock import LoopClock
from headrace.runtime.cluster_memory.cluster import MemoryCluster
from headrace.runtime.feeder import QueueFeeder
from headrace.runtime.lease import Terms
from headrace.runtime.ownership import Membership, Ownership
from headrace.runtime.workqueue import Lane, WorkQueue

pytestmark = pytest.mark.looptime


class World:
    def __init__(self) -> None:
        self.clock = LoopClock()
        cluster = MemoryCluster(self.clock)
        membership = Membership("x", "default", "us", terms=Terms())
        self.ownership = Ownership(cluster.client("us"), self.clock, membership)
        self.queue = WorkQueue(self.clock)
        self.keys = [f"ns/app-{number}" for number in range(40)]
        self.assigned: list[frozenset[int]] = []
        self.feeder = QueueFeeder(
            self.queue, self.ownership, lambda: self.keys, self.clock, self.assigned.append
        )
        self.feeder.begin()

    async def own(self) -> asyncio.Task[None]:
        task = asyncio.create_task(self.ownership.run())
        await asyncio.sleep(0.1)
        return task

    async def taken(self) -> list[str]:
        """Return the keys that are ready, in order."""
        keys = []
        while self.queue.depth:
            key = await self.queue.get()
            assert key is not None
            keys.append(key)
            self.queue.done(key)
        return keys


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_every_key_of_a_gained_shard_is_looked_at() -> None:
    world = World()
    task = await world.own()
    assert sorted(await world.taken()) == sorted(world.keys)
    await end(task)


async def test_keys_of_a_lost_shard_are_forgotten_and_the_others_stay() -> None:
    world = World()
    task = await world.own()
    world.feeder.lost(frozenset({0, 2}))
    kept = [key for key in world.keys if world.ownership.shard_of(key) in (1, 3)]
    assert sorted(await world.taken()) == sorted(kept)
    await end(task)


async def test_a_wake_up_for_the_key_of_another_replica_is_none() -> None:
    world = World()
    world.feeder.wake("ns/app-1", lane=Lane.ABORT)
    assert world.queue.depth == 0


async def test_nothing_is_fed_before_the_caches_are_complete() -> None:
    world = World()
    late = QueueFeeder(world.queue, world.ownership, lambda: world.keys, world.clock)
    task = await world.own()
    await world.taken()
    late.wake("ns/app-1")
    assert world.queue.depth == 0
    late.begin()
    assert world.queue.depth == len(world.keys)
    await end(task)


async def test_the_consumer_reads_the_partitions_of_the_held_shards() -> None:
    world = World()
    task = await world.own()
    assert world.assigned[-1] == frozenset(range(12))
    await end(task)
    await world.ownership.release()
    assert world.assigned[-1] == frozenset()


async def test_a_resync_spreads_the_keys_over_its_time() -> None:
    world = World()
    task = await world.own()
    await world.taken()
    resync = asyncio.create_task(world.feeder.resync(400))
    await asyncio.sleep(0)
    times = []
    for _ in range(80):
        key = await world.queue.get()
        assert key is not None
        times.append(world.clock.monotonic())
        world.queue.done(key)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap == pytest.approx(10, abs=0.5) for gap in gaps)
    await end(resync)
    await end(task)
