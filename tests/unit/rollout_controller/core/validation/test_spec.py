"""Rules about the spec alone: the reference's answers, and what they leave out."""

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.model.rollout import RolloutSpec
from rollout_controller.core.validation import spec

pytestmark = pytest.mark.spec("rollout-api 4.1")

VECTORS = Path(__file__).parents[4] / "vectors" / "validation.json"
CASES = json.loads(VECTORS.read_text())


def errors(raw: dict[str, Any]) -> list[str]:
    valid = {
        "selector": {"matchLabels": {"app": "x"}},
        "template": {
            "metadata": {"labels": {"app": "x"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        },
        "strategy": {"canary": {}},
    }
    return list(spec.errors(RolloutSpec.load(valid | raw)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_errors_are_those_of_the_reference(case: dict[str, Any]) -> None:
    assert list(spec.errors(RolloutSpec.load(case["rollout"]["spec"]))) == case["errors"]


def test_both_strategies_are_one_too_many() -> None:
    both = {"canary": {}, "blueGreen": {"activeService": "a"}}
    assert errors({"strategy": both}) == [
        'spec.strategy.strategy: Invalid value: "blueGreen: true canary: true": '
        "Multiple Strategies can not be listed"
    ]


def test_minimum_ready_time_is_not_negative() -> None:
    assert errors({"minReadySeconds": -1}) == [
        "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0"
    ]


def test_the_default_deadline_counts_too() -> None:
    assert errors({"minReadySeconds": 600}) == [
        "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"
    ]


def test_the_template_of_a_referenced_workload_may_stay_empty() -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    assert errors({"workloadRef": reference, "template": None, "selector": None}) == []


def test_selector_operators_want_their_values() -> None:
    selector = {
        "matchExpressions": [
            {"key": "a", "operator": "In"},
            {"key": "b", "operator": "Exists", "values": ["x"]},
        ]
    }
    first, second, third = errors({"selector": selector})
    assert first == (
        "spec.selector.matchExpressions[0].values: Required value: "
        "must be specified when `operator` is 'In' or 'NotIn'"
    )
    assert second == (
        "spec.selector.matchExpressions[1].values: Forbidden: "
        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
    )
    assert third.endswith("invalid label selector")


def test_blue_green_keeps_no_more_revisions_than_the_history() -> None:
    strategy = {"blueGreen": {"activeService": "a", "scaleDownDelayRevisionLimit": 3}}
    assert errors({"strategy": strategy, "revisionHistoryLimit": 2}) == [
        "spec.strategy.scaleDownDelayRevisionLimit: Invalid value: 3: This rollout's revision "
        "history limit can not be smaller than the rollout's scale down limit"
    ]
