"""The story in three acts, as it is told on every kind of parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from headrace_demo.errors import ActFailed
from headrace_demo.examples import FIRST_PAUSE, FIRST_VERSION, SECOND_PAUSE
from headrace_demo.stage import Direction, Stage
from headrace_demo.views import Heading, Outcome, View
from headrace_demo.world import World

_MEASUREMENTS: Final = 3


@dataclass(frozen=True, slots=True)
class Act:
    """One part of the story.

    Attributes:
        title: In words.
        example: Folder of the manifests.
        version: What is released over FIRST_VERSION.
        play: What happens; raises ActFailed when it does not.
    """

    title: str
    example: str
    version: str
    play: Callable[[Stage], Awaitable[None]]


async def _promote_by_hand(stage: Stage) -> None:
    await stage.release("v2")
    await stage.wait_paused(FIRST_PAUSE)
    await stage.expect_share("v2", 0.10)
    await stage.promote()
    await stage.wait_paused(SECOND_PAUSE)
    await stage.expect_share("v2", 0.33)
    await stage.promote()
    await stage.wait_promoted("v2")
    await stage.expect_share("v2", 1.0)


async def _promote_by_metrics(stage: Stage) -> None:
    await stage.release("v2")
    await _pass_first_pause(stage, "v2")
    await stage.wait_measured()
    await stage.wait_promoted("v2")
    await stage.expect_share("v2", 1.0)
    await stage.expect_verdict("Successful", successes_min=_MEASUREMENTS)


async def _abort_by_metrics(stage: Stage) -> None:
    await stage.release("bad")
    await _pass_first_pause(stage, "bad")
    await stage.wait_aborted("bad")
    await stage.expect_share("bad", 0.0)
    await stage.expect_verdict("Failed")


async def _pass_first_pause(stage: Stage, version: str) -> None:
    await stage.wait_paused(FIRST_PAUSE)
    await stage.expect_share(version, 0.10)
    await stage.wait_paused(SECOND_PAUSE)
    await stage.expect_share(version, 0.33)


ACTS: Final = (
    Act("a person promotes a new version", "canary-manual-approval", "v2", _promote_by_hand),
    Act("metrics promote a good version", "canary-with-metrics", "v2", _promote_by_metrics),
    Act("metrics abort a bad version", "canary-with-metrics", "bad", _abort_by_metrics),
)


async def perform(world: World, number: int, view: View, direction: Direction) -> Outcome:
    """Play one act, counted from 1, and return how it ended."""
    act = ACTS[number - 1]
    title = f"Act {number} of {len(ACTS)}: {act.title}"
    view.begin(Heading(title, FIRST_VERSION, act.version))
    stage = Stage(world, f"act-{number}", act.example, direction, view)
    failure = ""
    try:
        async with stage.open():
            await act.play(stage)
            stage.expect_nothing_lost()
    except* ActFailed as failed:
        failure = "; ".join(str(each) for each in failed.exceptions)
    outcome = Outcome(title, failure, stage.seconds, stage.report)
    view.end(outcome)
    return outcome
