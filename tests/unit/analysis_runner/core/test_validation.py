"""Validation of metrics (analysis 5)."""

from __future__ import annotations

from typing import Any

import pytest

from analysis_runner.core.validation import find_problem
from headrace.model.analysis import Metric

PROMETHEUS = {"prometheus": {"query": "up"}}


def metric(**fields: Any) -> Metric:
    return Metric.load({"name": "m", "provider": PROMETHEUS, **fields})


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, ""),
        ({"consecutiveSuccessLimit": -1}, "consecutiveSuccessLimit must be >= 0"),
        ({"failureLimit": -2}, "failureLimit must be >= 0, or -1 to be disabled"),
        (
            {"failureLimit": -1},
            "failureLimit and consecutiveSuccessLimit cannot both be disabled",
        ),
        ({"failureLimit": -1, "consecutiveSuccessLimit": 1}, ""),
        ({"inconclusiveLimit": -1}, "inconclusiveLimit must be >= 0"),
        ({"consecutiveErrorLimit": -1}, "consecutiveErrorLimit must be >= 0"),
        ({"consecutiveErrorLimit": 0}, ""),
        (
            {"count": 2, "interval": "1s", "failureLimit": 2, "consecutiveSuccessLimit": 1},
            "count (2) must be >= failureLimit + consecutiveSuccessLimit (2 + 1) if both >= 0",
        ),
        ({"count": 3, "interval": "1s", "failureLimit": 2, "consecutiveSuccessLimit": 1}, ""),
        (
            {"count": 1, "failureLimit": -1, "consecutiveSuccessLimit": 2},
            "count must be >= consecutiveSuccessLimit",
        ),
        ({"count": 1, "inconclusiveLimit": 2}, "count must be >= inconclusiveLimit"),
        ({"count": 2}, "interval must be specified when count > 1"),
        ({"count": "2"}, "interval must be specified when count > 1"),
        ({"count": "many"}, ""),
        ({"count": 1}, ""),
        (
            {"interval": "5x"},
            'invalid interval string: time: unknown unit "x" in duration "5x"',
        ),
        (
            {"initialDelay": "5"},
            'invalid startDelay string: time: missing unit in duration "5"',
        ),
        ({"provider": {}}, "no provider specified"),
        (
            {"provider": {**PROMETHEUS, "web": {"url": "http://x"}}},
            "multiple providers specified",
        ),
        ({"provider": {"plugin": {"a/b": {}}}}, ""),
        ({"provider": {"plugin": {"a/b": {}, "a/c": {}}}}, "multiple providers specified"),
    ],
)
def test_tells_what_is_wrong_with_a_metric(fields: dict[str, Any], problem: str) -> None:
    expected = f"metrics[1]: {problem}" if problem else ""
    assert find_problem([metric(name="first"), metric(**fields)]) == expected


def test_a_run_without_metrics_is_wrong() -> None:
    assert find_problem([]) == "no metrics specified"


def test_names_are_unique() -> None:
    problem = find_problem([metric(), metric(name="n"), metric()])
    assert problem == "metrics[2]: duplicate name 'm'"
