from typing import Any

from headrace_cli.operations import listing
from headrace_cli.views.listing import RolloutTable


async def test_lists_rollouts_by_name(world: Any) -> None:
    await world.rollout("web", "Healthy")
    await world.rollout("api", "Paused", "CanaryPauseStep")
    await listing.list_rollouts(world.session, RolloutTable())
    names = [line.split()[0] for line in world.out.getvalue().splitlines()]
    assert names == ["NAME", "api", "web"]


async def test_lists_one_rollout(world: Any) -> None:
    await world.rollout("web", "Healthy")
    await world.rollout("api", "Healthy")
    await listing.list_rollouts(world.session, RolloutTable(), name="api")
    assert "web" not in world.out.getvalue()


async def test_says_that_there_is_nothing(world: Any) -> None:
    await listing.list_rollouts(world.session, RolloutTable())
    await listing.list_experiments(world.session, is_everywhere=True)
    assert world.out.getvalue() == ""
    assert world.err.getvalue() == "No resources found.\n" * 2


async def test_a_watched_list_repeats_only_what_changed(world: Any) -> None:
    await world.rollout("web", "Progressing")
    await world.rollout("api", "Healthy")

    async def story() -> None:
        await world.shows("web")
        await world.set_phase("web", "Healthy")
        await world.shows("web         Canary     Healthy")

    await world.while_running(listing.watch_rollouts(world.session, RolloutTable()), story)
    names = [line.split()[0] for line in world.out.getvalue().splitlines()]
    assert names == ["NAME", "api", "web", "web"]
