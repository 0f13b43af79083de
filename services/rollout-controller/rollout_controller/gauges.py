"""Gauges about Rollouts, Experiments and templates, read from caches (cli-and-clients 8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from headrace.kubernetes.resources import Manifest
from headrace.model.conditions import ConditionType, Reason
from headrace.model.provider_kinds import metric_types
from headrace.runtime.metrics import Metrics, Reading
from headrace.runtime.store import Store

_ROUTERS = (
    ("alb", "ALB"),
    ("ambassador", "Ambassador"),
    ("istio", "Istio"),
    ("nginx", "Nginx"),
    ("smi", "SMI"),
    ("appMesh", "AppMesh"),
)
_PHASES = {
    Reason.NEW_REPLICA_SET_AVAILABLE: "Completed",
    Reason.ROLLOUT_PAUSED: "Paused",
    Reason.REPLICA_SET_CREATE_ERROR: "Error",
    Reason.PROGRESS_DEADLINE_EXCEEDED: "Timeout",
    Reason.ROLLOUT_ABORTED: "Abort",
}
_PHASE_SERIES = ("Completed", "Progressing", "Paused", "Timeout", "Error", "Abort")


_EXPERIMENT_SERIES = ("Pending", "Error", "Successful", "Running", "Inconclusive")


def export_gauges(metrics: Metrics, rollouts: Store, experiments: Store) -> None:
    """Let the gauges of cli-and-clients 8 be read from the caches."""
    metrics.sample("experiment_info", lambda: _each(experiments, _experiment_info))
    metrics.sample("experiment_phase", lambda: _each(experiments, _experiment_phase))
    metrics.sample("rollout_info", lambda: _each(rollouts, _info))
    metrics.sample("rollout_phase", lambda: _each(rollouts, _phase))
    metrics.sample(
        "rollout_info_replicas_available",
        lambda: _each(rollouts, lambda r: [((), _count(r, "availableReplicas"))]),
    )
    metrics.sample(
        "rollout_info_replicas_unavailable",
        lambda: _each(
            rollouts,
            lambda r: [((), _count(r, "replicas") - _count(r, "availableReplicas"))],
        ),
    )
    metrics.sample(
        "rollout_info_replicas_desired",
        lambda: _each(rollouts, lambda r: [((), _desired(r))]),
    )
    metrics.sample(
        "rollout_info_replicas_updated",
        lambda: _each(rollouts, lambda r: [((), _count(r, "updatedReplicas"))]),
    )


def _each(objects: Store, read: object) -> Iterator[Reading]:
    assert callable(read)
    for manifest in objects.list():
        metadata = manifest["metadata"]
        owner = (metadata.get("namespace", ""), metadata["name"])
        readings: Iterable[Reading] = read(manifest)
        for labels, value in readings:
            yield (*owner, *labels), value


def _info(rollout: Manifest) -> list[Reading]:
    return [((_strategy(rollout), _router(rollout), phase_of(rollout)), 1.0)]


def _phase(rollout: Manifest) -> list[Reading]:
    current = phase_of(rollout)
    strategy = _strategy(rollout)
    return [((strategy, phase), float(phase == current)) for phase in _PHASE_SERIES]


def _experiment_info(experiment: Manifest) -> list[Reading]:
    return [((_phase_text(experiment),), 1.0)]


def _experiment_phase(experiment: Manifest) -> list[Reading]:
    """One series per phase, without Failed, as in the reference."""
    current = _phase_text(experiment) or "Pending"
    return [((phase,), float(phase == current)) for phase in _EXPERIMENT_SERIES]


def _phase_text(experiment: Manifest) -> str:
    return str((experiment.get("status") or {}).get("phase") or "")


def phase_of(rollout: Manifest) -> str:
    """Return the phase of `rollout_info`, which is not status.phase (cli-and-clients 8)."""
    conditions = (rollout.get("status") or {}).get("conditions") or ()
    phase = "Progressing"
    for condition in conditions:
        if condition.get("type") == ConditionType.INVALID_SPEC:
            return "InvalidSpec"
        if condition.get("type") == ConditionType.PROGRESSING:
            phase = _PHASES.get(condition.get("reason"), phase)
    return phase


def _strategy(rollout: Manifest) -> str:
    strategy = (rollout.get("spec") or {}).get("strategy") or {}
    if "canary" in strategy:
        return "canary"
    return "blueGreen" if "blueGreen" in strategy else "none"


def _router(rollout: Manifest) -> str:
    strategy = (rollout.get("spec") or {}).get("strategy") or {}
    routing = (strategy.get("canary") or {}).get("trafficRouting") or {}
    names = [title for name, title in _ROUTERS if routing.get(name) is not None]
    return names[-1] if names else ""


def _count(rollout: Manifest, field: str) -> float:
    return float((rollout.get("status") or {}).get(field) or 0)


def _desired(rollout: Manifest) -> float:
    replicas = (rollout.get("spec") or {}).get("replicas")
    return 1.0 if replicas is None else float(replicas)


def export_template_gauges(metrics: Metrics, templates: Store, cluster_templates: Store) -> None:
    """Let the gauges of analysis templates be read; those of the cluster have no namespace."""
    for store in (templates, cluster_templates):
        metrics.sample("analysis_template_info", partial(_each, store, lambda _: [((), 1.0)]))
        metrics.sample("analysis_template_metric_info", partial(_each, store, _template_metrics))


def _template_metrics(template: Manifest) -> list[Reading]:
    types = metric_types(template.get("spec") or {})
    return [((kind, name), 1.0) for name, kind in types.items()]
