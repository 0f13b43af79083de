"""The reflector: the store ends up equal to the server, whatever ends a watch."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from headrace.errors import Expired, Forbidden, NotFound, RateLimited, RolloutError, Unavailable
from headrace.kubernetes.resources import CONFIG_MAPS, TRAFFIC_SPLITS, Manifest, Resource
from headrace.runtime.clock import LoopClock
from headrace.runtime.cluster import MergePatch, Selection
from headrace.runtime.cluster_memory import MemoryCluster, Request
from headrace.runtime.reflector import Reflector, Source
from headrace.runtime.store import Store

pytestmark = pytest.mark.looptime


@dataclass
class World:
    """A memory cluster that can be told to fail, and who asks it for what."""

    clock: LoopClock = field(default_factory=LoopClock)
    errors: list[RolloutError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = MemoryCluster(self.clock)
        self.memory.intercept = self._intercept
        self.writer = self.memory.client("writer")

    def reflector(
        self, resource: Resource = CONFIG_MAPS, *, is_optional: bool = False, labels: str = ""
    ) -> tuple[Reflector, Store]:
        store = Store()
        source = Source(
            self.memory.client("reader"),
            resource,
            Selection(labels=labels),
            is_optional=is_optional,
        )
        return Reflector(source, store, clock=self.clock, rng=random.Random(7)), store

    async def create(self, name: str, **labels: str) -> Manifest:
        metadata = {"name": name, "namespace": "shop", "labels": labels}
        return await self.writer.create(CONFIG_MAPS, {"metadata": metadata})

    def asked(self, verb: str) -> int:
        return sum(1 for request in self.memory.requests if _asks(request, verb))

    def _intercept(self, request: Request) -> None:
        if request.identity == "reader" and self.errors:
            raise self.errors.pop(0)


def _asks(request: Request, verb: str) -> bool:
    return request.identity == "reader" and request.verb == verb


@asynccontextmanager
async def running(reflector: Reflector) -> AsyncIterator[None]:
    task = asyncio.create_task(reflector.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(600):
        while not condition():
            await asyncio.sleep(0.01)


def names(store: Store) -> list[str]:
    return sorted(found["metadata"]["name"] for found in store.list())


async def test_brings_what_is_there_and_what_changes() -> None:
    world = World()
    await world.create("a")
    reflector, store = world.reflector()
    assert not reflector.is_synced
    assert reflector.last_contact is None
    async with running(reflector):
        await reflector.wait_synced()
        assert names(store) == ["a"]
        await world.create("b")
        await world.writer.delete(CONFIG_MAPS, "shop", "a")
        await until(lambda: names(store) == ["b"])
    assert (world.asked("list"), world.asked("watch")) == (1, 1)


async def test_asks_the_server_to_select() -> None:
    world = World()
    await world.create("a", app="x")
    await world.create("b", app="y")
    reflector, store = world.reflector(labels="app=x")
    async with running(reflector):
        await reflector.wait_synced()
        assert names(store) == ["a"]


async def test_goes_on_where_the_watch_ended_without_a_new_list() -> None:
    world = World()
    reflector, store = world.reflector()
    async with running(reflector):
        await reflector.wait_synced()
        await asyncio.sleep(10)
        world.memory.close_watches()
        await world.create("a")
        await until(lambda: names(store) == ["a"])
        assert reflector.last_error is None
    assert (world.asked("list"), world.asked("watch")) == (1, 2)


async def test_lists_again_when_its_version_expired_and_notices_deletions() -> None:
    world = World()
    await world.create("a")
    await world.create("b")
    reflector, store = world.reflector()
    async with running(reflector):
        await reflector.wait_synced()
        heard: list[str] = []
        store.listen(lambda change, _old, _new: heard.append(change))
        world.errors = [Unavailable("down")] * 5
        world.memory.close_watches()
        await world.writer.delete(CONFIG_MAPS, "shop", "a")
        await world.writer.patch(CONFIG_MAPS, "shop", "b", MergePatch({"data": {"x": "1"}}))
        await world.create("c")
        world.memory.expire_watches()
        await until(lambda: names(store) == ["b", "c"])
        assert sorted(heard) == ["ADDED", "DELETED", "MODIFIED"]
    assert world.asked("list") == 2


async def test_says_why_it_has_no_contact_and_since_when() -> None:
    world = World()
    reflector, _ = world.reflector()
    async with running(reflector):
        await reflector.wait_synced()
        heard_at = reflector.last_contact
        world.errors = [Forbidden("no list on configmaps")] * 3
        world.memory.close_watches()
        await until(lambda: reflector.last_error is not None)
        assert str(reflector.last_error) == "no list on configmaps"
        assert reflector.last_contact == heard_at
        assert reflector.is_synced
        await until(lambda: not world.errors)
        await world.create("a")
        await until(lambda: reflector.last_error is None)


async def test_a_bookmark_is_a_contact() -> None:
    world = World()
    reflector, store = world.reflector()
    async with running(reflector):
        await reflector.wait_synced()
        await asyncio.sleep(50)
        world.memory.send_bookmarks()
        await until(lambda: world.clock.now() - (reflector.last_contact or 0.0) < 1)
        assert store.resource_version


async def test_waits_longer_after_each_failure() -> None:
    world = World()
    world.errors = [Unavailable("down")] * 12
    reflector, _ = world.reflector()
    began = world.clock.now()
    async with running(reflector):
        await reflector.wait_synced()
    # 0.1 s doubling to 5 s, half of it random.
    assert 10 < world.clock.now() - began < 45


async def test_waits_as_long_as_the_server_asks() -> None:
    world = World()
    world.errors = [RateLimited("slow down", retry_after_seconds=30)]
    reflector, _ = world.reflector()
    began = world.clock.now()
    async with running(reflector):
        await reflector.wait_synced()
    assert 30 <= world.clock.now() - began < 31


async def test_does_not_spin_when_every_watch_expires_or_ends_at_once() -> None:
    for error in (Expired("gone"), None):
        world = World()
        reflector, _ = world.reflector()

        def spoil(request: Request, world: World = world, error: Expired | None = error) -> None:
            if _asks(request, "watch"):
                if error is not None:
                    raise error
                asyncio.get_running_loop().call_soon(world.memory.close_watches)

        world.memory.intercept = spoil
        async with running(reflector):
            await asyncio.sleep(60)
        assert 10 < world.asked("watch") < 40


async def test_an_optional_kind_that_is_not_served_is_empty() -> None:
    world = World()
    reflector, store = world.reflector(TRAFFIC_SPLITS, is_optional=True)
    world.errors = [NotFound("the server could not find the requested resource")] * 8
    async with running(reflector):
        await reflector.wait_synced()
        assert names(store) == []
        assert reflector.last_error is None
        await asyncio.sleep(60)
        assert 3 < world.asked("list") < 8
        world.errors.clear()
        metadata = {"name": "split", "namespace": "shop"}
        await world.writer.create(TRAFFIC_SPLITS, {"metadata": metadata})
        await until(lambda: names(store) == ["split"])


async def test_a_kind_that_must_be_served_is_not_synced_without_it() -> None:
    world = World()
    reflector, _ = world.reflector(TRAFFIC_SPLITS)
    world.errors = [NotFound("the server could not find the requested resource")] * 4
    async with running(reflector):
        await until(lambda: reflector.last_error is not None)
        assert not reflector.is_synced
        await reflector.wait_synced()
