"""A kind that is followed on demand: full while wanted, empty and silent otherwise."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from headrace.kubernetes.resources import DEPLOYMENTS
from headrace.runtime.clock import LoopClock
from headrace.runtime.cluster_memory import MemoryCluster
from headrace.runtime.on_demand import OnDemand
from headrace.runtime.reflector import Reflector, Source
from headrace.runtime.store import Store

pytestmark = pytest.mark.looptime


class World:
    def __init__(self) -> None:
        self.clock = LoopClock()
        self.memory = MemoryCluster(self.clock)
        self.store = Store()
        self.kind = OnDemand(DEPLOYMENTS, self.store, self._reflector)

    def _reflector(self) -> Reflector:
        source = Source(self.memory.client("reader"), DEPLOYMENTS)
        return Reflector(source, self.store, clock=self.clock, rng=random.Random(7))

    async def create(self, name: str) -> None:
        manifest = {"metadata": {"name": name, "namespace": "default"}, "spec": {}}
        await self.memory.client("user").create(DEPLOYMENTS, manifest)

    @property
    def reads(self) -> list[str]:
        return [r.verb for r in self.memory.requests if r.identity == "reader"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    running = asyncio.create_task(world.kind.run())
    yield world
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_nothing_is_read_before_it_is_wanted(world: World) -> None:
    await world.create("one")
    await asyncio.sleep(60)
    assert (len(world.store), world.reads) == (0, [])


async def test_it_is_followed_while_it_is_wanted(world: World) -> None:
    await world.create("one")
    world.kind.want(True)
    world.kind.want(True)
    await asyncio.sleep(1)
    await world.create("two")
    await asyncio.sleep(1)
    assert len(world.store) == 2
    assert world.reads.count("list") == 1


async def test_it_is_forgotten_afterwards_and_can_come_back(world: World) -> None:
    await world.create("one")
    world.kind.want(True)
    await asyncio.sleep(1)
    world.kind.want(False)
    await asyncio.sleep(1)
    assert len(world.store) == 0
    await world.create("two")
    await asyncio.sleep(1)
    assert len(world.store) == 0
    world.kind.want(True)
    await asyncio.sleep(1)
    assert len(world.store) == 2
