from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from headrace.runtime.metric_catalog import (
    CATALOG,
    CounterName,
    GaugeName,
    HistogramName,
    metrics_of,
)


def test_lists_exactly_the_names_that_the_type_checker_knows() -> None:
    for kind, names in (
        ("counter", CounterName),
        ("gauge", GaugeName),
        ("histogram", HistogramName),
    ):
        listed = {metric.name for metric in CATALOG.values() if metric.kind == kind}
        assert listed == set(get_args(names))


def test_our_own_metrics_follow_the_house_rule() -> None:
    pattern = re.compile(r"headrace_(runtime|rollout_controller|traffic_router|analysis_runner)_.+")
    for metric in CATALOG.values():
        if not metric.name.startswith("headrace_"):
            continue
        assert pattern.fullmatch(metric.name), metric.name
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name


def test_histograms_have_buckets_in_order() -> None:
    for metric in CATALOG.values():
        assert bool(metric.buckets) == (metric.kind == "histogram"), metric.name
        assert list(metric.buckets) == sorted(metric.buckets)


def test_counters_of_objects_end_with_their_object() -> None:
    for metric in CATALOG.values():
        stored = metric.kind != "gauge" and {"namespace", "name"} <= set(metric.labels)
        if stored and metric.name != "controller_clientset_k8s_request_total":
            assert metric.object_kind, metric.name


def test_a_service_exports_its_own_metrics_and_the_common_ones() -> None:
    names = {metric.name for metric in metrics_of(["traffic-router"])}
    assert "rollout_events_total" in names
    assert "workqueue_depth" in names
    assert "rollout_info" not in names


OBJECT = ("namespace", "name")
CONTRACT: dict[str, tuple[str, tuple[str, ...], tuple[float, ...]]] = {
    "rollout_info": ("gauge", (*OBJECT, "strategy", "traffic_router", "phase"), ()),
    "rollout_info_replicas_available": ("gauge", OBJECT, ()),
    "rollout_info_replicas_unavailable": ("gauge", OBJECT, ()),
    "rollout_info_replicas_desired": ("gauge", OBJECT, ()),
    "rollout_info_replicas_updated": ("gauge", OBJECT, ()),
    "rollout_phase": ("gauge", (*OBJECT, "strategy", "phase"), ()),
    "rollout_reconcile": ("histogram", OBJECT, (0.01, 0.15, 0.25, 0.5, 1)),
    "rollout_reconcile_error": ("counter", OBJECT, ()),
    "rollout_events_total": ("counter", (*OBJECT, "type", "reason"), ()),
    "rollout_duration_seconds": (
        "histogram",
        ("status",),
        (30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800),
    ),
    "rollout_progression_duration_seconds": (
        "histogram",
        ("status",),
        (30, 60, 120, 300, 600, 900, 1800, 3600),
    ),
    "rollout_manual_pause_duration_seconds": (
        "histogram",
        ("status",),
        (0, 60, 300, 600, 1800, 3600, 7200, 14400, 28800),
    ),
    "analysis_run_info": ("gauge", (*OBJECT, "phase"), ()),
    "analysis_run_phase": ("gauge", (*OBJECT, "phase"), ()),
    "analysis_run_metric_type": ("gauge", (*OBJECT, "metric", "type"), ()),
    "analysis_run_metric_phase": ("gauge", (*OBJECT, "metric", "type", "dry_run", "phase"), ()),
    "analysis_run_reconcile": ("histogram", OBJECT, (0.01, 0.15, 0.25, 0.5, 1)),
    "analysis_run_reconcile_error": ("counter", OBJECT, ()),
    "analysis_template_info": ("gauge", OBJECT, ()),
    "analysis_template_metric_info": ("gauge", (*OBJECT, "type", "metric"), ()),
    "controller_clientset_k8s_request_total": (
        "counter",
        ("kind", *OBJECT, "verb", "status_code"),
        (),
    ),
    "argo_rollouts_controller_info": ("gauge", ("version",), ()),
    "build_info": ("gauge", ("version", "goversion", "goarch", "commit"), ()),
}


@pytest.mark.spec("cli-and-clients 8")
@pytest.mark.parametrize("name", list(CONTRACT))
def test_names_types_labels_and_buckets_are_those_of_the_contract(name: str) -> None:
    metric = CATALOG[name]
    assert (metric.kind, metric.labels, metric.buckets) == CONTRACT[name]


def test_nothing_is_listed_that_nobody_exports() -> None:
    root = Path(__file__).parents[4]
    texts = [
        path.read_text()
        for folder in ("shared", "services")
        for path in (root / folder).rglob("*.py")
        if path.name != "metric_catalog.py"
    ]
    unknown = [name for name in CATALOG if not any(f'"{name}"' in text for text in texts)]
    assert unknown == []
