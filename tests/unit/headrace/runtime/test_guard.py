from __future__ import annotations

import pytest

from headrace.errors import AlreadyExists, Conflict, LostOwnership, NotFound, PreconditionFailed
from headrace.kubernetes.resources import CONFIG_MAPS, PODS, Manifest
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster import JsonPatch, Listing, MergePatch
from headrace.runtime.cluster_memory.client import MemoryClient
from headrace.runtime.cluster_memory.cluster import MemoryCluster
from headrace.runtime.guard import Caches, GuardedCluster
from headrace.runtime.store import Store


def config_map(name: str = "x", **data: str) -> Manifest:
    return {"metadata": {"namespace": "default", "name": name}, "data": data}


class World:
    def __init__(self) -> None:
        cluster = MemoryCluster(VirtualClock())
        self.others: MemoryClient = cluster.client("others")
        self.requests = cluster.requests
        self.store = Store()
        self.store.replace(Listing((), "1"))
        self.is_held = True
        self.guarded = GuardedCluster(
            cluster.client("us"), lambda: self.is_held, Caches({CONFIG_MAPS: self.store})
        )

    def cached(self, name: str = "x") -> dict[str, str] | None:
        manifest = self.store.get("default", name)
        return None if manifest is None else manifest["data"]


async def test_stops_every_kind_of_write_without_the_lease() -> None:
    world = World()
    await world.others.create(CONFIG_MAPS, config_map())
    world.is_held = False
    guarded = world.guarded
    for write in (
        guarded.create(CONFIG_MAPS, config_map("y")),
        guarded.patch(CONFIG_MAPS, "default", "x", MergePatch({"data": {"a": "1"}})),
        guarded.delete(CONFIG_MAPS, "default", "x"),
        guarded.evict("default", "x"),
    ):
        with pytest.raises(LostOwnership):
            await write
    assert not [request for request in world.requests if request.identity == "us"]


async def test_reads_need_no_lease() -> None:
    world = World()
    await world.others.create(CONFIG_MAPS, config_map(a="1"))
    world.is_held = False
    assert (await world.guarded.get(CONFIG_MAPS, "default", "x"))["data"] == {"a": "1"}
    assert len((await world.guarded.list(CONFIG_MAPS)).items) == 1


async def test_the_answer_of_a_write_enters_the_cache() -> None:
    world = World()
    await world.guarded.create(CONFIG_MAPS, config_map(a="1"))
    assert world.cached() == {"a": "1"}
    await world.guarded.patch(CONFIG_MAPS, "default", "x", MergePatch({"data": {"a": "2"}}))
    assert world.cached() == {"a": "2"}
    await world.guarded.delete(CONFIG_MAPS, "default", "x")
    assert world.cached() is None


async def test_a_conflict_brings_the_object_as_it_is_now() -> None:
    world = World()
    stale = await world.guarded.create(CONFIG_MAPS, config_map(a="1"))
    await world.others.patch(CONFIG_MAPS, "default", "x", MergePatch({"data": {"a": "user"}}))
    version = stale["metadata"]["resourceVersion"]
    patch = MergePatch({"metadata": {"resourceVersion": version}, "data": {"a": "2"}})
    with pytest.raises(Conflict):
        await world.guarded.patch(CONFIG_MAPS, "default", "x", patch)
    assert world.cached() == {"a": "user"}


async def test_a_failed_test_brings_the_object_as_it_is_now() -> None:
    world = World()
    await world.guarded.create(CONFIG_MAPS, config_map(a="1"))
    await world.others.patch(CONFIG_MAPS, "default", "x", MergePatch({"data": {"a": "user"}}))
    patch = JsonPatch([{"op": "test", "path": "/data/a", "value": "1"}])
    with pytest.raises(PreconditionFailed):
        await world.guarded.patch(CONFIG_MAPS, "default", "x", patch)
    assert world.cached() == {"a": "user"}


async def test_an_object_that_exists_already_enters_the_cache() -> None:
    world = World()
    await world.others.create(CONFIG_MAPS, config_map(a="theirs"))
    with pytest.raises(AlreadyExists):
        await world.guarded.create(CONFIG_MAPS, config_map(a="ours"))
    assert world.cached() == {"a": "theirs"}


async def test_an_object_that_is_gone_leaves_the_cache() -> None:
    world = World()
    await world.guarded.create(CONFIG_MAPS, config_map(a="1"))
    await world.others.delete(CONFIG_MAPS, "default", "x")
    with pytest.raises(NotFound):
        await world.guarded.patch(CONFIG_MAPS, "default", "x", MergePatch({"data": {"a": "2"}}))
    assert world.cached() is None


async def test_a_delete_whose_precondition_fails_keeps_the_object() -> None:
    world = World()
    await world.guarded.create(CONFIG_MAPS, config_map(a="1"))
    with pytest.raises(Conflict):
        await world.guarded.delete(CONFIG_MAPS, "default", "x", uid="another")
    assert world.cached() == {"a": "1"}


async def test_kinds_without_a_cache_are_just_written() -> None:
    world = World()
    pod = {
        "metadata": {"namespace": "default", "name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    await world.guarded.create(PODS, pod)
    await world.guarded.evict("default", "p")
