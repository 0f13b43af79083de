"""What becomes of Services that no Rollout names any more, with all three services."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from experiment_world import HASH, ROUTED, Canary, World, rollout, running

from headrace.kubernetes.resources import ROLLOUTS, SERVICES
from headrace.runtime.cluster import MergePatch
from rollout_controller.core import labels

pytestmark = [
    pytest.mark.spec("rollout-api 7.1"),
    pytest.mark.spec("rollout-api 7.2"),
    pytest.mark.spec("rollout-api 9"),
]

FREE = {"app": "app"}, ""


async def held(world: World, name: str) -> tuple[Mapping[str, str], str]:
    """Return what a Service selects, and which Rollout manages it."""
    found = await world.person.get(SERVICES, "default", name)
    annotations = found["metadata"].get("annotations") or {}
    return found["spec"]["selector"], annotations.get(labels.MANAGED_BY, "")


async def add_service(world: World, name: str, **metadata: Any) -> None:
    metadata = {"name": name, "namespace": "default", **metadata}
    spec = {"selector": {"app": "app"}, "ports": [{"port": 80}]}
    await world.person.create(SERVICES, {"metadata": metadata, "spec": spec})


async def test_services_outlive_their_rollout_and_answer() -> None:
    async with running() as world:
        canary = Canary(world)
        await canary.deploy(rollout({"setWeight": 50}, {"pause": {}}, **ROUTED))
        await canary.release("app:v2")
        await canary.until_phase("Paused")
        for name in ("canary", "stable"):
            selector, manager = await held(world, name)
            assert (set(selector), manager) == ({"app", HASH}, "app")
        await world.person.delete(ROLLOUTS, "default", "app")

        async def are_free() -> bool:
            return [await held(world, name) for name in ("canary", "stable")] == [FREE, FREE]

        await world.until("both Services are free", are_free)


async def test_a_service_that_is_no_longer_named_waits_for_its_route() -> None:
    async with running() as world:
        canary = Canary(world)
        await canary.deploy(rollout({"setWeight": 50}, {"pause": {}}, **ROUTED))
        await canary.release("app:v2")
        await canary.until_phase("Paused")
        assert await canary.split() == {"canary": 50, "stable": 50}
        await add_service(world, "other")
        freed_at: list[dict[str, int]] = []
        spec = {"strategy": {"canary": {"canaryService": "other"}}}
        await world.person.patch(ROLLOUTS, "default", "app", MergePatch({"spec": spec}))

        async def is_free() -> bool:
            if await held(world, "canary") == FREE:
                freed_at.append(await canary.split())
            return bool(freed_at)

        await world.until("the Service is free", is_free)
        assert freed_at[0].get("canary", 0) == 0
        await canary.is_split(other=50, stable=50)
        assert (await held(world, "other"))[1] == "app"


async def test_a_slip_of_the_pen_in_a_name_lets_go_of_nothing() -> None:
    async with running() as world:
        canary = Canary(world)
        await add_service(world, "active")
        strategy = {"blueGreen": {"activeService": "active"}}
        manifest = rollout()
        manifest["spec"]["strategy"] = strategy
        await canary.deploy(manifest)
        kept = await held(world, "active")
        assert kept != FREE

        async def name(service: str) -> None:
            spec = {"strategy": {"blueGreen": {"activeService": service}}}
            await world.person.patch(ROLLOUTS, "default", "app", MergePatch({"spec": spec}))

        await name("missing")
        await canary.until_phase("Degraded")
        await asyncio.sleep(20)
        assert await held(world, "active") == kept
        await name("stable")

        async def is_free() -> bool:
            return await held(world, "active") == FREE

        await world.until("the Service is free", is_free)


async def test_services_of_other_controllers_are_left_alone() -> None:
    async with running() as world:
        manifest = rollout({"setWeight": 50}, **ROUTED)
        manifest["metadata"]["labels"] = {labels.INSTANCE_ID: "other"}
        await world.person.create(ROLLOUTS, manifest)
        annotations = {labels.MANAGED_BY: "app"}
        await add_service(world, "stable", annotations=annotations)
        await add_service(world, "dead", annotations={labels.MANAGED_BY: "gone"})
        body = MergePatch({"spec": {"selector": {HASH: "x"}}})
        for name in ("stable", "dead"):
            await world.person.patch(SERVICES, "default", name, body)

        async def is_free() -> bool:
            return await held(world, "dead") == FREE

        await world.until("the Service of nobody is free", is_free)
        assert await held(world, "stable") == ({"app": "app", HASH: "x"}, "app")
