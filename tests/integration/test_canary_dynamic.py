"""A canary whose stable side has only the pods of its share (canary 4.6)."""

from typing import Any

import pytest
from engine_world import World, deployed, routed

from headrace.kubernetes.resources import ROLLOUTS
from headrace.runtime.cluster import MergePatch

pytestmark = pytest.mark.spec("canary 4.6")

STEPS: list[dict[str, Any]] = [
    {"setWeight": 25},
    {"setWeight": 50},
    {"setWeight": 75},
    {"pause": {}},
]


async def at_the_pause(**strategy: Any) -> World:
    world = await deployed(routed(steps=STEPS, dynamicStableScale=True, **strategy))
    await world.set_image("app:v2")
    await world.settle(15)
    return world


async def sides(world: World) -> tuple[int, int, int]:
    """The canary's weight, and the pods of canary and stable."""
    replicas = await world.replicas()
    return await world.weight(), replicas["2"], replicas["1"]


async def history(world: World, seconds: float) -> list[tuple[int, int, int]]:
    """What the two sides went through, without repetitions."""
    seen = [await sides(world)]
    for _ in range(int(seconds * 4)):
        await world.settle(0.25)
        now = await sides(world)
        if now != seen[-1]:
            seen.append(now)
    return seen


async def test_stable_shrinks_with_its_share() -> None:
    world = await at_the_pause()
    assert await sides(world) == (75, 3, 1)
    await world.patch_status({"pauseConditions": None})
    await world.settle(10)
    assert (await world.status())["phase"] == "Healthy"
    assert await world.replicas() == {"1": 0, "2": 4}


async def test_no_side_shrinks_before_the_router_says_so() -> None:
    steps: list[dict[str, Any]] = [
        {"setWeight": 25},
        {"pause": {}},
        {"setWeight": 75},
        {"pause": {}},
    ]
    world = await deployed(routed(steps=steps, dynamicStableScale=True))
    await world.set_image("app:v2")
    await world.settle()
    assert await sides(world) == (25, 1, 3)
    world.router_obeys = False
    await world.patch_status({"pauseConditions": None})
    await world.settle()
    assert await sides(world) == (75, 3, 3)
    world.router_obeys = True
    await world.settle(0.5)
    assert await sides(world) == (75, 3, 1)


async def test_an_abort_gives_the_traffic_back_in_steps() -> None:
    world = await at_the_pause()
    await world.patch_status({"abort": True})
    seen = await history(world, 20)
    weights = [weight for weight, _, _ in seen]
    assert weights == sorted(weights, reverse=True)
    assert {25, 50} <= set(weights)
    for weight, canary, stable in seen:
        assert canary * 100 >= weight * 4
        assert stable * 100 >= (100 - weight) * 4
    assert seen[-1] == (0, 0, 4)
    status = await world.status()
    assert status["phase"] == "Degraded"
    assert await world.selected("preview") == status["stableRS"]


@pytest.mark.spec("rollout-api 4")
async def test_an_abort_while_the_spec_is_invalid_drains_as_pods_come() -> None:
    world = await at_the_pause()
    bad = {"spec": {"strategy": {"canary": {"steps": [{"setWeight": 200}]}}}}
    await world.user.patch(ROLLOUTS, "default", "app", MergePatch(bad))
    await world.settle(1)
    await world.patch_status({"abort": True})
    seen = await history(world, 20)
    weights = [weight for weight, _, _ in seen]
    assert weights == sorted(weights, reverse=True)
    for weight, _, stable in seen:
        assert stable * 100 >= (100 - weight) * 4
    assert seen[-1] == (0, 3, 4)


async def test_an_aborted_canary_keeps_its_service_until_nothing_goes_there() -> None:
    world = await at_the_pause()
    world.router_obeys = False
    await world.patch_status({"abort": True})
    await world.settle(15)
    status = await world.status()
    assert await world.selected("preview") == status["currentPodHash"]
    assert (await world.replicas())["2"] == 3
    assert status["phase"] == "Degraded"
    world.router_obeys = True
    await world.settle(15)
    assert await sides(world) == (0, 0, 4)
    assert await world.selected("preview") == status["stableRS"]


async def test_undo_gives_the_traffic_back_in_steps_too() -> None:
    world = await at_the_pause()
    await world.set_image("app:v1")
    for _ in range(40):
        await world.settle(0.25)
        weight, replicas = await world.weight(), await world.replicas()
        update, back = replicas["2"], replicas.get("3", 0) + replicas.get("1", 0)
        assert update * 100 >= weight * 4
        assert back * 100 >= (100 - weight) * 4
    status = await world.status()
    assert status["phase"] == "Healthy"
    assert await world.weight() == 0
    assert await world.selected("preview") == status["stableRS"]
    assert (await world.replicas())["2"] == 0


@pytest.mark.spec("canary 3.2")
async def test_a_full_promotion_raises_the_weight_with_the_pods() -> None:
    world = await at_the_pause()
    await world.patch_status({"promoteFull": True})
    await world.settle(10)
    assert (await world.status())["phase"] == "Healthy"
    assert await world.replicas() == {"1": 0, "2": 4}


@pytest.mark.spec("canary 5.2")
async def test_a_step_may_lower_the_weight() -> None:
    # Its pods go only when the weight is lower, so the weight goes first.
    steps: list[dict[str, Any]] = [{"setWeight": 75}, {"setWeight": 25}, {"pause": {}}]
    for is_dynamic in (False, True):
        world = await deployed(routed(steps=steps, dynamicStableScale=is_dynamic))
        await world.set_image("app:v2")
        await world.settle(15)
        assert (await world.status())["message"] == "CanaryPauseStep"
        assert await sides(world) == (25, 1, 3 if is_dynamic else 4)


@pytest.mark.spec("canary 6.2")
@pytest.mark.parametrize("is_ping_pong", [False, True])
async def test_services_swap_their_roles_only_when_stable_has_all_its_pods(
    is_ping_pong: bool,
) -> None:
    gateway = {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "r", "namespace": "default"}}}
    world = await deployed(
        routed(
            dynamicStableScale=True,
            steps=[{"setWeight": 50}, {"pause": {}}],
            trafficRouting=gateway,
        )
    )
    await world.set_image("app:v2")
    await world.settle(10)
    assert await world.replicas() == {"1": 2, "2": 2}
    world.recorder.events.clear()
    swapped: dict[str, Any] = {"stableService": "preview", "canaryService": "active"}
    if is_ping_pong:  # ping has the role of the canary at first
        pair = {"pingService": "active", "pongService": "preview"}
        swapped = {"stableService": None, "canaryService": None, "pingPong": pair}
    body = MergePatch({"spec": {"strategy": {"canary": swapped}}})
    await world.user.patch(ROLLOUTS, "default", "app", body)
    await world.settle(10)
    order = [
        message
        for reason, message in world.recorder.events
        if reason in ("ScalingReplicaSet", "SwitchService")
    ]
    assert "from 2 to 4" in order[0]
    assert ["'preview'" in order[1], "'active'" in order[2]] == [True, True]
    assert await world.replicas() == {"1": 2, "2": 2}
    assert await world.weight() == 50


@pytest.mark.spec("canary 10.7")
async def test_at_zero_replicas_the_canarys_service_gets_the_pods_of_set_canary_scale() -> None:
    steps: list[dict[str, Any]] = [{"setWeight": 50}, {"pause": {}}]
    world = await deployed(routed(dynamicStableScale=True, steps=steps))
    await world.user.patch(ROLLOUTS, "default", "app", MergePatch({"spec": {"replicas": 0}}))
    await world.set_image("app:v2")
    await world.settle(2)
    await world.patch_status({"promoteFull": True})
    await world.settle(5)
    status = await world.status()
    assert (status["phase"], status["stableRS"]) == ("Healthy", status["currentPodHash"])
    assert await world.selected("active") == status["stableRS"]  # nobody is behind it: deviation 67
    scaled = {"steps": [{"setCanaryScale": {"replicas": 1}}, *steps]}
    body = MergePatch({"spec": {"strategy": {"canary": scaled}}})
    await world.user.patch(ROLLOUTS, "default", "app", body)
    await world.set_image("app:v3")
    await world.settle(10)
    assert await world.weight() == 50
    assert (await world.status())["message"] == "CanaryPauseStep"


@pytest.mark.spec("canary 4.8")
@pytest.mark.spec("canary 6.3")
async def test_pods_stay_that_a_service_with_traffic_was_pointed_at() -> None:
    gateway = {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "r", "namespace": "default"}}}
    steps: list[dict[str, Any]] = [{"setWeight": 100}, {"pause": {}}]
    world = await deployed(routed(dynamicStableScale=True, steps=steps, trafficRouting=gateway))
    await world.set_image("app:v2")
    await world.settle(10)
    assert await world.weight() == 100
    world.router_obeys = False
    pair = {"pingService": "active", "pongService": "preview"}
    swapped = {"stableService": None, "canaryService": None, "pingPong": pair}
    body = MergePatch({"spec": {"strategy": {"canary": swapped}}})
    await world.user.patch(ROLLOUTS, "default", "app", body)
    await world.patch_status({"promoteFull": True})
    for _ in range(40):
        await world.settle(0.25)
        # All traffic goes by the Service that was the canary's, until the router says otherwise.
        revisions = {"6f8474fb76": "1", "854756cb4f": "2"}
        assert (await world.replicas())[revisions[await world.selected("preview")]] == 4
