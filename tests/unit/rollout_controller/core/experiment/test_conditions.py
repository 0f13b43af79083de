"""The conditions of an Experiment (experiment 2, 7)."""

from typing import Any

import pytest

from headrace.model.conditions import Condition
from rollout_controller.core.experiment import samples
from rollout_controller.core.experiment.conditions import calculate, invalid
from rollout_controller.core.experiment.draft import Draft
from rollout_controller.core.experiment.observed import Observed

NOW = samples.NOW
EARLIER = "2027-01-15T07:00:00Z"
RUNS = ("Progressing", "True", "NewReplicaSetAvailable", 'Experiment "exp" is running.')
MOVES = ("Progressing", "True", "ReplicaSetUpdated", 'Experiment "exp" is progressing.')
ENDED = (
    "Progressing",
    "False",
    "ExperimentCompleted",
    'Experiment "exp" has successfully ran and completed.',
)


def shown(conditions: tuple[Condition, ...]) -> list[tuple[str, ...]]:
    return [(c.type, c.status, c.reason, c.message) for c in conditions]


def stored(*rows: tuple[str, ...]) -> list[dict[str, str]]:
    names = ("type", "status", "reason", "message")
    times = {"lastUpdateTime": EARLIER, "lastTransitionTime": EARLIER}
    return [{**dict(zip(names, row, strict=True)), **times} for row in rows]


def passed(
    phase: str, *, spec: dict[str, Any] | None = None, age: float | None = None, moved: bool = False
) -> list[tuple[str, ...]]:
    status = samples.running(age or 0)
    if age is None:
        del status["availableAt"]
    draft = Draft(samples.experiment(spec, status), NOW)
    draft.has_moved = moved
    return shown(calculate(draft, phase, draft.status.available_at))


@pytest.mark.spec("experiment 7")
@pytest.mark.parametrize(
    ("phase", "age", "moved", "expected"),
    [
        ("Successful", 60, False, [ENDED]),
        ("Successful", 60, True, [ENDED]),
        ("Running", 60, True, [MOVES]),
        ("Failed", None, True, [MOVES]),
        ("Running", 60, False, [RUNS]),
        ("Running", 3601, False, []),
        ("Pending", None, False, []),
    ],
)
def test_progressing_follows_phase_and_counters(
    phase: str, age: float | None, moved: bool, expected: list[tuple[str, ...]]
) -> None:
    assert passed(phase, spec={"duration": "1h"}, age=age, moved=moved) == expected


@pytest.mark.spec("experiment 7")
@pytest.mark.parametrize(("row", "is_renewed"), [(MOVES, True), (RUNS, False)])
def test_only_progress_is_told_again(row: tuple[str, ...], is_renewed: bool) -> None:
    draft = Draft(samples.experiment({}, samples.running(conditions=stored(row))), NOW)
    draft.has_moved = row == MOVES
    (condition,) = calculate(draft, "Running", NOW)
    assert shown((condition,)) == [row]
    assert (condition.last_update_time == NOW) == is_renewed
    assert condition.last_transition_time == NOW - 3600


BAD = ("InvalidSpec", "True", "InvalidSpec", "bad")


@pytest.mark.spec("experiment 2")
def test_a_spec_that_is_valid_again_loses_its_condition() -> None:
    draft = Draft(samples.experiment({}, samples.running(conditions=stored(BAD))), NOW)
    assert shown(calculate(draft, "Running", NOW)) == [RUNS]


@pytest.mark.spec("experiment 2")
@pytest.mark.parametrize(("error", "is_new"), [("bad", False), ("worse", True)])
def test_an_invalid_spec_is_told_once(error: str, is_new: bool) -> None:
    observed: Observed = samples.experiment({}, {"conditions": stored(RUNS, BAD)})
    kept, told = invalid(observed, error, NOW)
    assert shown((kept, told)) == [RUNS, (*BAD[:3], error)]
    assert (told.last_update_time == NOW) == is_new
