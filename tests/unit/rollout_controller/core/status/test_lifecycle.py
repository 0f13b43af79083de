"""The state of a Rollout, by what is stored; the arcs are walked in tests/properties."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.meta import format_time
from rollout_controller.core import samples
from rollout_controller.core.status.lifecycle import MEANINGS, TRANSITIONS, State, state_of

STEPS: list[dict[str, Any]] = [{"setWeight": 20}, {"pause": {}}]
SOME_TIME = format_time(samples.NOW)
INVALID = [
    {
        "type": "InvalidSpec",
        "status": "True",
        "reason": "InvalidSpec",
        "message": "no",
        "lastUpdateTime": SOME_TIME,
        "lastTransitionTime": SOME_TIME,
    }
]
PAUSE = [{"reason": "CanaryPauseStep", "startTime": SOME_TIME}]
STABLE = {"stableRS": "new", "currentStepIndex": 2}


@pytest.mark.parametrize(
    ("status", "is_acknowledged", "state"),
    [
        ({"currentPodHash": "older"}, True, State.NEW),
        ({"conditions": INVALID, "abort": True}, True, State.REFUSED),
        ({}, True, State.STEPPING),
        ({}, False, State.AWAITING_ROUTE),
        ({"pauseConditions": PAUSE}, False, State.PAUSED),
        ({"currentStepIndex": 2}, True, State.PROMOTING),
        ({"promoteFull": True}, True, State.PROMOTING),
        ({**STABLE, "phase": "Progressing"}, True, State.SETTLING),
        ({**STABLE, "phase": "Healthy"}, False, State.SETTLING),
        ({**STABLE, "phase": "Healthy", "abort": True}, True, State.SETTLED),
        ({"abort": True, "phase": "Progressing"}, True, State.ABORTING),
        ({"abort": True, "phase": "Degraded", "pauseConditions": PAUSE}, True, State.ABORTING),
    ],
)
def test_the_first_that_holds(status: dict[str, Any], is_acknowledged: bool, state: State) -> None:
    observed = samples.routed(STEPS, weight=20, status=status, is_acknowledged=is_acknowledged)
    assert state_of(observed) == state


def test_the_hash_is_that_of_the_replica_set_that_has_the_template() -> None:
    observed = samples.routed(STEPS, weight=20)
    assert state_of(replace(observed, template_hash="computed")) == State.STEPPING
    gone = replace(observed, template_hash="computed", new_replica_set=None)
    assert state_of(gone) == State.NEW


def test_every_state_has_a_meaning_a_way_in_and_a_way_out() -> None:
    assert set(MEANINGS) == set(State)
    assert {source for source, _ in TRANSITIONS} == set(State)
    assert {target for _, target in TRANSITIONS} == set(State)
