"""The pause step (canary 2.4)."""

from typing import Any

import pytest

from headrace.model.conditions import PauseReason
from headrace.model.meta import format_time
from rollout_controller.core import samples
from rollout_controller.core.canary.pause import is_pause_over, reconcile_pause
from rollout_controller.core.draft import Draft

pytestmark = pytest.mark.spec("canary 2.4")

STARTED = [{"reason": "CanaryPauseStep", "startTime": format_time(samples.NOW)}]


def draft(
    pause: dict[str, Any], *, at: float = 0.0, spec: dict[str, Any] | None = None, **status: Any
) -> Draft:
    observed = samples.rollout({"steps": [{"pause": pause}]}, status=status, spec=spec)
    return Draft(observed, type(samples.NOW)(samples.NOW + at))


def test_begins_when_the_step_is_reached() -> None:
    begun = draft({})
    reconcile_pause(begun)
    (condition,) = begun.pause_conditions()
    assert (condition.reason, condition.start_time) == ("CanaryPauseStep", samples.NOW)
    assert begun.controller_pause()
    assert begun.wake_at is None


def test_looks_again_when_a_timed_pause_ends() -> None:
    begun = draft({"duration": "10s"})
    reconcile_pause(begun)
    assert begun.wake_at == pytest.approx(samples.NOW + 10, abs=0.01)


def test_keeps_its_start_and_waits_for_the_rest() -> None:
    later = draft({"duration": 10}, at=4, pauseConditions=STARTED, controllerPause=True)
    reconcile_pause(later)
    assert later.pauses_added == []
    assert later.pause_conditions()[0].start_time == samples.NOW
    assert later.wake_at == pytest.approx(samples.NOW + 10, abs=0.01)


@pytest.mark.parametrize(("seconds", "is_over"), [(9.0, False), (10.0, False), (10.001, True)])
def test_ends_after_its_duration(seconds: float, is_over: bool) -> None:
    later = draft({"duration": "10s"}, at=seconds, pauseConditions=STARTED, controllerPause=True)
    assert is_pause_over(later) is is_over


def test_waits_for_a_person_without_duration() -> None:
    assert not is_pause_over(draft({}, at=1e6, pauseConditions=STARTED, controllerPause=True))


def test_a_person_resumes_by_taking_the_conditions_away() -> None:
    resumed = draft({}, controllerPause=True)
    reconcile_pause(resumed)
    assert resumed.pauses_added == []
    assert is_pause_over(resumed)


def test_begins_beside_a_pause_for_another_reason() -> None:
    inconclusive = {"reason": "InconclusiveAnalysisRun", "startTime": format_time(samples.NOW)}
    begun = draft({}, pauseConditions=[inconclusive], controllerPause=True)
    reconcile_pause(begun)
    reasons = [each.reason for each in begun.pause_conditions()]
    assert reasons == ["InconclusiveAnalysisRun", "CanaryPauseStep"]
    assert not is_pause_over(begun), "nobody has resumed: the list is not empty"


def test_has_not_begun_without_the_controllers_mark() -> None:
    assert not is_pause_over(draft({}))


@pytest.mark.parametrize(
    "status",
    [{"promoteFull": True}, {"stableRS": "new"}, {"currentStepIndex": 1}],
    ids=["promote full", "promoted", "past the end"],
)
def test_does_not_begin_when_the_update_is_over(status: dict[str, Any]) -> None:
    skipped = draft({}, **status)
    reconcile_pause(skipped)
    assert skipped.pauses_added == []


def test_does_not_begin_while_a_person_holds_everything() -> None:
    held = draft({}, spec={"paused": True})
    reconcile_pause(held)
    assert held.pauses_added == []


def test_other_steps_do_not_pause() -> None:
    other = Draft(samples.rollout({"steps": [{"setWeight": 10}]}), samples.NOW)
    reconcile_pause(other)
    assert other.pauses_added == []
    assert not other.has_pause(PauseReason.CANARY_PAUSE_STEP)
