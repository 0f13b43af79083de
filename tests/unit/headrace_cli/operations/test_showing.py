import asyncio
from typing import Any

import pytest

from headrace.kubernetes.resources import EXPERIMENTS, ROLLOUTS
from headrace_cli.failures import Failure
from headrace_cli.operations import showing


async def test_gets_a_rollout(world: Any) -> None:
    await world.rollout("web", "Healthy")
    await showing.show(world.session, ROLLOUTS, "web", no_color=False)
    assert "Status:          ✔ Healthy\n" in world.out.getvalue()
    assert "\x1b" not in world.out.getvalue()


async def test_a_rollout_whose_workload_is_missing_cannot_be_shown(world: Any) -> None:
    await world.rollout("web", "Healthy", workloadRef={"name": "gone"})
    with pytest.raises(Failure, match='Deployment "gone" in namespace "demo" not found'):
        await showing.show(world.session, ROLLOUTS, "web", no_color=False)


async def test_a_watch_shows_each_change(world: Any) -> None:
    await world.rollout("web", "Progressing")

    async def story() -> None:
        await world.shows("◌ Progressing")
        await world.set_phase("web", "Healthy")
        await world.shows("✔ Healthy")

    watch = showing.watch(world.session, ROLLOUTS, "web", no_color=True, seconds=None)
    await world.while_running(watch, story)


async def test_a_watch_ends_when_its_time_is_over(world: Any) -> None:
    await world.rollout("web", "Healthy")
    async with asyncio.timeout(5):
        await showing.watch(world.session, ROLLOUTS, "web", no_color=True, seconds=0.3)


async def test_a_watch_ends_with_its_object(world: Any) -> None:
    await world.rollout("web", "Healthy")

    async def delete() -> None:
        await world.shows("✔ Healthy")
        await world.admin.delete(ROLLOUTS, "demo", "web")

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(delete())
        with pytest.raises(Failure, match="was deleted"):
            await showing.watch(world.session, ROLLOUTS, "web", no_color=True, seconds=None)


async def test_gets_an_experiment(world: Any) -> None:
    metadata = {"name": "ab", "namespace": "demo"}
    await world.admin.create(
        EXPERIMENTS, {"metadata": metadata, "spec": {}, "status": {"phase": "Running"}}
    )
    await showing.show(world.session, EXPERIMENTS, "ab", no_color=True)
    assert "Status:          ◌ Running\n" in world.out.getvalue()
