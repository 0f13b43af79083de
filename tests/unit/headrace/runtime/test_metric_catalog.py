from __future__ import annotations

import re
from typing import get_args

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
