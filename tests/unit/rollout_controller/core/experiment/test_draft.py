"""What a pass over an Experiment knows (experiment 3.2, 4), and how it tells changes (4.4, 5)."""

from typing import Any

import pytest

from headrace.model.experiment import ExperimentAnalysisStatus
from headrace.model.quantities import Instant
from rollout_controller.core.experiment import samples
from rollout_controller.core.experiment.draft import Draft
from rollout_controller.core.experiment.observed import Failure, OwningRollout

NOW = samples.NOW


def analyses(**phases: str) -> list[dict[str, str]]:
    return [{"name": name, "analysisRun": name, "phase": p} for name, p in phases.items()]


REQUIRED = {
    "analyses": [
        {"name": name, "templateName": "t", "requiredForCompletion": name != "free"}
        for name in ("one", "two", "free")
    ]
}
ENDS = [
    ({}, samples.running(), False),
    ({}, {}, False),
    ({"terminate": True}, samples.running(), True),
    ({}, {"phase": "Pending"}, False),
    *[({}, {"phase": over}, True) for over in ("Successful", "Failed", "Error", "Inconclusive")],
    ({}, {"templateStatuses": [samples.template_status(state="Failed")]}, True),
    ({}, {"templateStatuses": [samples.template_status(state="Error")]}, True),
    ({}, {"templateStatuses": [samples.template_status(state="Successful")]}, False),
    *[({}, {"analysisRuns": analyses(x=bad)}, True) for bad in ("Failed", "Error", "Inconclusive")],
    ({}, {"analysisRuns": analyses(x="Successful")}, False),
    (REQUIRED, {"analysisRuns": analyses(one="Successful", two="Running")}, False),
    (REQUIRED, {"analysisRuns": analyses(one="Successful", free="Successful")}, False),
    (REQUIRED, {"analysisRuns": analyses(one="Successful", two="Successful")}, True),
]


@pytest.mark.spec("experiment 3")
@pytest.mark.parametrize(("spec", "status", "expected"), ENDS)
def test_an_experiment_ends_by_its_stored_status(
    spec: dict[str, Any], status: dict[str, Any], expected: bool
) -> None:
    assert Draft(samples.experiment(spec, status), NOW).is_terminating == expected


@pytest.mark.spec("experiment 4")
@pytest.mark.parametrize(
    ("replicas", "state", "terminate", "expected"),
    [
        (3, "Running", False, 3),
        (None, "Progressing", False, 1),
        (0, "Running", False, 0),
        (3, "Successful", False, 0),
        (3, "Running", True, 0),
    ],
)
def test_how_many_pods_a_template_shall_have(
    replicas: int | None, state: str, terminate: bool, expected: int
) -> None:
    spec = {"templates": [samples.template(replicas=replicas)], "terminate": terminate}
    status = {"templateStatuses": [samples.template_status(state=state)]}
    draft = Draft(samples.experiment(spec, status), NOW)
    assert draft.desired(draft.spec.templates[0]) == expected


@pytest.mark.spec("experiment 1.1")
@pytest.mark.spec("experiment 10.7")
@pytest.mark.parametrize(
    ("duration", "age", "ends_in", "is_over"),
    [
        (None, 60, None, False),
        ("", 60, None, False),
        ("soon", 60, None, False),
        ("1m", None, None, False),
        ("1m30s", 60, 30, False),
        ("1m", 60, 0, False),
        ("1m", 61, -1, True),
    ],
)
def test_the_duration_counts_from_the_first_time_available(
    duration: str | None, age: float | None, ends_in: float | None, is_over: bool
) -> None:
    status = samples.running(age or 0)
    if age is None:
        del status["availableAt"]
    draft = Draft(samples.experiment({"duration": duration} if duration else {}, status), NOW)
    assert draft.ends_at == (None if ends_in is None else NOW + ends_in)
    assert draft.is_duration_over == is_over


@pytest.mark.spec("experiment 1.1")
def test_deadline_and_delay_have_their_defaults() -> None:
    draft = Draft(samples.experiment(), NOW)
    assert (draft.progress_deadline_seconds, draft.scale_down_delay_seconds) == (600, 30)
    given = Draft(
        samples.experiment({"progressDeadlineSeconds": 0, "scaleDownDelaySeconds": 0}), NOW
    )
    assert (given.progress_deadline_seconds, given.scale_down_delay_seconds) == (0, 0)


@pytest.mark.parametrize(("at", "is_known"), [(0, True), (9.9, True), (10, False)])
def test_what_was_refused_is_not_tried_for_a_while(at: float, is_known: bool) -> None:
    failure = Failure("run", "no", NOW)
    draft = Draft(samples.experiment(failures={"analysis/x": failure}), Instant(NOW + at))
    assert draft.failure_of("analysis/x") == (failure if is_known else None)
    assert draft.failure_of("analysis/y") is None
    assert draft.wake_at == (NOW + 10 if is_known else None)


@pytest.mark.parametrize(
    ("relies", "weighted", "shares", "is_held"),
    [
        (True, {"a"}, {}, True),
        (True, {"b"}, {}, False),
        (False, {"a"}, {}, False),
        (False, set(), {"hash-a": 1}, True),
        (False, set(), {"hash-a": 0, "hash-b": 9}, False),
    ],
)
def test_a_template_is_held_by_a_route_that_may_name_it(
    relies: bool, weighted: set[str], shares: dict[str, int], is_held: bool
) -> None:
    rollout = OwningRollout("app", "uid-app", "1", relies, frozenset(weighted), shares)
    draft = Draft(samples.experiment(rollout=rollout), NOW)
    assert draft.is_held(draft.spec.templates[0], samples.replica_set()) == is_held
    assert bool(draft.held) == is_held


@pytest.mark.spec("experiment 5")
@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        ("Pending", "Normal"),
        ("Running", "Normal"),
        ("Successful", "Normal"),
        ("Failed", "Warning"),
        ("Error", "Warning"),
        ("Inconclusive", "Warning"),
    ],
)
def test_a_rollout_is_warned_of_every_phase_of_an_analysis(phase: str, kind: str) -> None:
    observed = samples.experiment(rollout=OwningRollout("app", "uid-app", "1"))
    draft = Draft(observed, NOW)
    draft.put_analysis(ExperimentAnalysisStatus(name="x", analysis_run="r", phase=phase))
    (event,), (told,) = draft.events, draft.rollout_events
    text = f"AnalysisRun 'x' transitioned from  -> {phase}"
    assert (str(event.reason), event.message, event.type) == (f"AnalysisRun{phase}", text, kind)
    assert (str(told.reason), told.message, told.type) == (f"AnalysisRun{phase}", text, "Warning")


@pytest.mark.spec("experiment 5")
def test_an_experiment_of_nobody_tells_nobody_else() -> None:
    draft = Draft(samples.experiment(), NOW)
    status = ExperimentAnalysisStatus(name="x", analysis_run="r", phase="Error", message="why")
    draft.put_analysis(status)
    draft.put_analysis(status)
    assert [event.message for event in draft.events] == [
        "AnalysisRun 'x' transitioned from  -> Error: why"
    ]
    assert draft.rollout_events == []
