"""Gauges of AnalysisRuns as others see them while they go on (cli-and-clients 8)."""

from typing import Any

import pytest

from analysis_runner.gauges import export_gauges
from headrace.kubernetes.resources import Manifest
from headrace.runtime.clock import VirtualClock
from headrace.runtime.metrics import Metrics
from headrace.runtime.store import Store

pytestmark = pytest.mark.spec("cli-and-clients 8")


def phases(*results: dict[str, Any], **more: Any) -> dict[str, str]:
    """Return the phase of each metric, as `<dry_run> <phase>`."""
    metrics, runs = Metrics(["analysis-runner"], VirtualClock()), Store()
    export_gauges(metrics, runs)
    spec: Manifest = {"metrics": [{"name": name, "provider": {"job": {}}} for name in ("a", "b")]}
    spec |= more
    metadata = {"name": "run", "namespace": "shop", "uid": "u", "resourceVersion": "1"}
    runs.offer({"metadata": metadata, "spec": spec, "status": {"metricResults": list(results)}})
    found = {}
    for line in "".join(metrics.expose()).splitlines():
        name, _, rest = line.partition("{")
        if name == "analysis_run_metric_phase" and rest.endswith(" 1"):
            labels = dict(pair.split("=") for pair in rest.rpartition("}")[0].split(","))
            assert labels["type"] == '"Job"'
            found[labels["metric"].strip('"')] = f"{labels['dry_run']} {labels['phase']}"
    return found


def test_a_metric_that_was_not_measured_yet_is_pending() -> None:
    assert phases() == {"a": '"false" "Pending"', "b": '"false" "Pending"'}


def test_a_measured_metric_has_the_phase_of_its_result() -> None:
    failed = {"name": "b", "phase": "Failed", "dryRun": True}
    found = phases(failed, dryRun=[{"metricName": "b"}])
    assert found == {"a": '"false" "Pending"', "b": '"true" "Failed"'}


def test_a_dry_run_has_its_label_from_the_beginning() -> None:
    """Else its series would end with its first result, and others begin."""
    assert phases(dryRun=[{"metricName": "[b-z]"}])["b"] == '"true" "Pending"'


def test_a_metric_that_left_the_spec_has_no_series() -> None:
    assert set(phases({"name": "gone", "phase": "Running"})) == {"a", "b"}
