"""Two Services that swap their roles at each promotion, with a router that obeys or not."""

from __future__ import annotations

from typing import Any

import pytest
from engine_world import World, canary

from headrace.kubernetes.resources import ROLLOUTS, SERVICES
from headrace.runtime.cluster import MergePatch

pytestmark = pytest.mark.spec("canary 6.3")

PAIR = {"pingService": "ping", "pongService": "pong"}
ROUTING = {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}}}
STEPS: list[dict[str, Any]] = [{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]


def ping_pong(**strategy: Any) -> dict[str, Any]:
    return canary(**{"pingPong": PAIR, "trafficRouting": ROUTING, "steps": STEPS, **strategy})


async def deployed(spec: dict[str, Any]) -> World:
    world = World(spec)
    for name in ("ping", "pong"):
        metadata = {"name": name, "namespace": "default"}
        selector = {"selector": {"app": "app"}}
        await world.user.create(
            SERVICES,
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": selector},
        )
    await world.create()
    await world.settle()
    assert (await world.status())["phase"] == "Healthy", await world.status()
    return world


async def paused(spec: dict[str, Any]) -> World:
    """A second version at its first pause."""
    world = await deployed(spec)
    await world.set_image("app:v2")
    await world.settle(10)
    assert (await world.status())["message"] == "CanaryPauseStep"
    return world


async def promoted(world: World) -> None:
    await world.patch_status({"currentStepIndex": len(STEPS), "pauseConditions": None})
    await world.settle(10)
    assert (await world.status())["phase"] == "Healthy"


async def hashes(world: World) -> tuple[str, str]:
    """What ping and pong select."""
    return await world.selected("ping"), await world.selected("pong")


async def stable_role(world: World) -> str:
    return str((await world.status())["canary"]["stablePingPong"])


async def routed_to(world: World) -> dict[str, int]:
    """The weights that the newest route gives the Services."""
    route = (await world.status())["headrace"]["route"]
    services, weights = route["services"], route["weights"]
    return {
        services["canaryRole"]: weights["canary"],
        services["stableRole"]: weights["stable"],
    }


async def edit_strategy(world: World, **fields: Any) -> None:
    body = MergePatch({"spec": {"strategy": {"canary": fields}}})
    await world.user.patch(ROLLOUTS, "default", "app", body)


def switches(world: World) -> list[str]:
    """Which Services were switched, in order."""
    return [
        message.split("'")[1]
        for reason, message in world.recorder.events
        if reason == "SwitchService"
    ]


async def test_the_first_version_makes_ping_the_stable_service() -> None:
    world = await deployed(ping_pong())
    status = await world.status()
    assert await stable_role(world) == "ping"
    assert await hashes(world) == (status["currentPodHash"], "")
    assert await routed_to(world) == {"ping": 100, "pong": 0}
    assert switches(world) == ["ping"]
    weights = status["canary"]["weights"]
    assert weights["stable"]["podTemplateHash"] == status["stableRS"]
    assert "serviceName" not in weights["stable"]


@pytest.mark.spec("canary 5.6")
@pytest.mark.spec("canary 4.8")
async def test_a_promotion_swaps_the_roles_and_leaves_the_selectors() -> None:
    world = await paused(ping_pong())
    first, second = await hashes(world)
    assert await stable_role(world) == "ping"
    assert second == (await world.status())["currentPodHash"]
    assert await routed_to(world) == {"ping": 75, "pong": 25}

    await promoted(world)
    assert await stable_role(world) == "pong"
    assert await hashes(world) == (first, second)
    assert await routed_to(world) == {"ping": 0, "pong": 100}
    assert switches(world) == ["ping", "pong"]
    assert await world.replicas() == {"1": 4, "2": 4}
    await world.settle(30)
    assert await world.replicas() == {"1": 0, "2": 4}

    await world.set_image("app:v3")
    await world.settle(10)
    assert await hashes(world) == ((await world.status())["currentPodHash"], second)
    assert await routed_to(world) == {"ping": 25, "pong": 75}
    await promoted(world)
    assert await stable_role(world) == "ping"
    assert switches(world) == ["ping", "pong", "ping"]


async def test_the_canary_service_is_switched_before_there_are_pods() -> None:
    world = await deployed(ping_pong(steps=[{"pause": {}}, *STEPS]))
    await world.set_image("app:v2")
    await world.settle(5)
    assert await world.replicas() == {"1": 4, "2": 0}
    assert await world.selected("pong") == (await world.status())["currentPodHash"]


@pytest.mark.spec("canary 3.1")
async def test_the_roles_swap_only_when_the_last_weight_is_acknowledged() -> None:
    world = await paused(ping_pong())
    world.router_obeys = False
    await world.patch_status({"currentStepIndex": len(STEPS), "pauseConditions": None})
    await world.settle(10)
    assert await routed_to(world) == {"ping": 0, "pong": 100}
    assert await stable_role(world) == "ping"
    world.router_obeys = True
    await world.settle(1)
    assert await stable_role(world) == "pong"


@pytest.mark.spec("canary 3.3")
async def test_an_abort_moves_the_weight_and_no_selector() -> None:
    world = await paused(ping_pong())
    before = await hashes(world)
    await world.patch_status({"abort": True})
    await world.settle(5)
    assert (await world.status())["phase"] == "Degraded"
    assert await routed_to(world) == {"ping": 100, "pong": 0}
    assert await hashes(world) == before
    await world.settle(35)
    assert await world.replicas() == {"1": 4, "2": 0}

    await world.patch_status({"abort": False})
    await world.settle(10)
    assert await routed_to(world) == {"ping": 75, "pong": 25}
    assert switches(world) == ["ping", "pong"]
    assert await stable_role(world) == "ping"


@pytest.mark.spec("canary 5.7")
async def test_a_newer_version_gets_the_service_when_its_traffic_is_gone() -> None:
    world = await paused(ping_pong())
    first, second = await hashes(world)
    world.router_obeys = False
    await world.set_image("app:v3")
    await world.settle(5)
    assert await routed_to(world) == {"ping": 100, "pong": 0}
    assert await hashes(world) == (first, second)
    assert (await world.replicas())["2"] == 1
    world.router_obeys = True
    await world.settle(10)
    assert await hashes(world) == (first, (await world.status())["currentPodHash"])
    assert await routed_to(world) == {"ping": 75, "pong": 25}
    assert await world.replicas() == {"1": 4, "2": 0, "3": 1}


@pytest.mark.spec("canary 3.4")
async def test_going_back_to_stable_switches_nothing() -> None:
    world = await paused(ping_pong())
    before = await hashes(world)
    await world.set_image("app:v1")
    await world.settle(10)
    assert (await world.status())["phase"] == "Healthy"
    assert await routed_to(world) == {"ping": 100, "pong": 0}
    assert await hashes(world) == before
    assert await stable_role(world) == "ping"


@pytest.mark.spec("canary 3.2")
@pytest.mark.parametrize("steps", [STEPS, [{"pause": {}}, *STEPS]], ids=["some", "none"])
async def test_what_a_route_may_still_give_everything_is_not_switched(
    steps: list[dict[str, Any]],
) -> None:
    """After a full promotion the old Service has the canary's role and the users' traffic."""
    world = await paused(ping_pong(steps=steps))
    before = await hashes(world)
    world.router_obeys = False
    await world.patch_status({"promoteFull": True})
    await world.settle(10)
    assert await stable_role(world) == "pong"
    await world.set_image("app:v3")
    await world.settle(10)
    assert await hashes(world) == before
    assert (await world.replicas())["1"] == 4
    world.router_obeys = True
    await world.settle(10)
    assert await world.selected("ping") == (await world.status())["currentPodHash"]
    assert await world.selected("pong") == before[1]


@pytest.mark.spec("canary 5.2")
async def test_without_steps_the_roles_swap_when_all_pods_are_there() -> None:
    world = await deployed(ping_pong(steps=[]))
    first, _ = await hashes(world)
    await world.set_image("app:v2")
    await world.settle(10)
    assert (await world.status())["phase"] == "Healthy"
    assert await stable_role(world) == "pong"
    assert await hashes(world) == (first, (await world.status())["stableRS"])
    assert await routed_to(world) == {"ping": 0, "pong": 100}


async def test_without_a_router_the_roles_swap_too() -> None:
    world = await deployed(ping_pong(trafficRouting=None))
    first, second = await hashes(world)
    assert (await stable_role(world), second) == ("ping", "")
    await world.set_image("app:v2")
    await world.settle(10)
    await promoted(world)
    assert await stable_role(world) == "pong"
    assert await hashes(world) == (first, (await world.status())["stableRS"])


async def test_named_services_are_routed_and_ping_pong_follows() -> None:
    world = await paused(ping_pong(canaryService="preview", stableService="active"))
    status = await world.status()
    assert await routed_to(world) == {"active": 75, "preview": 25}
    assert await world.selected("pong") == status["currentPodHash"]
    assert status["canary"]["weights"]["canary"]["serviceName"] == "preview"


async def test_a_live_rollout_changes_to_ping_pong_and_back() -> None:
    named = {"canaryService": "preview", "stableService": "active"}
    world = await deployed(ping_pong(pingPong=None, **named))
    await edit_strategy(world, pingPong=PAIR, canaryService=None, stableService=None)
    await world.settle(5)
    stable = (await world.status())["stableRS"]
    assert await hashes(world) == ("", stable)
    assert await routed_to(world) == {"ping": 0, "pong": 100}
    await world.set_image("app:v2")
    await world.settle(10)
    assert await hashes(world) == ((await world.status())["currentPodHash"], stable)
    assert await routed_to(world) == {"ping": 25, "pong": 75}

    await edit_strategy(world, pingPong=None, **named)
    await world.settle(10)
    assert await routed_to(world) == {"active": 75, "preview": 25}
    assert await world.selected("active") == stable
    assert await world.selected("preview") == (await world.status())["currentPodHash"]


async def test_a_stable_service_that_selects_others_is_pointed_back() -> None:
    world = await paused(ping_pong())
    first, _ = await hashes(world)
    selector = {"rollouts-pod-template-hash": (await world.status())["currentPodHash"]}
    body = MergePatch({"spec": {"selector": selector}})
    await world.user.patch(SERVICES, "default", "ping", body)
    await world.settle(1)
    assert await world.selected("ping") == first


SCALED_STEPS: list[dict[str, Any]] = [{"setCanaryScale": {"replicas": 2}}, *STEPS]
NAMED = {"pingPong": None, "canaryService": "preview", "stableService": "active"}
CROSSED = {"pingService": "active", "pongService": "preview"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (NAMED, {"pingPong": CROSSED, "canaryService": None, "stableService": None}),
        (NAMED, {"pingPong": PAIR, "canaryService": None, "stableService": None}),
        ({}, {"pingPong": None, "canaryService": "ping", "stableService": "pong"}),
        ({}, NAMED),
    ],
    ids=["on, crossed", "on", "off, crossed", "off"],
)
async def test_at_no_replicas_stable_gets_no_service_of_the_canary(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Only the canary answers there: it would get all of the traffic at once."""
    world = await deployed(ping_pong(steps=SCALED_STEPS, **before))
    await world.user.patch(ROLLOUTS, "default", "app", MergePatch({"spec": {"replicas": 0}}))
    await world.set_image("app:v2")
    await world.settle(10)
    assert await world.replicas() == {"1": 0, "2": 2}
    route = await routed_to(world)
    canary_service = next(name for name, weight in route.items() if weight == 25)
    latest = (await world.status())["currentPodHash"]
    assert await world.selected(canary_service) == latest

    await edit_strategy(world, **after)
    await world.settle(5)
    assert await routed_to(world) == route
    assert [name for name in route if await world.selected(name) == latest] == [canary_service]

    await world.user.patch(ROLLOUTS, "default", "app", MergePatch({"spec": {"replicas": 4}}))
    await world.settle(10)
    settled = await routed_to(world)
    selected = {await world.selected(name): weight for name, weight in settled.items()}
    assert selected == {(await world.status())["stableRS"]: 75, latest: 25}
