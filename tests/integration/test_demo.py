"""The demo's outcome depends on nothing but the workload, and on every service."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import pytest

from headrace.runtime.metric_catalog import ServiceName
from headrace_demo.acts import perform
from headrace_demo.stage import Direction
from headrace_demo.views import Outcome
from headrace_demo.workload import BAD, EXAMPLE, GOOD, Workload
from headrace_demo.world import running_world

pytestmark = pytest.mark.timeout(180)

SWAPPED: Workload = {"v1": GOOD, "v2": BAD, "bad": GOOD}
SERVICES: tuple[ServiceName, ...] = ("rollout-controller", "traffic-router", "analysis-runner")
MANUAL, GOOD_BY_METRICS, BAD_BY_METRICS = 1, 2, 3


class Silence:
    """A view that shows nothing."""

    def begin(self, heading: object) -> None:
        pass

    def say(self, at: float, text: str) -> None:
        pass

    def hear(self, line: object) -> None:
        pass

    def show(self, moment: object) -> None:
        pass

    def end(self, outcome: object) -> None:
        pass

    def summarize(self, outcomes: Sequence[object]) -> None:
        pass


def shorter(manifest: dict[str, Any]) -> None:
    """Pauses of 6 s with room for three measurements, over a window of 2 s."""
    if manifest["kind"] == "Rollout":
        for step in manifest["spec"]["strategy"]["canary"]["steps"]:
            if step.get("pause", {}).get("duration"):
                step["pause"]["duration"] = "6s"
    if manifest["kind"] == "AnalysisTemplate":
        metric = manifest["spec"]["metrics"][0]
        metric["initialDelay"] = "2500ms"
        prometheus = metric["provider"]["prometheus"]
        prometheus["query"] = prometheus["query"].replace("[5s]", "[2s]")


async def play(
    number: int,
    workload: Workload = EXAMPLE,
    without: Collection[ServiceName] = (),
    deadline_seconds: float = 30.0,
) -> Outcome:
    async with running_world(workload=workload, without=without) as world:
        return await perform(world, number, Silence(), Direction(shorter, deadline_seconds))


async def test_every_act_succeeds_and_with_swapped_versions_metrics_decide_otherwise() -> None:
    by_hand, good, bad, swapped_good, swapped_bad = await asyncio.gather(
        play(MANUAL),
        play(GOOD_BY_METRICS),
        play(BAD_BY_METRICS),
        play(GOOD_BY_METRICS, SWAPPED),
        play(BAD_BY_METRICS, SWAPPED),
    )
    assert [by_hand.failure, good.failure, bad.failure] == ["", "", ""]
    assert "abort" in swapped_good.failure.lower(), swapped_good.failure
    assert not swapped_bad.is_success
    assert swapped_bad.report.share("bad").value > bad.report.share("bad").value


async def test_no_service_can_be_left_out() -> None:
    outcomes = await asyncio.gather(
        *(play(BAD_BY_METRICS, without=(service,), deadline_seconds=12.0) for service in SERVICES)
    )
    assert [outcome.is_success for outcome in outcomes] == [False, False, False]
