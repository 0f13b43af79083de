"""Commands that only read: get, list, status."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headrace.errors import Unavailable
from headrace.kubernetes.resources import EXPERIMENTS, ROLLOUTS
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster, Request
from headrace_cli.failures import Failure
from headrace_cli.operations import listing, showing, status
from headrace_cli.output import Terminal
from headrace_cli.session import Session
from headrace_cli.views.listing import RolloutTable


class World:
    """A memory cluster seen by a user of the command line."""

    def __init__(self) -> None:
        self.memory = MemoryCluster(SystemClock())
        self.admin = self.memory.client("admin")
        self.out, self.err = io.StringIO(), io.StringIO()
        terminal = Terminal(self.out, self.err, {})
        self.session = Session(self.memory.client("user"), "demo", SystemClock(), terminal)

    async def rollout(self, name: str, phase: str, message: str = "", **spec: Any) -> None:
        spec = {"strategy": {"canary": {}}, **spec}
        metadata = {"name": name, "namespace": "demo"}
        await self.admin.create(ROLLOUTS, {"metadata": metadata, "spec": spec})
        await self.set_phase(name, phase, message)

    async def set_phase(self, name: str, phase: str, message: str = "") -> None:
        patch = MergePatch({"status": {"phase": phase, "message": message}})
        await self.admin.patch(ROLLOUTS, "demo", name, patch, subresource="status")

    async def shows(self, text: str) -> None:
        async with asyncio.timeout(5):
            while text not in self.out.getvalue():
                await asyncio.sleep(0.01)


@pytest.fixture
def world() -> World:
    return World()


async def while_running(command: Awaitable[None], story: Callable[[], Awaitable[None]]) -> None:
    """Run a command that ends only when it is cancelled, as by ^C."""
    task = asyncio.ensure_future(command)
    try:
        await story()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_gets_a_rollout(world: World) -> None:
    await world.rollout("web", "Healthy")
    await showing.show(world.session, ROLLOUTS, "web", no_color=False)
    assert "Status:          ✔ Healthy\n" in world.out.getvalue()
    assert "\x1b" not in world.out.getvalue()


async def test_a_rollout_whose_workload_is_missing_cannot_be_shown(world: World) -> None:
    await world.rollout("web", "Healthy", workloadRef={"name": "gone"})
    with pytest.raises(Failure, match='Deployment "gone" in namespace "demo" not found'):
        await showing.show(world.session, ROLLOUTS, "web", no_color=False)


async def test_a_watch_shows_each_change(world: World) -> None:
    await world.rollout("web", "Progressing")

    async def story() -> None:
        await world.shows("◌ Progressing")
        await world.set_phase("web", "Healthy")
        await world.shows("✔ Healthy")

    watch = showing.watch(world.session, ROLLOUTS, "web", no_color=True, seconds=None)
    await while_running(watch, story)


async def test_a_watch_ends_when_its_time_is_over(world: World) -> None:
    await world.rollout("web", "Healthy")
    async with asyncio.timeout(5):
        await showing.watch(world.session, ROLLOUTS, "web", no_color=True, seconds=0.3)


async def test_a_watch_ends_with_its_object(world: World) -> None:
    await world.rollout("web", "Healthy")

    async def delete() -> None:
        await world.shows("✔ Healthy")
        await world.admin.delete(ROLLOUTS, "demo", "web")

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(delete())
        with pytest.raises(Failure, match="was deleted"):
            await showing.watch(world.session, ROLLOUTS, "web", no_color=True, seconds=None)


async def test_gets_an_experiment(world: World) -> None:
    metadata = {"name": "ab", "namespace": "demo"}
    await world.admin.create(
        EXPERIMENTS, {"metadata": metadata, "spec": {}, "status": {"phase": "Running"}}
    )
    await showing.show(world.session, EXPERIMENTS, "ab", no_color=True)
    assert "Status:          ◌ Running\n" in world.out.getvalue()


async def test_lists_rollouts_by_name(world: World) -> None:
    await world.rollout("web", "Healthy")
    await world.rollout("api", "Paused", "CanaryPauseStep")
    await listing.list_rollouts(world.session, RolloutTable())
    names = [line.split()[0] for line in world.out.getvalue().splitlines()]
    assert names == ["NAME", "api", "web"]


async def test_lists_one_rollout(world: World) -> None:
    await world.rollout("web", "Healthy")
    await world.rollout("api", "Healthy")
    await listing.list_rollouts(world.session, RolloutTable(), name="api")
    assert "web" not in world.out.getvalue()


async def test_says_that_there_is_nothing(world: World) -> None:
    await listing.list_rollouts(world.session, RolloutTable())
    await listing.list_experiments(world.session, is_everywhere=True)
    assert world.out.getvalue() == ""
    assert world.err.getvalue() == "No resources found.\n" * 2


async def test_a_watched_list_repeats_only_what_changed(world: World) -> None:
    await world.rollout("web", "Progressing")
    await world.rollout("api", "Healthy")

    async def story() -> None:
        await world.shows("web")
        await world.set_phase("web", "Healthy")
        await world.shows("web         Canary     Healthy")

    await while_running(listing.watch_rollouts(world.session, RolloutTable()), story)
    names = [line.split()[0] for line in world.out.getvalue().splitlines()]
    assert names == ["NAME", "api", "web", "web"]


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
async def test_prints_the_phase_once(world: World, phase: str, message: str, shown: str) -> None:
    await world.rollout("web", phase, message)
    await status.print_phase(world.session, "web")
    assert world.out.getvalue() == shown


async def test_a_degraded_rollout_fails_the_status(world: World) -> None:
    await world.rollout("web", "Degraded", "RolloutAborted: why")
    words = "The rollout is in a degraded state with message: RolloutAborted: why"
    with pytest.raises(Failure, match=words):
        await status.print_phase(world.session, "web")
    with pytest.raises(Failure, match=words):
        await status.await_phase(world.session, "web", None)
    assert world.out.getvalue() == "Degraded\nDegraded - RolloutAborted: why\n"


async def test_waits_until_a_rollout_is_healthy(world: World) -> None:
    await world.rollout("web", "Progressing", "waiting for all steps to complete")

    async def finish() -> None:
        await world.shows("Progressing")
        await world.set_phase("web", "Healthy")

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(finish())
        await status.await_phase(world.session, "web", None)
    assert world.out.getvalue() == ("Progressing - waiting for all steps to complete\nHealthy\n")


async def test_waiting_has_a_limit(world: World) -> None:
    await world.rollout("web", "Paused", "CanaryPauseStep")
    with pytest.raises(Failure, match="Rollout status watch exceeded timeout"):
        await status.await_phase(world.session, "web", 0.05)


async def test_an_unknown_rollout_has_no_status(world: World) -> None:
    with pytest.raises(Failure, match='Rollout "web" in namespace "demo" not found'):
        await status.await_phase(world.session, "web", 1)


async def test_a_watch_survives_a_server_that_comes_back(world: World) -> None:
    await world.rollout("web", "Progressing")
    refusals = 0

    def refuse(request: Request) -> None:
        nonlocal refusals
        if request.verb == "watch" and refusals == 0:
            refusals += 1
            raise Unavailable("restarting")

    world.memory.intercept = refuse

    async def story() -> None:
        await world.shows("Progressing")
        await world.set_phase("web", "Healthy")
        await world.shows("Healthy")

    await while_running(status.await_phase(world.session, "web", None), story)
    assert refusals == 1
