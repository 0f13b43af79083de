from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace.runtime.clock import LoopClock, VirtualClock
from headrace.runtime.metrics import (
    FORGET_SECONDS,
    ConsumerMetrics,
    Metrics,
    ReconcileMetrics,
)
from headrace.runtime.workqueue import WorkQueue

pytestmark = pytest.mark.spec("cli-and-clients 8")


def controller(clock: VirtualClock | None = None) -> Metrics:
    return Metrics(["rollout-controller"], clock or VirtualClock(), commit="abc")


def scraped(metrics: Metrics) -> dict[str, float]:
    """Read the exposition as Prometheus does: series -> value."""
    series: dict[str, float] = {}
    for line in "".join(metrics.expose()).splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            series[name] = float(value)
    return series


def types(metrics: Metrics) -> dict[str, str]:
    lines = "".join(metrics.expose()).splitlines()
    return dict(line.split(" ")[2:4] for line in lines if line.startswith("# TYPE"))


def test_counters_keep_exactly_their_name() -> None:
    metrics = controller()
    metrics.count("rollout_reconcile_error", "ns", "a")
    metrics.count("rollout_events_total", "ns", "a", "Normal", "RolloutPaused", by=2)
    series = scraped(metrics)
    assert series['rollout_reconcile_error{namespace="ns",name="a"}'] == 1
    paused = 'rollout_events_total{namespace="ns",name="a",type="Normal",reason="RolloutPaused"}'
    assert series[paused] == 2
    kinds = types(metrics)
    assert kinds["rollout_reconcile_error"] == "counter"
    assert kinds["rollout_events_total"] == "counter"
    assert not any(name.endswith("_created") for name in kinds)


def test_histograms_have_the_documented_buckets() -> None:
    metrics = controller()
    metrics.observe("rollout_reconcile", 0.2, "ns", "a")
    series = scraped(metrics)
    labels = 'namespace="ns",name="a"'
    assert series[f'rollout_reconcile_bucket{{{labels},le="0.15"}}'] == 0
    assert series[f'rollout_reconcile_bucket{{{labels},le="0.25"}}'] == 1
    assert series[f'rollout_reconcile_bucket{{{labels},le="+Inf"}}'] == 1
    assert series[f"rollout_reconcile_sum{{{labels}}}"] == pytest.approx(0.2)


def test_what_is_exposed_can_be_parsed() -> None:
    metrics = controller()
    metrics.count("rollout_events_total", "ns", 'quo"te\\', "Normal", "x\ny")
    metrics.observe("rollout_duration_seconds", 45, "Promoted")
    families = {family.name for family in text_string_to_metric_families("".join(metrics.expose()))}
    assert {"rollout_duration_seconds", "build_info", "rollout_events"} <= families


def test_gauges_are_read_when_scraped() -> None:
    metrics = controller()
    rollouts = {"a": "Healthy"}
    metrics.sample(
        "rollout_info",
        lambda: [(("ns", name, "canary", "SMI", phase), 1.0) for name, phase in rollouts.items()],
    )
    assert sum(name.startswith("rollout_info{") for name in scraped(metrics)) == 1
    rollouts.clear()
    assert not any(name.startswith("rollout_info{") for name in scraped(metrics))


def test_several_sources_share_a_gauge() -> None:
    metrics = controller()
    metrics.sample("headrace_runtime_cached_objects", lambda: [(("Rollout",), 3.0)])
    metrics.sample("headrace_runtime_cached_objects", lambda: [(("Service",), 4.0)])
    series = scraped(metrics)
    assert series['headrace_runtime_cached_objects{kind="Rollout"}'] == 3
    assert series['headrace_runtime_cached_objects{kind="Service"}'] == 4


def test_metrics_of_other_services_do_not_exist_here() -> None:
    metrics = controller()
    metrics.count("analysis_run_reconcile_error", "ns", "a")
    metrics.sample("analysis_run_info", lambda: [(("ns", "a", "Running"), 1.0)])
    assert not any(name.startswith("analysis_run") for name in types(metrics))


def test_says_what_was_built() -> None:
    (build,) = (name for name in scraped(controller()) if name.startswith("build_info"))
    assert 'commit="abc"' in build


def test_series_end_some_time_after_their_object() -> None:
    clock = VirtualClock()
    metrics = controller(clock)
    for name in ("a", "b"):
        metrics.count("rollout_reconcile_error", "ns", name)
        metrics.count("rollout_events_total", "ns", name, "Normal", "RolloutPaused")
        metrics.observe("rollout_reconcile", 0.1, "ns", name)
    metrics.forget("Rollout", "ns", "a")
    clock.advance(FORGET_SECONDS - 1)
    assert any('name="a"' in series for series in scraped(metrics))
    clock.advance(2)
    left = scraped(metrics)
    assert not any('name="a"' in series for series in left)
    assert sum('name="b"' in series for series in left) == 10


def test_requests_are_counted_by_kind_verb_and_status() -> None:
    metrics = controller()
    metrics.request("PATCH", "rollouts", 200, 0.01)
    metrics.request("PATCH", "rollouts", 409, 0.01)
    metrics.request("BREW", "rollouts", 0, 0.01)
    metrics.request("LIST", "rollouts", 200, 0.01)
    series = [s for s in scraped(metrics) if s.startswith("controller_clientset")]
    assert [s[s.index("verb") : -1] for s in series] == [
        'verb="Patch",status_code="200"',
        'verb="Patch",status_code="409"',
        'verb="Unknown",status_code="0"',
        'verb="List",status_code="200"',
    ]


@pytest.mark.looptime
async def test_a_queue_is_exported_under_its_name() -> None:
    clock = LoopClock()
    metrics = Metrics(["rollout-controller"], clock)
    queue = WorkQueue(clock)
    metrics.watch_queue("Rollouts", queue)
    queue.add("ns/a")
    queue.add("ns/b")
    assert scraped(metrics)['workqueue_depth{name="Rollouts"}'] == 2
    await queue.get()
    await clock.sleep(5)
    series = scraped(metrics)
    assert series['workqueue_depth{name="Rollouts"}'] == 1
    assert series['workqueue_longest_running_processor_seconds{name="Rollouts"}'] >= 4.9
    queue.retry("ns/a")
    series = scraped(metrics)
    assert series['workqueue_retries_total{name="Rollouts"}'] == 1
    assert series['workqueue_work_duration_seconds_count{name="Rollouts"}'] == 1
    assert series['workqueue_adds_total{name="Rollouts"}'] == 2


def test_reconciles_are_counted_by_object() -> None:
    metrics = controller()
    observer = ReconcileMetrics(metrics, "rollout-controller", "Rollouts")
    observer.reconciled("ns/a", 0.1, failed=False)
    observer.reconciled("ns/a", 0.1, failed=True)
    observer.conflicted("ns/a")
    series = scraped(metrics)
    assert series['rollout_reconcile_count{namespace="ns",name="a"}'] == 2
    assert series['rollout_reconcile_error{namespace="ns",name="a"}'] == 1
    assert series['headrace_runtime_reconcile_conflicts_total{name="Rollouts"}'] == 1


def test_records_of_the_bus_are_counted_by_topic() -> None:
    metrics = controller()
    observer = ConsumerMetrics(metrics)
    observer.handled("t", "headrace.route.applied.v1")
    observer.ignored("t", "foreign cluster")
    observer.buried("t")
    observer.stopped("t")
    series = scraped(metrics)
    assert series['headrace_runtime_consumed_events_total{topic="t"}'] == 1
    assert series['headrace_runtime_dead_letters_total{topic="t"}'] == 1
    assert series['headrace_runtime_consumer_stopped{topic="t"}'] == 1
