"""The pass under construction (canary 2.5)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.conditions import PauseReason, Reason
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.meta import format_time
from rollout_controller.core import samples
from rollout_controller.core.draft import RETRY_SECONDS, Draft

pytestmark = pytest.mark.spec("canary 2.5")

PAUSED = [{"reason": "CanaryPauseStep", "startTime": format_time(samples.NOW - 60)}]


def draft(**status: Any) -> Draft:
    return Draft(samples.rollout({"steps": [{"pause": {}}]}, status=status), samples.NOW)


def test_classifies_the_replica_sets() -> None:
    sets = tuple(samples.replica_set(name) for name in ("old", "stable", "new", "older"))
    drafted = Draft(samples.rollout({}, replica_sets=sets), samples.NOW)
    assert drafted.new is sets[2]
    assert drafted.stable is sets[1]
    assert drafted.others == (sets[0], sets[3])


def test_the_promoted_version_is_new_and_stable() -> None:
    drafted = draft(stableRS="new")
    assert drafted.stable is drafted.new
    assert [rs.pod_hash for rs in drafted.others] == ["stable"]


def test_a_stable_version_may_be_gone() -> None:
    assert draft(stableRS="gone").stable is None
    assert draft(stableRS=None).stable is None


def test_nothing_and_nothing_is_fully_promoted() -> None:
    assert draft(stableRS=None, currentPodHash=None).is_fully_promoted
    assert not draft().is_fully_promoted


def test_the_first_reason_of_an_abort_wins() -> None:
    drafted = draft()
    drafted.abort("first")
    drafted.abort("second")
    assert drafted.abort_message == "first"
    assert drafted.is_aborted
    drafted.remove_abort()
    assert not drafted.is_aborted


def test_an_abort_that_stands_keeps_its_reason() -> None:
    observed = replace(
        samples.rollout({}, status={"abort": True}), headrace=HeadraceStatus(abort_message="why")
    )
    drafted = Draft(observed, samples.NOW)
    drafted.abort("later")
    assert (drafted.abort_message, drafted.aborted_now) == ("why", False)


def test_an_abort_drops_the_pauses() -> None:
    drafted = draft(pauseConditions=PAUSED, controllerPause=True)
    drafted.abort("")
    assert drafted.pause_conditions() == ()
    assert not drafted.controller_pause()


def test_an_added_pause_keeps_the_start_it_has() -> None:
    drafted = draft(pauseConditions=PAUSED, controllerPause=True)
    drafted.add_pause(PauseReason.CANARY_PAUSE_STEP)
    drafted.add_pause(PauseReason.INCONCLUSIVE_ANALYSIS_RUN)
    first, second = drafted.pause_conditions()
    assert first.start_time == samples.NOW - 60
    assert (second.reason, second.start_time) == ("InconclusiveAnalysisRun", samples.NOW)


def test_the_mark_of_the_controller_goes_with_the_last_pause() -> None:
    drafted = draft(pauseConditions=PAUSED, controllerPause=True)
    assert drafted.controller_pause()
    drafted.remove_pause(PauseReason.CANARY_PAUSE_STEP)
    assert drafted.pause_conditions() == ()
    assert not drafted.controller_pause()


def test_a_pause_marks_that_the_controller_paused() -> None:
    drafted = draft()
    drafted.add_pause(PauseReason.CANARY_PAUSE_STEP)
    assert drafted.controller_pause()
    drafted.clear_pauses()
    assert not drafted.controller_pause()


def test_looks_again_at_the_earliest_deadline() -> None:
    drafted = draft()
    drafted.wake(samples.NOW + 5)
    drafted.wake(samples.NOW + 9)
    drafted.wake(samples.NOW + 3)
    assert drafted.wake_at == samples.NOW + 3


def test_a_failure_is_tried_again() -> None:
    drafted = draft()
    drafted.fail("first", on="run first")
    drafted.fail("second", on="run second")
    assert drafted.failure == "first"
    assert drafted.wake_at == samples.NOW + RETRY_SECONDS


def test_events_are_kept_in_order() -> None:
    drafted = draft()
    drafted.event(Reason.ROLLOUT_UPDATED, "a")
    drafted.event(Reason.ROLLOUT_PAUSED, "b", before=False)
    assert [(event.message, event.is_before_claim) for event in drafted.events] == [
        ("a", True),
        ("b", False),
    ]


INCONCLUSIVE = {"currentStepAnalysisRunStatus": {"name": "run", "status": "Inconclusive"}}


@pytest.mark.parametrize(
    ("status", "attempt"),
    [
        ({}, 3),
        ({"abort": True, "abortedAt": format_time(samples.NOW)}, 3),
        ({"abortedAt": format_time(samples.NOW)}, 4),
        ({"controllerPause": True, "canary": INCONCLUSIVE}, 4),
        ({"controllerPause": True}, 3),
        ({"controllerPause": True, "pauseConditions": PAUSED, "canary": INCONCLUSIVE}, 3),
    ],
    ids=["calm", "aborted", "retried", "resumed unclear", "resumed pause", "paused unclear"],
)
def test_each_taking_back_is_an_attempt(status: dict[str, Any], attempt: int) -> None:
    observed = replace(samples.rollout({}, status=status), headrace=HeadraceStatus(attempt=3))
    assert Draft(observed, samples.NOW).attempt == attempt


def test_persisted_weights_stand_for_shares_that_are_lost() -> None:
    observed = samples.routed([], weight=25)
    headrace = observed.headrace.model_copy(update={"shares": None})
    assert Draft(replace(observed, headrace=headrace), samples.NOW).shares == {
        "stable": 75,
        "new": 25,
    }
    kept = observed.headrace.model_copy(update={"shares": {"new": 50}})
    assert Draft(replace(observed, headrace=kept), samples.NOW).shares == {"stable": 75, "new": 50}
