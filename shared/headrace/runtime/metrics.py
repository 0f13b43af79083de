"""The metrics of a process: what is counted as it happens, and what is read when scraped.

One `Metrics` per process, made by the composition root; there is no global registry. Series of
an object end with it. Names and labels are those of `metric_catalog`.
"""

from __future__ import annotations

import math
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from headrace import __version__
from headrace.runtime.clock import Clock
from headrace.runtime.metric_catalog import (
    CATALOG,
    CounterName,
    GaugeName,
    HistogramName,
    Metric,
    ObjectKind,
    ServiceName,
    metrics_of,
)
from headrace.runtime.workqueue import WorkQueue

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

FORGET_SECONDS: Final = 65.0
"""How long counters outlive their object, so that the last change is scraped once more.
Source: cli-and-clients 8."""

_VERBS: Final = {
    "GET": "Get",
    "LIST": "List",
    "POST": "Create",
    "PUT": "Update",
    "PATCH": "Patch",
    "DELETE": "Delete",
    "WATCH": "Watch",
}
_ANY: Final = "N/A"

Reading = tuple[Sequence[str], float]
"""Label values in the catalogue's order, and the value."""


class _Gauges:
    """Collects the gauges that are read when scraped."""

    def __init__(self) -> None:
        self.sources: dict[GaugeName, list[Callable[[], Iterable[Reading]]]] = {}

    def collect(self) -> Iterator[Family]:
        for name, sources in self.sources.items():
            metric = CATALOG[name]
            family = Family(name, metric.help, "gauge")
            totals: dict[tuple[str, ...], float] = {}
            for source in sources:
                for labels, value in source():
                    # Two services of a process may count the same: both caches are there.
                    totals[tuple(labels)] = totals.get(tuple(labels), 0.0) + value
            for labels, value in totals.items():
                pairs = dict(zip(metric.labels, labels, strict=True))
                family.samples.append(Sample(name, pairs, value))
            yield family


class Metrics:
    """Counts and observes by catalogue name; label values in the catalogue's order.

    Args:
        services: Services that run in this process; only their metrics exist.
        clock: Paces the end of series.
        commit: Commit that the process was built from.
    """

    def __init__(
        self, services: Iterable[ServiceName], clock: Clock, *, commit: str = "unknown"
    ) -> None:
        self._clock = clock
        self._registry = CollectorRegistry(auto_describe=False)
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._gauges = _Gauges()
        self._leaving: deque[tuple[float, str, str, str]] = deque()
        self._metrics = {metric.name: metric for metric in metrics_of(services)}
        for metric in self._metrics.values():
            self._register(metric)
        self._registry.register(self._gauges)
        ProcessCollector(registry=self._registry)
        build = (__version__, platform.python_version(), platform.machine(), commit)
        self.sample("build_info", lambda: [(build, 1.0)])
        self.sample("argo_rollouts_controller_info", lambda: [((__version__,), 1.0)])

    def count(self, name: CounterName, *labels: str, by: float = 1.0) -> None:
        """Add to a counter. One that no service of this process exports is ignored."""
        counter = self._counters.get(name)
        if counter is not None:
            counter.labels(*labels).inc(by)

    def observe(self, name: HistogramName, value: float, *labels: str) -> None:
        """Add an observation. One that no service of this process exports is ignored."""
        histogram = self._histograms.get(name)
        if histogram is not None:
            histogram.labels(*labels).observe(value)

    def sample(self, name: GaugeName, source: Callable[[], Iterable[Reading]]) -> None:
        """Let `source` give a gauge's values whenever it is scraped; several may share one name."""
        if name in self._metrics:
            self._gauges.sources.setdefault(name, []).append(source)

    def request(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """Count a request to the API server; a `RequestObserver` of the cluster adapter.

        Namespace and name are not told apart: with tens of thousands of Rollouts that would be
        hundreds of thousands of series.
        """
        self.count(
            "controller_clientset_k8s_request_total",
            *(resource, _ANY, _ANY, _VERBS.get(verb, "Unknown"), str(status)),
        )

    def forget(self, kind: ObjectKind, namespace: str, name: str) -> None:
        """End the series of a deleted object, some time later."""
        self._remove_left()
        self._leaving.append((self._clock.monotonic() + FORGET_SECONDS, kind, namespace, name))

    def watch_queue(self, name: str, queue: WorkQueue) -> None:
        """Export a queue under a name (`Rollouts`, `AnalysisRuns`, …)."""
        queue.observe(_QueueMetrics(self, name))
        self.sample("workqueue_depth", lambda: [((name,), float(queue.depth))])
        self.sample(
            "workqueue_unfinished_work_seconds", lambda: [((name,), sum(queue.working_seconds()))]
        )
        self.sample(
            "workqueue_longest_running_processor_seconds",
            lambda: [((name,), max(queue.working_seconds(), default=0.0))],
        )

    def expose(self) -> Iterator[str]:
        """Yield the text that Prometheus reads, a metric at a time.

        In pieces, so that the caller can let others run between them; names are exactly those
        of the catalogue, also of counters that do not end in `_total`.
        """
        self._remove_left()
        for family in self._registry.collect():
            yield _exposition(family)

    def _register(self, metric: Metric) -> None:
        if metric.kind == "counter":
            self._counters[metric.name] = Counter(
                metric.name, metric.help, metric.labels, registry=self._registry
            )
        elif metric.kind == "histogram":
            self._histograms[metric.name] = Histogram(
                metric.name,
                metric.help,
                metric.labels,
                buckets=metric.buckets,
                registry=self._registry,
            )

    def _remove_left(self) -> None:
        now = self._clock.monotonic()
        while self._leaving and self._leaving[0][0] <= now:
            _, kind, namespace, name = self._leaving.popleft()
            series = {"namespace": namespace, "name": name}
            for metric in self._metrics.values():
                if metric.object_kind == kind:
                    self._collector(metric).remove_by_labels(series)

    def _collector(self, metric: Metric) -> Counter | Histogram:
        return (
            self._counters[metric.name]
            if metric.kind == "counter"
            else self._histograms[metric.name]
        )


class _QueueMetrics:
    """A `QueueObserver` that counts."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._metrics = metrics
        self._name = name

    def added(self) -> None:
        self._metrics.count("workqueue_adds_total", self._name)

    def started(self, waited_seconds: float) -> None:
        self._metrics.observe("workqueue_queue_duration_seconds", waited_seconds, self._name)

    def finished(self, worked_seconds: float) -> None:
        self._metrics.observe("workqueue_work_duration_seconds", worked_seconds, self._name)

    def retried(self) -> None:
        self._metrics.count("workqueue_retries_total", self._name)


Work = ServiceName | Literal["experiments"]
"""Whose reconciles are counted: those of a service, or the other kind of the controller."""

_RECONCILES: Final[dict[Work, tuple[HistogramName, CounterName]]] = {
    "rollout-controller": ("rollout_reconcile", "rollout_reconcile_error"),
    "traffic-router": (
        "headrace_traffic_router_reconcile_seconds",
        "headrace_traffic_router_reconcile_errors_total",
    ),
    "analysis-runner": ("analysis_run_reconcile", "analysis_run_reconcile_error"),
    "experiments": ("experiment_reconcile", "experiment_reconcile_error"),
}


class ReconcileMetrics:
    """A `ReconcileObserver` that counts the reconciles of a service, by object."""

    def __init__(self, metrics: Metrics, work: Work, queue_name: str) -> None:
        self._metrics = metrics
        self._queue_name = queue_name
        self._seconds, self._errors = _RECONCILES[work]

    def reconciled(self, key: str, seconds: float, *, failed: bool) -> None:
        """Count the end of a reconcile."""
        namespace, _, name = key.partition("/")
        self._metrics.observe(self._seconds, seconds, namespace, name)
        if failed:
            self._metrics.count(self._errors, namespace, name)

    def conflicted(self, key: str) -> None:
        """Count a pass that met a 409."""
        self._metrics.count("headrace_runtime_reconcile_conflicts_total", self._queue_name)


class BusMetrics:
    """A `BusObserver` that counts what becomes of events."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def published(self, topic: str) -> None:
        """Count a message that the broker acknowledged."""
        self._metrics.count("headrace_runtime_bus_published_total", topic)

    def refused(self, topic: str) -> None:
        """Count a message that found the queue full."""
        self._metrics.count("headrace_runtime_bus_refused_total", topic)


class ConsumerMetrics:
    """A `ConsumerObserver` that counts what becomes of records."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._stopped: set[str] = set()
        metrics.sample(
            "headrace_runtime_consumer_stopped",
            lambda: [((topic,), 1.0) for topic in sorted(self._stopped)],
        )

    def handled(self, topic: str, event_type: str) -> None:
        """Count an event that was handled."""
        self._metrics.count("headrace_runtime_consumed_events_total", topic)

    def ignored(self, topic: str, because: str) -> None:
        """Count an event of a foreign key, cluster or topic, or of a later type."""
        self._metrics.count("headrace_runtime_ignored_events_total", topic, because)

    def buried(self, topic: str) -> None:
        """Count a dead letter."""
        self._metrics.count("headrace_runtime_dead_letters_total", topic)

    def stopped(self, topic: str) -> None:
        """Show that a topic is not read any more."""
        self._stopped.add(topic)


def _exposition(family: Family) -> str:
    name = family.name
    renamed = {}
    if family.type == "counter":
        exact = name if name in CATALOG else f"{name}_total"
        renamed[f"{name}_total"] = exact
        name = exact
    lines = [f"# HELP {name} {_escaped_help(family.documentation)}", f"# TYPE {name} {family.type}"]
    lines += [
        f"{renamed.get(sample.name, sample.name)}{_labels(sample.labels)} {_number(sample.value)}"
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    if math.isfinite(value):
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escaped_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
