"""A Rollout that does not move although it should says so, once; the others go on."""

from collections.abc import Mapping
from typing import Any

from engine_world import World, canary, routed

from headrace.errors import InvariantViolation
from headrace.kubernetes.resources import ROLLOUTS
from headrace.runtime.cluster_memory.pods import NEVER_READY
from rollout_controller.core.invariants import check
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import Plan

STUCK = "headrace.rollout.stuck.v1"


def kinds(status: Mapping[str, Any]) -> list[str]:
    return [item["type"] for item in status["headrace"]["history"]]


async def test_an_unanswered_route_is_stuck_once_and_not_when_it_is_answered() -> None:
    world = World(routed())
    await world.create()
    await world.settle()
    world.router_obeys = False
    await world.set_image("app:v2")
    await world.settle(50)
    status = await world.status()
    waiting = status["headrace"]["waiting"]
    assert (waiting["reason"], waiting.get("stuck")) == ("RouteAcknowledgement", None)
    assert STUCK not in kinds(status)
    await world.settle(60)
    status = await world.status()
    since, stuck = (status["headrace"]["waiting"][name] for name in ("since", "stuck"))
    assert since < waiting["expected"] <= stuck
    assert kinds(status).count(STUCK) == 1
    fact = status["headrace"]["history"][-1]
    assert fact["reason"] == "RouteAcknowledgement"
    assert fact["message"].startswith(f"waits for route epoch 2 since {since}: the traffic-router")
    world.router_obeys = True
    await world.settle(3)
    status = await world.status()
    assert status["headrace"]["waiting"]["reason"] == "Person"
    assert kinds(status).count(STUCK) == 1
    assert [event.type for event in world.bus.events].count(STUCK) == 1


async def test_pods_that_do_not_come_are_stuck_at_the_progress_deadline() -> None:
    world = World({**canary(steps=[{"setWeight": 25}]), "progressDeadlineSeconds": 20})
    await world.create()
    await world.settle()
    world.cluster.behave("app:v2", NEVER_READY)
    await world.set_image("app:v2")
    await world.settle(15)
    assert STUCK not in kinds(await world.status())
    await world.settle(40)
    status = await world.status()
    assert kinds(status).count(STUCK) == 1
    assert status["headrace"]["waiting"]["reason"] == "CanaryPods"


async def test_a_frozen_rollout_is_told_and_the_others_are_served() -> None:
    broken = ["default/app"]

    def checked(observed: Observed, plan: Plan) -> None:
        check(observed, plan)
        if observed.key in broken:
            raise InvariantViolation("a share would have no pods")

    world = World(canary(steps=[{"setWeight": 25}, {"pause": {}}]), checked)
    await world.create()
    other = {**world.rollout, "metadata": {"name": "other", "namespace": "default"}}
    await world.user.create(ROLLOUTS, other)
    for _ in range(20):
        world.cluster.step()
        await world.sync()
        assert (await world.reconciler.process("default/app")).kind == "frozen"
        assert not (await world.reconciler.process("default/other")).is_error
        world.clock.advance(0.5)
    assert (await world.user.get(ROLLOUTS, "default", "other"))["status"]["phase"] == "Healthy"
    status = await world.status()
    waiting = status["headrace"]["waiting"]
    assert (waiting["reason"], waiting["unblock"]) == ("Frozen", "a share would have no pods")
    assert set(status) == {"headrace"}, "nothing else is written"
    assert kinds(status) == [STUCK]
    assert (
        world.recorder.events.count(
            ("ReconciliationError", "Rollout is frozen: a share would have no pods")
        )
        == 1
    )
    assert world.reconciler.frozen == {"default/app": "a share would have no pods"}
    broken.clear()
    await world.settle()
    status = await world.status()
    assert status["phase"] == "Healthy"
    assert "waiting" not in status["headrace"]
