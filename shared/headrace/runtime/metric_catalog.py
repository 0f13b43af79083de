"""Every metric of the services: name, type, labels, meaning. The one list.

`headrace.runtime.metrics` registers them, `docs/metrics.md` is generated from them. Names of Argo
Rollouts stay as they are (cli-and-clients 8); ours are `headrace_<service>_<noun>_<unit>`, with
`runtime` for what every service has. A name is added to its Literal too, so that the type
checker refuses names that do not exist.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

ServiceName = Literal["rollout-controller", "traffic-router", "analysis-runner"]
ObjectKind = Literal["Rollout", "AnalysisRun", "Experiment"]

CounterName = Literal[
    "analysis_run_reconcile_error",
    "controller_clientset_k8s_request_total",
    "experiment_reconcile_error",
    "headrace_rollout_controller_plugin_calls_total",
    "headrace_runtime_bus_published_total",
    "headrace_runtime_bus_refused_total",
    "headrace_runtime_consumed_events_total",
    "headrace_runtime_dead_letters_total",
    "headrace_runtime_ignored_events_total",
    "headrace_runtime_reconcile_conflicts_total",
    "headrace_runtime_unwritten_events_total",
    "headrace_traffic_router_answers_total",
    "headrace_traffic_router_reconcile_errors_total",
    "headrace_traffic_router_writes_total",
    "rollout_events_total",
    "rollout_reconcile_error",
    "workqueue_adds_total",
    "workqueue_retries_total",
]

GaugeName = Literal[
    "analysis_run_info",
    "analysis_run_metric_phase",
    "analysis_run_metric_type",
    "analysis_run_phase",
    "analysis_template_info",
    "analysis_template_metric_info",
    "argo_rollouts_controller_info",
    "build_info",
    "experiment_info",
    "experiment_phase",
    "headrace_rollout_controller_stuck_rollouts",
    "headrace_runtime_bus_queued_events",
    "headrace_runtime_bus_up",
    "headrace_runtime_cached_objects",
    "headrace_runtime_consumer_stopped",
    "headrace_runtime_frozen_keys",
    "headrace_runtime_lease_held",
    "headrace_runtime_ready",
    "rollout_info",
    "rollout_info_replicas_available",
    "rollout_info_replicas_desired",
    "rollout_info_replicas_unavailable",
    "rollout_info_replicas_updated",
    "rollout_phase",
    "workqueue_depth",
    "workqueue_longest_running_processor_seconds",
    "workqueue_unfinished_work_seconds",
]

HistogramName = Literal[
    "analysis_run_reconcile",
    "experiment_reconcile",
    "headrace_traffic_router_reconcile_seconds",
    "rollout_duration_seconds",
    "rollout_manual_pause_duration_seconds",
    "rollout_progression_duration_seconds",
    "rollout_reconcile",
    "workqueue_queue_duration_seconds",
    "workqueue_work_duration_seconds",
]

MetricName = CounterName | GaugeName | HistogramName


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: As scraped; counters keep exactly this name.
        labels: In the order in which values are given.
        help: One line.
        services: Who exports it; empty for all.
        object_kind: Kind of the object that `namespace` and `name` are of: the series end with it.
        buckets: Upper bounds of a histogram.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    services: tuple[ServiceName, ...] = ()
    object_kind: ObjectKind | None = None
    buckets: tuple[float, ...] = ()


_RECONCILE_SECONDS: Final = (0.01, 0.15, 0.25, 0.5, 1.0)
_QUEUE_SECONDS: Final = tuple(10.0**exponent for exponent in range(-8, 4))
_ROLLOUT_SECONDS: Final = (
    *(30, 60, 120, 300, 600, 1200),
    *(1800, 3600, 7200, 14400, 28800),
)
_PROGRESSION_SECONDS: Final = (30, 60, 120, 300, 600, 900, 1800, 3600)
_PAUSE_SECONDS: Final = (0, 60, 300, 600, 1800, 3600, 7200, 14400, 28800)

_CONTROLLER: Final[tuple[ServiceName, ...]] = ("rollout-controller",)
_ROUTER: Final[tuple[ServiceName, ...]] = ("traffic-router",)
_RUNNER: Final[tuple[ServiceName, ...]] = ("analysis-runner",)
_OBJECT: Final = ("namespace", "name")


def _gauge(
    name: GaugeName, labels: Iterable[str], text: str, service: tuple[ServiceName, ...]
) -> Metric:
    return Metric(name, "gauge", (*_OBJECT, *labels), text, service)


_ROLLOUTS: Final = (
    _gauge(
        "rollout_info",
        ("strategy", "traffic_router", "phase"),
        "1 per Rollout; phase by its conditions",
        _CONTROLLER,
    ),
    _gauge("rollout_info_replicas_available", (), "status.availableReplicas", _CONTROLLER),
    _gauge("rollout_info_replicas_unavailable", (), "status.replicas less available", _CONTROLLER),
    _gauge("rollout_info_replicas_desired", (), "spec.replicas", _CONTROLLER),
    _gauge("rollout_info_replicas_updated", (), "status.updatedReplicas", _CONTROLLER),
    _gauge(
        "rollout_phase", ("strategy", "phase"), "1 for the Rollout's phase, else 0", _CONTROLLER
    ),
    Metric(
        "rollout_reconcile",
        "histogram",
        _OBJECT,
        "Time of a reconcile of a Rollout, in seconds",
        _CONTROLLER,
        "Rollout",
        _RECONCILE_SECONDS,
    ),
    Metric(
        "rollout_reconcile_error",
        "counter",
        _OBJECT,
        "Reconciles of a Rollout that failed",
        _CONTROLLER,
        "Rollout",
    ),
    Metric(
        "rollout_events_total",
        "counter",
        (*_OBJECT, "type", "reason"),
        "Kubernetes Events written about a Rollout",
        ("rollout-controller", "traffic-router"),
        "Rollout",
    ),
    Metric(
        "rollout_duration_seconds",
        "histogram",
        ("status",),
        "Time from an update to its end, by how it ended",
        _CONTROLLER,
        buckets=_ROLLOUT_SECONDS,
    ),
    Metric(
        "rollout_progression_duration_seconds",
        "histogram",
        ("status",),
        "The same without the time in manual pauses",
        _CONTROLLER,
        buckets=_PROGRESSION_SECONDS,
    ),
    Metric(
        "rollout_manual_pause_duration_seconds",
        "histogram",
        ("status",),
        "Time in manual pauses",
        _CONTROLLER,
        buckets=_PAUSE_SECONDS,
    ),
    Metric(
        "headrace_rollout_controller_plugin_calls_total",
        "counter",
        ("plugin", "operation", "result"),
        "Calls of workers of step plugins, answered or failed",
        _CONTROLLER,
    ),
    Metric(
        "argo_rollouts_controller_info",
        "gauge",
        ("version",),
        "1, with the version of the controller",
        _CONTROLLER,
    ),
)

_ANALYSIS: Final = (
    _gauge("analysis_run_info", ("phase",), "1 per AnalysisRun", _RUNNER),
    _gauge("analysis_run_phase", ("phase",), "1 for the run's phase, else 0", _RUNNER),
    _gauge("analysis_run_metric_type", ("metric", "type"), "1 per metric of a run", _RUNNER),
    _gauge(
        "analysis_run_metric_phase",
        ("metric", "type", "dry_run", "phase"),
        "1 for the metric's phase, else 0",
        _RUNNER,
    ),
    _gauge("analysis_template_info", (), "1 per analysis template", _CONTROLLER),
    _gauge(
        "analysis_template_metric_info",
        ("type", "metric"),
        "1 per metric of an analysis template",
        _CONTROLLER,
    ),
    Metric(
        "analysis_run_reconcile",
        "histogram",
        _OBJECT,
        "Time of a reconcile of an AnalysisRun, in seconds",
        _RUNNER,
        "AnalysisRun",
        _RECONCILE_SECONDS,
    ),
    Metric(
        "analysis_run_reconcile_error",
        "counter",
        _OBJECT,
        "Reconciles of an AnalysisRun that failed",
        _RUNNER,
        "AnalysisRun",
    ),
)

_EXPERIMENTS: Final = (
    _gauge("experiment_info", ("phase",), "1 per Experiment", _CONTROLLER),
    _gauge("experiment_phase", ("phase",), "1 for the Experiment's phase, else 0", _CONTROLLER),
    Metric(
        "experiment_reconcile",
        "histogram",
        _OBJECT,
        "Time of a reconcile of an Experiment, in seconds",
        _CONTROLLER,
        "Experiment",
        _RECONCILE_SECONDS,
    ),
    Metric(
        "experiment_reconcile_error",
        "counter",
        _OBJECT,
        "Reconciles of an Experiment that failed",
        _CONTROLLER,
        "Experiment",
    ),
)

_ROUTES: Final = (
    Metric(
        "headrace_traffic_router_reconcile_seconds",
        "histogram",
        _OBJECT,
        "Time of a reconcile of a Rollout's route",
        _ROUTER,
        "Rollout",
        _RECONCILE_SECONDS,
    ),
    Metric(
        "headrace_traffic_router_reconcile_errors_total",
        "counter",
        _OBJECT,
        "Reconciles of a Rollout's route that failed",
        _ROUTER,
        "Rollout",
    ),
    Metric(
        "headrace_traffic_router_writes_total",
        "counter",
        ("kind", "purpose"),
        "Writes of traffic objects: apply, repair, level, withdraw, release",
        _ROUTER,
    ),
    Metric(
        "headrace_traffic_router_answers_total",
        "counter",
        ("reason",),
        "Answers to requests, by reason; all but RouteApplied are refusals",
        _ROUTER,
    ),
)

_QUEUES: Final = (
    Metric("workqueue_depth", "gauge", ("name",), "Keys that are ready"),
    Metric("workqueue_adds_total", "counter", ("name",), "Keys that became ready"),
    Metric("workqueue_retries_total", "counter", ("name",), "Keys that waited for a back-off"),
    Metric(
        "workqueue_queue_duration_seconds",
        "histogram",
        ("name",),
        "Time from ready to taken by a worker",
        buckets=_QUEUE_SECONDS,
    ),
    Metric(
        "workqueue_work_duration_seconds",
        "histogram",
        ("name",),
        "Time that a worker held a key",
        buckets=_QUEUE_SECONDS,
    ),
    Metric(
        "workqueue_unfinished_work_seconds",
        "gauge",
        ("name",),
        "Sum of the times that workers hold their keys by now",
    ),
    Metric(
        "workqueue_longest_running_processor_seconds",
        "gauge",
        ("name",),
        "Longest time that a worker holds a key by now",
    ),
)

_RUNTIME: Final = (
    Metric(
        "build_info",
        "gauge",
        ("version", "goversion", "goarch", "commit"),
        "1; goversion and goarch are those of Python",
    ),
    Metric(
        "controller_clientset_k8s_request_total",
        "counter",
        ("kind", "namespace", "name", "verb", "status_code"),
        "Requests to the API server; namespace and name are N/A",
    ),
    Metric(
        "headrace_rollout_controller_stuck_rollouts",
        "gauge",
        ("reason",),
        "Rollouts that make no progress although they should, by what they wait for: alert on it",
        _CONTROLLER,
    ),
    Metric("headrace_runtime_ready", "gauge", (), "1 while /readyz answers 200"),
    Metric("headrace_runtime_lease_held", "gauge", ("shard",), "1 while the shard's Lease is ours"),
    Metric(
        "headrace_runtime_frozen_keys",
        "gauge",
        ("name",),
        "Objects that are left alone since their plan violates an invariant: alert on it",
    ),
    Metric(
        "headrace_runtime_reconcile_conflicts_total",
        "counter",
        ("name",),
        "Passes that met an object changed by others",
    ),
    Metric(
        "headrace_runtime_unwritten_events_total",
        "counter",
        ("kind",),
        "Kubernetes Events given up, by kind of the object",
    ),
    Metric("headrace_runtime_cached_objects", "gauge", ("kind",), "Objects in the cache"),
    Metric("headrace_runtime_bus_up", "gauge", (), "1 while the broker answers"),
    Metric("headrace_runtime_bus_queued_events", "gauge", (), "Events that wait to be sent"),
    Metric(
        "headrace_runtime_bus_published_total",
        "counter",
        ("topic",),
        "Events that the broker acknowledged",
    ),
    Metric(
        "headrace_runtime_bus_refused_total",
        "counter",
        ("topic",),
        "Events that found the queue full; the outbox sends them later",
    ),
    Metric("headrace_runtime_consumed_events_total", "counter", ("topic",), "Events handled"),
    Metric(
        "headrace_runtime_ignored_events_total",
        "counter",
        ("topic", "reason"),
        "Events of a foreign key, cluster or topic, or of a later type",
    ),
    Metric(
        "headrace_runtime_dead_letters_total",
        "counter",
        ("topic",),
        "Messages that could not be decoded",
    ),
    Metric(
        "headrace_runtime_consumer_stopped",
        "gauge",
        ("topic",),
        "1 when too many messages of a topic were dead letters: alert on it",
    ),
)

CATALOG: Final[dict[str, Metric]] = {
    metric.name: metric
    for metric in sorted(
        (*_ROLLOUTS, *_ANALYSIS, *_EXPERIMENTS, *_ROUTES, *_QUEUES, *_RUNTIME),
        key=lambda metric: metric.name,
    )
}
"""Every metric by name."""


def metrics_of(services: Iterable[ServiceName]) -> list[Metric]:
    """Return what a process that runs these services exports."""
    running = set(services)
    return [
        metric
        for metric in CATALOG.values()
        if not metric.services or running.intersection(metric.services)
    ]
