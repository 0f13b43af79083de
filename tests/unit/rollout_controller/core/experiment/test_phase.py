"""The phase of an Experiment, row by row of experiment 6."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.meta import format_time
from rollout_controller.core import samples as common
from rollout_controller.core.experiment import phase, samples
from rollout_controller.core.experiment.draft import Draft

pytestmark = pytest.mark.spec("experiment 6")

NOW = samples.NOW
PENDING, RUNNING, SUCCESSFUL, FAILED, ERROR, INCONCLUSIVE = (
    "Pending",
    "Running",
    "Successful",
    "Failed",
    "Error",
    "Inconclusive",
)
DONE = "Required AnalysisRuns completed"


def draft(
    templates: dict[str, str], analyses: dict[str, str], *, stored: str = RUNNING, **status: Any
) -> Draft:
    """Return a pass; names of required analyses begin with `must`."""
    spec = {
        "templates": [samples.template(name) for name in ("a", "b")],
        "analyses": [
            {"name": name, "templateName": name, "requiredForCompletion": name.startswith("must")}
            for name in analyses
        ],
    }
    told = {
        "phase": stored,
        "templateStatuses": [
            samples.template_status(name, state, message=f"{name} is {state}")
            for name, state in templates.items()
        ],
        "analysisRuns": [
            {"name": name, "analysisRun": name, "phase": state, "message": f"{name} is {state}"}
            for name, state in analyses.items()
        ],
    }
    return Draft(samples.experiment(spec, {**told, **status}), NOW)


TABLE = [
    # templates a and b, analyses, phase, message
    ((RUNNING, "Progressing"), {}, PENDING, "b is Progressing"),
    ((RUNNING,), {}, PENDING, ""),
    ((RUNNING, RUNNING), {}, RUNNING, "a is Running"),
    ((RUNNING, FAILED), {}, FAILED, "b is Failed"),
    ((ERROR, FAILED), {}, FAILED, "b is Failed"),
    ((ERROR, "Progressing"), {}, ERROR, "a is Error"),
    ((SUCCESSFUL, SUCCESSFUL), {}, SUCCESSFUL, ""),
    ((SUCCESSFUL, RUNNING), {}, RUNNING, "b is Running"),
    # analyses beside templates that go on
    ((RUNNING, RUNNING), {"x": PENDING}, RUNNING, "a is Running"),
    ((RUNNING, RUNNING), {"x": SUCCESSFUL}, RUNNING, "a is Running"),
    ((RUNNING, RUNNING), {"x": INCONCLUSIVE}, INCONCLUSIVE, "x is Inconclusive"),
    (("Progressing", RUNNING), {"x": ERROR}, ERROR, "x is Error"),
    ((RUNNING, RUNNING), {"x": ERROR, "y": FAILED}, FAILED, "y is Failed"),
    ((RUNNING, RUNNING), {"must": SUCCESSFUL}, SUCCESSFUL, DONE),
    ((RUNNING, RUNNING), {"must": SUCCESSFUL, "must2": RUNNING}, RUNNING, "a is Running"),
    ((RUNNING, RUNNING), {"must": SUCCESSFUL, "x": RUNNING}, RUNNING, "x is Running"),
    # templates that are over
    ((SUCCESSFUL, SUCCESSFUL), {"x": RUNNING}, SUCCESSFUL, ""),
    ((SUCCESSFUL, SUCCESSFUL), {"x": FAILED}, FAILED, "x is Failed"),
    ((SUCCESSFUL, SUCCESSFUL), {"must": RUNNING}, RUNNING, "must is Running"),
    ((SUCCESSFUL, SUCCESSFUL), {"must": PENDING}, RUNNING, "must is Pending"),
    ((SUCCESSFUL, SUCCESSFUL), {"must": SUCCESSFUL}, SUCCESSFUL, DONE),
    ((SUCCESSFUL, FAILED), {"must": SUCCESSFUL}, FAILED, "b is Failed"),
    ((SUCCESSFUL, FAILED), {"x": INCONCLUSIVE}, FAILED, "b is Failed"),
]


@pytest.mark.parametrize(("states", "analyses", "expected", "message"), TABLE)
def test_the_phase_follows_from_templates_and_analyses(
    states: tuple[str, ...], analyses: dict[str, str], expected: str, message: str
) -> None:
    templates = dict(zip("ab", states, strict=False))
    assert phase.calculate(draft(templates, analyses)) == (expected, message)


def test_an_experiment_begins_as_pending() -> None:
    assert phase.calculate(draft({"a": FAILED}, {}, stored="")) == (PENDING, "")


@pytest.mark.parametrize("stored", [SUCCESSFUL, FAILED, ERROR, INCONCLUSIVE])
def test_a_phase_that_is_over_never_changes(stored: str) -> None:
    found = draft({"a": RUNNING, "b": FAILED}, {"x": ERROR}, stored=stored, message="why")
    assert phase.calculate(found) == (stored, "why")


@pytest.mark.parametrize(
    ("stored", "state", "is_available"),
    [
        ("", RUNNING, False),
        (PENDING, RUNNING, True),
        (RUNNING, RUNNING, True),
        (PENDING, "Progressing", False),
        (PENDING, SUCCESSFUL, True),
        (PENDING, FAILED, False),
        (FAILED, RUNNING, False),
    ],
)
def test_the_first_time_that_all_templates_run_is_kept(
    stored: str, state: str, is_available: bool
) -> None:
    found = draft({"a": RUNNING, "b": state}, {}, stored=stored)
    assert phase.available_at(found) == (NOW if is_available else None)
    known = draft({"a": RUNNING, "b": state}, {}, stored=stored, availableAt="2027-01-15T07:00:00Z")
    assert phase.available_at(known) == NOW - 3600


def test_each_try_has_a_time_of_its_own() -> None:
    found = draft({"a": RUNNING, "b": RUNNING}, {}, stored=PENDING)
    causes = [f"x.{format_time(NOW)}", f"y.{format_time(NOW + 1)}", f"x.{format_time(NOW - 9)}"]
    runs = tuple(common.run(f"exp-{cause}", cause=cause) for cause in causes)
    again = Draft(replace(found.observed, runs=runs), NOW)
    assert phase.available_at(again) == NOW + 2
