"""From manifests to what the core sees."""

from __future__ import annotations

from typing import Any

from analysis_runner.core.observed import About
from analysis_runner.views import about, partition_key, run_key, spec_view, status_view
from headrace.model.analysis import AnalysisRunStatus

METRIC = {"name": "m", "provider": {"prometheus": {"query": "{{args.q}}"}}}


def run(**metadata: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "shop", "name": "web-1", "uid": "u", **metadata}}


def test_a_run_of_a_rollout_speaks_for_it() -> None:
    manifest = run(
        annotations={"headrace.io/key": "shop/web", "rollout.argoproj.io/revision": "2"},
        labels={"rollouts-pod-template-hash": "abc"},
        ownerReferences=[
            {"kind": "Rollout", "name": "other", "uid": "x"},
            {"kind": "Rollout", "name": "web", "uid": "owner", "controller": True},
        ],
    )
    assert about(manifest) == About("shop", "web", "owner", "2", "abc", "web-1", "u")
    assert (run_key(manifest), partition_key(manifest)) == ("shop/web-1", "shop/web")


def test_a_run_of_its_own_speaks_for_itself() -> None:
    assert about(run()) == About("shop", "web-1", "u", "", "", "web-1", "u")
    assert partition_key(run()) == "shop/web-1"


def test_a_spec_is_seen_with_its_arguments_in_place() -> None:
    view = spec_view({"metrics": [METRIC], "args": [{"name": "q", "value": "up"}]})
    (metric,) = view.examined.metrics
    assert metric.provider.prometheus is not None
    assert metric.provider.prometheus.query == "up"
    assert view.raw_metrics == [METRIC]


def test_a_spec_that_cannot_be_read_is_invalid() -> None:
    view = spec_view({"metrics": [METRIC], "args": [{"value": "secret"}]})
    assert view.spec is None
    assert view.examined.problem == "Analysis spec invalid: args.0.name: Field required"


def test_a_spec_without_metrics_is_invalid() -> None:
    assert spec_view({}).examined.problem == "Analysis spec invalid: no metrics specified"


def test_a_status_that_cannot_be_read_counts_as_none() -> None:
    assert status_view({"startedAt": "yesterday"}) == AnalysisRunStatus()
    assert status_view({"phase": "Running"}).phase == "Running"
