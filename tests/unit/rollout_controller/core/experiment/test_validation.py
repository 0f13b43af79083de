"""What makes an Experiment invalid, row by row of experiment 2."""

from typing import Any

import pytest

from rollout_controller.core.experiment import samples
from rollout_controller.core.experiment.validation import first_error

pytestmark = pytest.mark.spec("experiment 2")

DEADLINE = "MinReadySeconds cannot be longer than ProgressDeadlineSeconds. Check template index 1"


def error_of(*changes: dict[str, Any], **spec: Any) -> str | None:
    """Return the error of templates `a`, `b`, … with members changed; None takes one away."""
    templates = []
    for name, changed in zip("abc", changes, strict=False):
        members = samples.template(name) | changed
        templates.append({k: v for k, v in members.items() if v is not None})
    raw = {"templates": templates, **spec}
    return first_error(samples.experiment(raw_spec=raw))


SELECTS_ALL = "This experiment is selecting all pods at index 0. A non-empty selector is required."
EXPRESSION = {"matchExpressions": [{"key": "app", "operator": "Exists"}]}
RULES = [
    (({},), None),
    (({}, {}), None),
    (({"selector": None},), "Rollout has missing field '.Spec.Templates[0].Selector'"),
    (({}, {"selector": None}), "Rollout has missing field '.Spec.Templates[1].Selector'"),
    (({"selector": {}},), SELECTS_ALL),
    (({"selector": {"matchLabels": {}}},), SELECTS_ALL),
    (({"selector": EXPRESSION},), None),
    (({}, {"minReadySeconds": 601}), DEADLINE),
    (({}, {"minReadySeconds": 600}), None),
    (({"name": ""},), "Experiment exp has empty template name at index 0"),
    (({"name": None},), "Experiment exp has empty template name at index 0"),
    (({}, {"name": "a"}), "Experiment exp has repeated template name 'a' in templates"),
    # the first one, in order of templates, then of rules
    (({"name": "", "selector": None},), "Rollout has missing field '.Spec.Templates[0].Selector'"),
    (({"name": ""}, {"selector": None}), "Experiment exp has empty template name at index 0"),
]


@pytest.mark.parametrize(("changes", "expected"), RULES)
def test_the_first_violated_rule_is_told(
    changes: tuple[dict[str, Any], ...], expected: str | None
) -> None:
    assert error_of(*changes) == expected


@pytest.mark.parametrize(("deadline", "expected"), [(9, DEADLINE), (10, None), (None, None)])
def test_the_deadline_is_that_of_the_spec(deadline: int | None, expected: str | None) -> None:
    spec = {"progressDeadlineSeconds": deadline}
    assert error_of({}, {"minReadySeconds": 10}, **spec) == expected


def test_a_spec_that_cannot_be_read_is_told_after_the_rules() -> None:
    unreadable = samples.experiment(spec_error="spec.duration: no text")
    assert first_error(unreadable) == "spec.duration: no text"
