"""What a spec asks for (analysis 4, steps 2 to 4)."""

from __future__ import annotations

from typing import Any

import pytest

from analysis_runner.core.examine import Examined, examine
from headrace.model.analysis import AnalysisRunSpec


def examined(*names: str, **fields: Any) -> Examined:
    metrics = [{"name": name, "provider": {"prometheus": {"query": "up"}}} for name in names]
    return examine(AnalysisRunSpec.load({"metrics": metrics, **fields}), metrics)


def test_rules_match_anywhere_in_a_name() -> None:
    found = examined("latency-p95", "latency-p99", "errors", dryRun=[{"metricName": "p9"}])
    assert found.problem == ""
    assert found.dry_run == {"latency-p95", "latency-p99"}


def test_later_retention_rules_win_and_zero_means_the_default() -> None:
    rules = [
        {"metricName": ".*", "limit": 20},
        {"metricName": "^b$", "limit": 5},
        {"metricName": "^c$", "limit": 0},
    ]
    found = examined("a", "b", "c", measurementRetention=rules)
    assert [found.retention(name) for name in "abc"] == [20, 5, 10]


@pytest.mark.parametrize("rule", ["nothing", "("])
def test_a_rule_that_matches_nothing_is_wrong(rule: str) -> None:
    dry_run = examined("a", dryRun=[{"metricName": "a"}, {"metricName": rule}])
    assert dry_run.problem == (
        "Analysis spec invalid: dryRun[1]: Rule didn't match any metric name(s)"
    )
    retention = examined("a", measurementRetention=[{"metricName": rule, "limit": 1}])
    assert retention.problem == (
        "Analysis spec invalid: measurementRetention[0]: Rule didn't match any metric name(s)"
    )


def test_tells_arguments_before_the_rest() -> None:
    found = examined("a", "a", args=[{"name": "x"}])
    assert found.problem == ('Unable to resolve metric arguments: argument "x" was not supplied')
    assert examined("a", "a").problem == ("Analysis spec invalid: metrics[1]: duplicate name 'a'")
