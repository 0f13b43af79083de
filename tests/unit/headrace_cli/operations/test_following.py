from collections.abc import AsyncIterator
from typing import Any

import pytest

from headrace.errors import Forbidden, Unavailable
from headrace.kubernetes.resources import ROLLOUTS, Resource
from headrace.runtime.cluster import Listing, Selection, WatchEvent
from headrace.runtime.cluster_memory import Request
from headrace_cli.failures import Failure
from headrace_cli.operations import status
from headrace_cli.operations.following import follow


async def test_a_watch_survives_a_server_that_comes_back(world: Any) -> None:
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

    await world.while_running(status.await_phase(world.session, "web", None), story)
    assert refusals == 1


async def test_what_may_not_be_listed_cannot_be_followed(world: Any) -> None:
    def refuse(request: Request) -> None:
        if request.verb == "list":
            raise Forbidden('User "me" cannot list')

    world.memory.intercept = refuse
    with pytest.raises(Failure, match="not allowed"):
        async with follow(world.session.cluster, {ROLLOUTS: Selection("demo")}):
            pass


async def test_a_right_that_is_taken_away_ends_the_watch(world: Any) -> None:
    def refuse(request: Request) -> None:
        if request.verb == "watch":
            raise Forbidden('User "me" cannot watch')

    world.memory.intercept = refuse
    async with follow(world.session.cluster, {ROLLOUTS: Selection("demo")}) as followed:
        with pytest.raises(Failure, match="not allowed"):
            await followed.wait()


@pytest.mark.looptime
async def test_watches_that_end_at_once_are_given_up(world: Any) -> None:
    class Impatient:
        watches = 0

        async def list(self, resource: Resource, selection: Selection) -> Listing:
            return Listing((), "7")

        async def watch(self, *_: object) -> AsyncIterator[WatchEvent]:
            self.watches += 1
            return
            yield

    cluster: Any = Impatient()
    async with follow(cluster, {ROLLOUTS: Selection("demo")}) as followed:
        with pytest.raises(Failure, match="the watch ended at once"):
            await followed.wait(60)
    assert cluster.watches == 5


async def test_nothing_new_is_said_after_a_while(world: Any) -> None:
    await world.rollout("web", "Healthy")
    async with follow(world.session.cluster, {ROLLOUTS: Selection("demo")}) as followed:
        assert [item["metadata"]["name"] for item in followed.all(ROLLOUTS)] == ["web"]
        assert not await followed.wait(0.01)
        await world.set_phase("web", "Paused")
        assert await followed.wait(5)


async def test_a_forgotten_version_is_listed_again(world: Any) -> None:
    await world.rollout("web", "Progressing")

    async def story() -> None:
        await world.shows("Progressing")
        world.memory.expire_watches()
        await world.set_phase("web", "Healthy")
        await world.shows("Healthy")

    await world.while_running(status.await_phase(world.session, "web", None), story)
