"""Whether a run or Experiment that exists is the one that shall be created (canary 7, 8)."""

from typing import Any

import pytest

from headrace.kubernetes.resources import Manifest
from rollout_controller.core import labels
from rollout_controller.core.sameness import is_of_name, is_same_object

pytestmark = [pytest.mark.spec("canary 7"), pytest.mark.spec("analysis 2")]

METRIC = {"name": "m", "provider": {"prometheus": {"address": "http://p", "query": "up"}}}


def made(kind: str, spec: dict[str, Any], cause: str = "") -> Manifest:
    metadata = {
        "name": "app-new-2-0",
        "ownerReferences": [{"uid": "u"}],
        "annotations": {labels.CAUSE: cause},
    }
    return {"kind": kind, "metadata": metadata, "spec": spec}


def run(spec: dict[str, Any] | None = None, cause: str = "") -> Manifest:
    return made("AnalysisRun", {"metrics": [METRIC], **(spec or {})}, cause)


WANTED = made("AnalysisRun", {"metrics": [METRIC]}, cause="2.0.0")


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"args": [], "dryRun": [], "terminate": False},
        {"metrics": [{**METRIC, "interval": "", "failureCondition": ""}]},
        {"ttlStrategy": {"secondsAfterCompletion": 60}},
    ],
)
def test_one_that_another_controller_left_is_taken_however_it_is_written(
    spec: dict[str, Any],
) -> None:
    assert is_same_object(run(spec), WANTED, "Running")


@pytest.mark.parametrize(
    "spec",
    [
        {"metrics": [{**METRIC, "count": 2}]},
        {"args": [{"name": "x", "value": "1"}]},
        {"dryRun": [{"metricName": "m"}]},
        {"measurementRetention": [{"metricName": "m", "limit": 1}]},
        {"metrics": "none"},
        {"terminate": True},  # its end is no verdict
    ],
)
def test_another_one_is_not(spec: dict[str, Any]) -> None:
    assert not is_same_object(run(spec), WANTED, "Running")


def test_neither_is_one_that_is_over_or_somebody_elses() -> None:
    assert not is_same_object(run(), WANTED, "Successful")
    foreign = run()
    foreign["metadata"]["ownerReferences"] = [{"uid": "other"}]
    assert not is_same_object(foreign, WANTED, "Running")


@pytest.mark.spec("canary 8")
def test_an_experiment_is_compared_by_what_it_means_too() -> None:
    template = {"name": "a", "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {}}}
    wanted = made("Experiment", {"templates": [template]}, cause="2.0.0")
    assert is_same_object(made("Experiment", {"templates": [template], "analyses": []}), wanted, "")
    longer = {"templates": [template], "duration": "1m"}
    assert not is_same_object(made("Experiment", longer), wanted, "")


@pytest.mark.parametrize(("spec", "taken"), [({}, True), ({"terminate": True}, False)])
def test_one_of_the_same_cause_is_taken_even_when_it_is_over(
    spec: dict[str, Any], taken: bool
) -> None:
    assert is_same_object(run(spec, cause="2.0.0"), WANTED, "Successful") is taken


@pytest.mark.parametrize(
    ("name", "is_of"),
    [
        ("app-new-2-0", True),
        ("app-new-2-0.1", True),
        ("app-new-2-0.12", True),
        ("app-new-2-0-1", False),
        ("app-new-2-01", False),
        ("app-new-2", False),
        ("my-app-new-2-0", False),
    ],
)
def test_a_collision_only_adds_a_number(name: str, is_of: bool) -> None:
    assert is_of_name(name, WANTED, ".") is is_of
