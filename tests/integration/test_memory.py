"""Releases that come and go leave nothing behind: objects, memory and series stay as they were."""

from __future__ import annotations

import gc
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from service_world import ALL, World, has_phase, running, service_named, spec_of

from headrace.kubernetes.resources import EVENTS, ROLLOUTS, SERVICES, TRAFFIC_SPLITS
from headrace.runtime.bus_memory import MemoryBroker
from headrace.runtime.cluster import MergePatch

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(1800)]

BATCH = 10
GROWTH_MAX = 0.05
REST_SECONDS = 120.0
"""More than the time after which the series of a deleted object end."""

RETAINED = 20
"""Records that a partition of the broker retains: it is soon full, and grows no more."""


async def release(world: World, names: list[str]) -> None:
    """Deploy, update and promote one Rollout for each name, and delete all of them."""
    person = world.person
    for name in names:
        for role in ("active", "preview", "root"):
            await person.create(SERVICES, service_named(f"{role}-{name}"))
        routing = {"smi": {"rootService": f"root-{name}", "trafficSplitName": name}}
        spec = spec_of(
            stableService=f"active-{name}",
            canaryService=f"preview-{name}",
            trafficRouting=routing,
            steps=[{"setWeight": 20}, {"pause": {"duration": 1}}],
        )
        metadata = {"name": name, "namespace": "default"}
        kind = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
        await person.create(ROLLOUTS, {**kind, "metadata": metadata, "spec": spec})
    await until_all(world, names, 1)
    containers = [{"name": "app", "image": "app:v2"}]
    body = MergePatch({"spec": {"template": {"spec": {"containers": containers}}}})
    for name in names:
        await person.patch(ROLLOUTS, "default", name, body)
    await until_all(world, names, 2)
    for name in names:
        await person.delete(ROLLOUTS, "default", name)
        for role in ("active", "preview", "root"):
            await person.delete(SERVICES, "default", f"{role}-{name}")
    await world.clock.sleep(REST_SECONDS)
    for event in (await person.list(EVENTS)).items:
        await person.delete(EVENTS, "default", event["metadata"]["name"])


async def until_all(world: World, names: list[str], revision: int) -> None:
    limit = world.clock.now() + 300
    while late := [name for name in names if not await is_at(world, name, revision)]:
        assert world.clock.now() < limit, late
        await world.clock.sleep(1.0)


async def is_at(world: World, name: str, revision: int) -> bool:
    rollout = await world.person.get(ROLLOUTS, "default", name)
    annotations: Mapping[str, Any] = rollout["metadata"].get("annotations") or {}
    is_current = annotations.get("rollout.argoproj.io/revision") == str(revision)
    return is_current and has_phase("Healthy")(rollout.get("status") or {})


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def series(world: World) -> int:
    lines = (line for name in ALL for text in world.metrics[name].expose() for line in [text])
    return sum(text.count("\n") - text.count("\n#") for text in lines)


async def batches(world: World, count: int, first: int) -> None:
    for number in range(first, first + count):
        await release(world, [f"app-{number}-{each}" for each in range(BATCH)])
        # What the test itself and the API server keep is not what is measured.
        world.writes.clear()
        world.cluster.requests.clear()
        world.cluster.expire_watches()


async def test_releases_leave_no_objects_behind() -> None:
    async with running(spec_of()) as world:
        await limit_broker(world)
        await batches(world, 2, 0)
        before, series_before = objects(), series(world)
        await batches(world, 4, 2)
        after, series_after = objects(), series(world)
        assert after <= before * (1 + GROWTH_MAX)
        assert series_after <= series_before
        assert (await world.person.list(TRAFFIC_SPLITS)).items[0]["metadata"]["name"] == "split"


async def limit_broker(world: World) -> None:
    """Start the services again over a broker that retains little."""
    await world.stop_all()
    world.broker = MemoryBroker(RETAINED)
    for name in ALL:
        await world.start(name)


@pytest.mark.long
async def test_two_thousand_releases_leave_memory_as_it_was() -> None:
    async with running(spec_of()) as world:
        await limit_broker(world)
        await batches(world, 50, 0)
        before, series_before = resident_bytes(), series(world)
        await batches(world, 200, 50)
        assert resident_bytes() <= before * (1 + GROWTH_MAX)
        assert series(world) <= series_before
