"""The controller's caches: one store per kind, fed by reflectors, and the facts of the bus.

Facts lie over the stores until these have caught up; a restart loses them and nothing else:
the same is in the objects.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import ValidationError

from headrace.kubernetes.resources import Manifest, Resource
from headrace.model.rollout import WorkloadReference
from headrace.runtime.store import Store, controller_uid
from rollout_controller.core.abandoned import managing_rollout
from rollout_controller.core.observed import Acknowledgement, PluginAnswer
from rollout_controller.core.workload import WORKLOADS, resource_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """A run's phase as the bus told it, valid until the store has this resourceVersion."""

    resource_version: str
    phase: str
    message: str


@dataclass(slots=True)
class Facts:
    """What the bus said, per Rollout or run uid.

    Attributes:
        acknowledgements: Newest answer of the router, by Rollout uid.
        verdicts: Verdicts, by run uid.
        plugin_answers: Newest answer of a step plugin's worker, by Rollout uid.
        causes: Event that woke a Rollout last, by Rollout uid; taken by the next pass.
        delivered: Ordinals of history facts that the broker acknowledged, by Rollout uid.
    """

    acknowledgements: dict[str, Acknowledgement] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    plugin_answers: dict[str, PluginAnswer] = field(default_factory=dict)
    causes: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    delivered: dict[str, set[int]] = field(default_factory=dict)

    def acknowledge(self, uid: str, answer: Acknowledgement) -> None:
        """Keep the newest answer: a late one of an older epoch changes nothing."""
        old = self.acknowledgements.get(uid)
        if old is None or (answer.epoch, answer.found_epoch) >= (old.epoch, old.found_epoch):
            self.acknowledgements[uid] = answer

    def forget(self, uid: str) -> None:
        """Drop everything about a Rollout that is gone."""
        self.acknowledgements.pop(uid, None)
        self.plugin_answers.pop(uid, None)
        self.causes.pop(uid, None)
        self.delivered.pop(uid, None)


@dataclass(slots=True)
class Caches:
    """All stores of the controller."""

    rollouts: Store = field(
        default_factory=lambda: Store(
            {"service": services_of, "workload": _workload_of, "workload kind": _workload_kind}
        )
    )
    replica_sets: Store = field(
        default_factory=lambda: Store({"owner": controller_uid, "orphans": _orphaned_in})
    )
    services: Store = field(
        default_factory=lambda: Store({"owner": controller_uid, "managed by": _manager_of})
    )
    runs: Store = field(default_factory=lambda: Store({"owner": controller_uid}))
    experiments: Store = field(default_factory=lambda: Store({"owner": controller_uid}))
    templates: Store = field(default_factory=Store)
    cluster_templates: Store = field(default_factory=Store)
    workloads: dict[Resource, Store] = field(
        default_factory=lambda: {resource: Store() for resource in WORKLOADS}
    )
    pods: Store = field(default_factory=lambda: Store({"owner": controller_uid}))
    configuration: Store = field(default_factory=Store)


def _orphaned_in(manifest: Manifest) -> list[str]:
    """Index function: the namespace of an object that nobody controls."""
    if any(True for _ in controller_uid(manifest)):
        return []
    return [str(manifest["metadata"].get("namespace", ""))]


def _manager_of(service: Manifest) -> list[str]:
    """Index function: `<namespace>/<name>` of the Rollout that a Service is annotated with."""
    name = managing_rollout(service)
    return [f"{service['metadata'].get('namespace', '')}/{name}"] if name else []


def services_of(rollout: Manifest) -> list[str]:
    """Index function: `<namespace>/<service>` of every Service that a Rollout names."""
    strategy = (rollout.get("spec") or {}).get("strategy") or {}
    canary, blue_green = strategy.get("canary") or {}, strategy.get("blueGreen") or {}
    ping_pong = canary.get("pingPong") or {}
    names = (
        canary.get("canaryService"),
        canary.get("stableService"),
        ping_pong.get("pingService"),
        ping_pong.get("pongService"),
        blue_green.get("activeService"),
        blue_green.get("previewService"),
    )
    namespace = rollout["metadata"].get("namespace", "")
    return [f"{namespace}/{name}" for name in names if name]


def workload_key(resource: Resource, namespace: str, name: str) -> str:
    """Return the value of the index `workload` for an object."""
    return f"{resource.plural}/{namespace}/{name}"


def _workload_of(rollout: Manifest) -> list[str]:
    """Index function: the workload that a Rollout takes its pod template from."""
    resource, name = _workload(rollout)
    namespace = rollout["metadata"].get("namespace", "")
    return [workload_key(resource, namespace, name)] if resource else []


def _workload_kind(rollout: Manifest) -> list[str]:
    """Index function: the kind of that workload."""
    resource, _ = _workload(rollout)
    return [resource.plural] if resource else []


def _workload(rollout: Manifest) -> tuple[Resource | None, str]:
    raw = (rollout.get("spec") or {}).get("workloadRef")
    if not raw:
        return None, ""
    try:
        reference = WorkloadReference.load(raw)
    except ValidationError:
        return None, ""
    return resource_of(reference), reference.name
