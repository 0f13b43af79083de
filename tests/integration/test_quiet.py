"""Quiet when settled, quick when asked: the three services on memory ports, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from service_world import ALL, CONTROLLER, ROUTER, World, has_phase, running, spec_of

pytestmark = [pytest.mark.looptime, pytest.mark.timeout(120)]

QUIET_SECONDS = 60.0
SETTLE_SECONDS = 45.0
"""More than the delays after which pods of an aborted or promoted update go."""

REACTION_SECONDS = 0.3
RECONCILES_MAX = 12
"""Reconciles of one settled Rollout by one service in a minute: none may spin."""

RESUMED = {"pauseConditions": None}


# Quiet


async def is_healthy(world: World) -> str:
    return "Healthy"


async def is_aborted(world: World) -> str:
    await is_paused(world)
    await world.patch_status({"abort": True})
    return "Degraded"


async def is_invalid(world: World) -> str:
    await world.patch_spec({"strategy": {"canary": {"canaryService": "nowhere"}}})
    return "Degraded"


async def is_paused(world: World) -> str:
    await world.set_image("app:v2")
    await world.until(has_phase("Paused", 1))
    return "Paused"


async def is_promoted(world: World) -> str:
    await is_paused(world)
    await world.patch_status({"promoteFull": True})
    await world.until(has_phase("Healthy"))
    return "Healthy"


@pytest.mark.parametrize(
    ("reach", "strategy"),
    [
        (is_healthy, {}),
        (is_aborted, {}),
        (is_aborted, {"abortScaleDownDelaySeconds": 3600}),
        (is_invalid, {}),
        (is_paused, {}),
        (is_promoted, {"scaleDownDelaySeconds": 3600}),
    ],
    ids=["healthy", "aborted", "aborted-delay-pending", "invalid", "paused", "delay-pending"],
)
async def test_a_settled_rollout_causes_no_writes(
    reach: Callable[[World], Any], strategy: Mapping[str, Any]
) -> None:
    async with running(spec_of(**strategy)) as world:
        phase = await reach(world)
        await world.until(has_phase(phase))
        await world.clock.sleep(SETTLE_SECONDS)
        assert (await world.status())["phase"] == phase
        assert {request.identity for _, request in world.writes} == {CONTROLLER, ROUTER}
        world.writes.clear()
        said = world.said()
        looked = {name: world.reconciles(name) for name in ALL}
        assert looked[CONTROLLER] > 0
        assert looked[ROUTER] > 0
        await world.clock.sleep(QUIET_SECONDS)
        written = [f"{request.verb} {request.resource}" for _, request in world.writes]
        assert written == []
        assert world.said() == said
        for name in ALL:
            assert world.reconciles(name) - looked[name] <= RECONCILES_MAX, name


async def test_a_basic_canary_is_quiet_too() -> None:
    strategy = {"stableService": None, "canaryService": None, "trafficRouting": None}
    kept = {k: v for k, v in spec_of()["strategy"]["canary"].items() if k not in strategy}
    async with running({**spec_of(), "strategy": {"canary": kept}}) as world:
        await is_paused(world)
        await world.clock.sleep(SETTLE_SECONDS)
        world.writes.clear()
        await world.clock.sleep(QUIET_SECONDS)
        assert world.writes == []


# Quick


def patches(world: World) -> dict[str, Callable[[], Any]]:
    return {
        "promote": lambda: world.patch_status(RESUMED),
        "abort": lambda: world.patch_status({"abort": True}),
        "promote full": lambda: world.patch_status({"promoteFull": True}),
        "image": lambda: world.set_image("app:v3"),
        "scale": lambda: world.patch_spec({"replicas": 6}),
        "pause": lambda: world.patch_spec({"paused": True}),
    }


NAMES = ("promote", "abort", "promote full", "image", "scale", "pause")


@pytest.mark.parametrize("name", NAMES)
async def test_a_patch_is_answered_by_a_write_at_once(name: str) -> None:
    async with running(spec_of()) as world:
        await is_paused(world)
        await world.clock.sleep(SETTLE_SECONDS)
        assert await world.reaction_to(patches(world)[name]) <= REACTION_SECONDS


@pytest.mark.parametrize("name", ["abort", "promote full", "image", "scale", "pause"])
async def test_a_patch_does_not_wait_for_an_acknowledgement(name: str) -> None:
    async with running(spec_of()) as world:
        await is_paused(world)
        await world.stop(ROUTER)
        await world.patch_status(RESUMED)
        await world.until(is_unacknowledged)
        await world.clock.sleep(SETTLE_SECONDS)
        assert is_unacknowledged(await world.status())
        assert await world.reaction_to(patches(world)[name]) <= REACTION_SECONDS


def is_unacknowledged(status: Mapping[str, Any]) -> bool:
    remembered = status.get("headrace") or {}
    acknowledged = remembered.get("acknowledged") or {}
    return bool(remembered.get("epoch", 0) > acknowledged.get("epoch", 0))
