"""Header steps with the real services on memory ports, by the Gateway API."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from experiment_world import Canary, World, rollout, running

from headrace.errors import Unavailable
from headrace.kubernetes.resources import HTTP_ROUTES, Manifest
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import PodBehaviour, Request

pytestmark = [pytest.mark.looptime, pytest.mark.spec("canary 5.4")]

MATCH = [{"headerName": "x-beta", "headerValue": {"exact": "yes"}}]
STEPS: tuple[dict[str, Any], ...] = (
    {"setCanaryScale": {"replicas": 1}},
    {"setHeaderRoute": {"name": "beta", "match": MATCH}},
    {"pause": {}},
    {"setWeight": 50},
)
WEIGHTED = {
    "backendRefs": [
        {"name": "canary", "port": 80, "weight": 0},
        {"name": "stable", "port": 80, "weight": 100},
    ]
}


def gateway() -> Manifest:
    return rollout(
        *STEPS,
        canaryService="canary",
        stableService="stable",
        trafficRouting={
            "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}},
            "managedRoutes": [{"name": "beta"}],
        },
    )


async def rules(world: World) -> list[Any]:
    found = await world.person.get(HTTP_ROUTES, "default", "web")
    return list(found["spec"]["rules"])


async def until_rules(world: World, *names: str | None) -> None:
    async def holds() -> bool:
        return [each.get("name") for each in await rules(world)] == [*names]

    await world.until(f"rules {names}: {await rules(world)}", holds)


async def paused_with_header(world: World) -> Canary:
    """Deploy, release a second version, and wait for the pause behind the header step."""
    canary = Canary(world)
    metadata = {"name": "web", "namespace": "default"}
    route = {"metadata": metadata, "spec": {"parentRefs": [], "rules": [WEIGHTED]}}
    api = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    await world.person.create(HTTP_ROUTES, {**api, **route})
    await canary.deploy(gateway())
    assert len(await rules(world)) == 1
    await canary.release("app:v2")
    await canary.until_phase("Paused")
    return canary


@pytest.mark.spec("canary 2.1")
@pytest.mark.spec("traffic-routing 11.3")
@pytest.mark.spec("traffic-routing 11.4")
async def test_a_header_rule_is_there_when_its_step_is_over_and_goes_with_the_promotion() -> None:
    async with running() as world:
        canary = await paused_with_header(world)
        weighted, header = await rules(world)
        assert [each["weight"] for each in weighted["backendRefs"]] == [0, 100]
        assert header["name"] == "beta"
        assert [each["name"] for each in header["backendRefs"]] == ["canary"]
        wanted = {"name": "x-beta", "type": "Exact", "value": "yes"}
        assert header["matches"] == [{"headers": [wanted]}]

        body = MergePatch({"spec": {"rules": [weighted]}})
        await world.person.patch(HTTP_ROUTES, "default", "web", body)
        await until_rules(world, None, "beta")

        await canary.patch_status({"pauseConditions": None})
        await canary.until_phase("Healthy")
        await until_rules(world, None)
        events = [message for _, _, message in await world.events("app")]
    assert "Rollout step 2/4 completed (setHeaderRoute: beta)" in events


@pytest.mark.spec("canary 5.2")
async def test_an_abort_takes_the_header_rule_away() -> None:
    async with running() as world:
        canary = await paused_with_header(world)
        await until_rules(world, None, "beta")
        await canary.patch_status({"abort": True})
        await canary.until_phase("Degraded")
        assert [each.get("name") for each in await rules(world)] == [None]


def refuse_routes(request: Request) -> None:
    """Let nobody write an HTTPRoute."""
    if request.resource == "httproutes" and request.verb == "patch":
        raise Unavailable("the mesh is away")


@pytest.mark.spec("canary 3.2")
async def test_a_full_promotion_waits_until_the_header_rule_is_gone() -> None:
    async with running() as world:
        canary = await paused_with_header(world)
        world.cluster.intercept = refuse_routes
        await canary.patch_status({"promoteFull": True})
        await asyncio.sleep(60)
        status = await canary.status()
        assert status["stableRS"] != status["currentPodHash"]
        assert status["headrace"]["waiting"]["reason"] in ("RouteAcknowledgement", "RouteFailed")
        world.cluster.intercept = None
        await canary.until_phase("Healthy")
        assert [each.get("name") for each in await rules(world)] == [None]


@pytest.mark.spec("canary 3.2")
async def test_a_full_promotion_away_from_a_broken_stable_version_waits_for_no_route() -> None:
    async with running() as world:
        canary = await paused_with_header(world)
        world.cluster.intercept = refuse_routes
        await canary.patch_status({"promoteFull": True})
        await canary.until(
            "the new version has its pods", lambda status: status["updatedReplicas"] == 4
        )
        await asyncio.sleep(5)
        assert (await canary.status())["phase"] != "Healthy"
        world.cluster.behave("app:v1", PodBehaviour(ready_seconds=None))
        await world.kill_pods("app")
        await canary.until_phase("Healthy")
        world.cluster.intercept = None
        await until_rules(world, None)
