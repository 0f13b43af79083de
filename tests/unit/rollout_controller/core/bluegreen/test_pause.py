"""The pause before the promotion (bluegreen 4)."""

from typing import Any

import pytest

from headrace.model.meta import format_time
from rollout_controller.core import samples
from rollout_controller.core.bluegreen.pause import (
    is_fast_tracked,
    is_pause_over,
    reconcile_pause,
)
from rollout_controller.core.draft import Draft

pytestmark = pytest.mark.spec("bluegreen 4")

NOW = samples.NOW
MANUAL = {"autoPromotionEnabled": False}
COUNTDOWN = {"autoPromotionSeconds": 30}
ANALYSIS = {"prePromotionAnalysis": {"templates": [{"templateName": "ratio"}]}}
READY = (samples.replica_set("stable"), samples.replica_set("new"))
RESUMED = {"controllerPause": True}
OTHER = {
    "pauseConditions": [{"reason": "CanaryPauseStep", "startTime": format_time(NOW - 60)}],
    "controllerPause": True,
}


def paused(seconds_ago: float) -> dict[str, Any]:
    since = {"reason": "BlueGreenPause", "startTime": format_time(NOW - seconds_ago)}
    return {"pauseConditions": [since], "controllerPause": True}


def drafted(strategy: dict[str, Any], **more: Any) -> Draft:
    more.setdefault("replica_sets", READY)
    return Draft(samples.blue_green(strategy, **more), NOW)


def reconciled(strategy: dict[str, Any], **more: Any) -> Draft:
    draft = drafted(strategy, **more)
    reconcile_pause(draft)
    return draft


@pytest.mark.parametrize("strategy", [MANUAL, COUNTDOWN])
def test_begins_when_all_pods_are_there(strategy: dict[str, Any]) -> None:
    assert reconciled(strategy).pauses_added == ["BlueGreenPause"]


@pytest.mark.parametrize(
    ("strategy", "more"),
    [
        ({}, {}),
        (MANUAL, {"status": {"abort": True}}),
        (MANUAL, {"spec": {"paused": True}}),
        (MANUAL, {"status": {"promoteFull": True}}),
        (MANUAL, {"status": {"blueGreen": {"scaleUpPreviewCheckPoint": True}}}),
        (MANUAL, {"status": RESUMED}),
        (MANUAL, {"active": "new"}),
        (MANUAL, {"active": "", "status": {"stableRS": "gone"}}),
        (MANUAL, {"status": {"stableRS": "new"}}),
        (MANUAL, {"replica_sets": (READY[0], samples.replica_set("new", 4, available=3))}),
        (MANUAL | ANALYSIS, {}),
    ],
    ids=[
        "nothing to wait for",
        "aborted",
        "halted",
        "promote full",
        "check point",
        "resumed",
        "active already",
        "nobody selected",
        "back to stable",
        "pods missing",
        "not judged yet",
    ],
)
def test_does_not_begin(strategy: dict[str, Any], more: dict[str, Any]) -> None:
    assert reconciled(strategy, **more).pauses_added == []


def test_begins_after_the_analysis_has_passed() -> None:
    run = {"name": "run", "status": "Running"}
    draft = reconciled(
        MANUAL | ANALYSIS,
        status={"blueGreen": {"prePromotionAnalysisRunStatus": run}},
        runs=(samples.run("run", "Successful"),),
    )
    assert draft.pauses_added == ["BlueGreenPause"]


def test_wakes_at_the_end_of_the_countdown() -> None:
    draft = reconciled(COUNTDOWN, status=paused(10))
    assert draft.wake_at == pytest.approx(NOW + 20, abs=0.01)
    assert "BlueGreenPause" not in draft.pauses_removed


def test_plans_the_end_of_a_countdown_when_it_begins() -> None:
    assert reconciled(COUNTDOWN).wake_at == pytest.approx(NOW + 30, abs=0.01)


@pytest.mark.spec("bluegreen 10.2")
def test_never_wakes_for_a_countdown_that_does_not_count() -> None:
    assert reconciled(MANUAL | COUNTDOWN, status=paused(10)).wake_at is None


def test_ends_with_the_countdown() -> None:
    draft = reconciled(COUNTDOWN, status=paused(31))
    assert "BlueGreenPause" in draft.pauses_removed


@pytest.mark.parametrize(
    ("strategy", "status", "is_over"),
    [
        ({}, {}, True),
        (COUNTDOWN, paused(30), False),
        (COUNTDOWN, paused(30.5), True),
        (COUNTDOWN, {}, False),
        (COUNTDOWN, RESUMED, False),
        (MANUAL, {}, False),
        (MANUAL, RESUMED, True),
        (MANUAL, paused(1000), False),
        (MANUAL, OTHER, False),
        (MANUAL | COUNTDOWN, paused(1000), False),
        (MANUAL, {"blueGreen": {"scaleUpPreviewCheckPoint": True}}, True),
    ],
    ids=[
        "no pause",
        "countdown runs",
        "countdown ended",
        "countdown never began",
        "resume does not end a countdown",
        "waits for a person",
        "resumed",
        "a person has time",
        "another pause is no resume",
        "a countdown without auto promotion",
        "check point",
    ],
)
def test_is_over(strategy: dict[str, Any], status: dict[str, Any], is_over: bool) -> None:
    assert is_pause_over(drafted(strategy, status=status)) is is_over


def test_the_pause_of_a_canary_ends_with_the_canary() -> None:
    draft = reconciled(MANUAL, status=OTHER)
    assert draft.pause_conditions() == ()
    assert not draft.controller_pause()


def test_is_not_over_in_the_pass_in_which_it_begins() -> None:
    draft = reconciled(COUNTDOWN)
    assert not is_pause_over(draft)


@pytest.mark.spec("bluegreen 9", "canary 3.4")
@pytest.mark.parametrize(
    ("more", "is_fast"),
    [
        ({}, False),
        ({"active": ""}, False),
        ({"active": "", "status": {"stableRS": "gone"}}, True),
        ({"active": "new"}, True),
        ({"status": {"promoteFull": True}}, True),
        ({"status": {"stableRS": "new"}}, True),
    ],
)
def test_is_fast_tracked(more: dict[str, Any], is_fast: bool) -> None:
    assert is_fast_tracked(drafted({}, **more)) is is_fast


@pytest.mark.spec("bluegreen 9", "canary 3.4")
@pytest.mark.parametrize(
    ("age", "deadline", "is_fast"),
    [(2000, 10, True), (2000, -10, False), (2000, None, False), (10, 10, False)],
    ids=["within the delay", "delay is over", "no delay", "newer than stable"],
)
def test_going_back_within_the_delay_is_fast(
    age: float, deadline: float | None, is_fast: bool
) -> None:
    new = samples.replica_set(
        "new",
        created_at=NOW - age,
        scale_down_deadline=None if deadline is None else format_time(NOW + deadline),
    )
    assert is_fast_tracked(drafted({}, replica_sets=(READY[0], new))) is is_fast
