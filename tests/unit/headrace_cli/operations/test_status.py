import asyncio
from typing import Any

import pytest

from headrace_cli.failures import Failure
from headrace_cli.operations import status


@pytest.mark.parametrize(
    ("phase", "message", "shown"),
    [
        ("Healthy", "", "Healthy\n"),
        ("Paused", "CanaryPauseStep", "Paused - CanaryPauseStep\n"),
        (
            "Progressing",
            "more replicas need to be updated",
            "Progressing - more replicas need to be updated\n",
        ),
    ],
)
async def test_prints_the_phase_once(world: Any, phase: str, message: str, shown: str) -> None:
    await world.rollout("web", phase, message)
    await status.print_phase(world.session, "web")
    assert world.out.getvalue() == shown


async def test_a_degraded_rollout_fails_the_status(world: Any) -> None:
    await world.rollout("web", "Degraded", "RolloutAborted: why")
    words = "The rollout is in a degraded state with message: RolloutAborted: why"
    with pytest.raises(Failure, match=words):
        await status.print_phase(world.session, "web")
    with pytest.raises(Failure, match=words):
        await status.await_phase(world.session, "web", None)
    assert world.out.getvalue() == "Degraded\nDegraded - RolloutAborted: why\n"


async def test_waits_until_a_rollout_is_healthy(world: Any) -> None:
    await world.rollout("web", "Progressing", "waiting for all steps to complete")

    async def finish() -> None:
        await world.shows("Progressing")
        await world.set_phase("web", "Healthy")

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(finish())
        await status.await_phase(world.session, "web", None)
    assert world.out.getvalue() == ("Progressing - waiting for all steps to complete\nHealthy\n")


async def test_waiting_has_a_limit(world: Any) -> None:
    await world.rollout("web", "Paused", "CanaryPauseStep")
    with pytest.raises(Failure, match="Rollout status watch exceeded timeout"):
        await status.await_phase(world.session, "web", 0.05)


async def test_an_unknown_rollout_has_no_status(world: Any) -> None:
    with pytest.raises(Failure, match='Rollout "web" in namespace "demo" not found'):
        await status.await_phase(world.session, "web", 1)
