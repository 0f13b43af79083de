"""Ping and pong with the real services on memory ports, by an HTTPRoute."""

from __future__ import annotations

from typing import Any

import pytest
from experiment_world import HASH, Canary, World, rollout, running

from headrace.kubernetes.resources import HTTP_ROUTES, SERVICES

pytestmark = [pytest.mark.looptime, pytest.mark.spec("canary 6.3")]


def backend(name: str, weight: int) -> dict[str, Any]:
    return {"name": name, "port": 80, "weight": weight}


async def weights(world: World) -> dict[str, int]:
    found = await world.person.get(HTTP_ROUTES, "default", "web")
    refs = found["spec"]["rules"][0]["backendRefs"]
    return {each["name"]: each["weight"] for each in refs}


async def until_weights(world: World, **wanted: int) -> None:
    async def holds() -> bool:
        return await weights(world) == wanted

    await world.until(f"{wanted}: {await weights(world)}", holds)


async def selected(world: World, service: str) -> str:
    found = await world.person.get(SERVICES, "default", service)
    return str(found["spec"]["selector"].get(HASH, ""))


async def deployed(world: World) -> Canary:
    """A first version behind ping; the person's HTTPRoute does not know yet which it will be."""
    canary, port = Canary(world), {"ports": [{"port": 80}]}
    for name in ("ping", "pong"):
        metadata = {"name": name, "namespace": "default"}
        spec = {"selector": {"app": "app"}, **port}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
        await world.person.create(SERVICES, service)
    rule = {"backendRefs": [backend("ping", 50), backend("pong", 50)]}
    metadata = {"name": "web", "namespace": "default"}
    route = {"metadata": metadata, "spec": {"parentRefs": [], "rules": [rule]}}
    api = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    await world.person.create(HTTP_ROUTES, {**api, **route})
    manifest = rollout(
        {"setWeight": 25},
        {"pause": {}},
        pingPong={"pingService": "ping", "pongService": "pong"},
        trafficRouting={"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}}},
    )
    await canary.deploy(manifest)
    return canary


@pytest.mark.spec("canary 5.6")
async def test_three_versions_take_turns() -> None:
    async with running() as world:
        canary = await deployed(world)
        assert await weights(world) == {"ping": 100, "pong": 0}
        for number, (old, new) in enumerate((("ping", "pong"), ("pong", "ping")), start=2):
            await canary.release(f"app:v{number}")
            await canary.until_phase("Paused")
            await until_weights(world, **{old: 75, new: 25})
            assert await selected(world, new) == (await canary.status())["currentPodHash"]
            before = (await selected(world, "ping"), await selected(world, "pong"))
            await canary.patch_status({"pauseConditions": None})
            await canary.until_phase("Healthy")
            await until_weights(world, **{old: 0, new: 100})
            assert (await canary.status())["canary"]["stablePingPong"] == new
            assert (await selected(world, "ping"), await selected(world, "pong")) == before
        events = await world.events("app")
    switched = [text.split("'")[1] for _, reason, text in events if reason == "SwitchService"]
    assert switched == ["ping", "pong", "ping"]


@pytest.mark.spec("canary 3.3")
async def test_an_abort_brings_everything_back_to_the_stable_service() -> None:
    async with running() as world:
        canary = await deployed(world)
        await canary.release("app:v2")
        await canary.until_phase("Paused")
        await until_weights(world, ping=75, pong=25)
        await canary.patch_status({"abort": True})
        await canary.until_phase("Degraded")
        await until_weights(world, ping=100, pong=0)
        assert (await canary.status())["canary"]["stablePingPong"] == "ping"
