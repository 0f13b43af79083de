"""Snapshots as `gather` builds them, made by hand: what tests and simulators vary.

A Rollout `app` of 4 replicas in the middle of an update from the ReplicaSet `stable` (revision 1)
to `new` (revision 2). Hashes are words, so that what a test says can be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from headrace.kubernetes.hashes import step_hash
from headrace.model.headrace_status import Acknowledged, HeadraceStatus
from headrace.model.meta import format_micro_time
from headrace.model.quantities import Instant
from headrace.model.rollout import RolloutSpec
from headrace.model.rollout_status import RolloutStatus
from headrace.model.route import Hashes, RouteDocument, RouterConfig, Services, Weights
from headrace.model.traffic import TrafficRouting
from rollout_controller.core import labels
from rollout_controller.core.observed import (
    ExperimentObject,
    ExperimentTemplateObject,
    Observed,
    Pod,
    References,
    ReplicaSet,
    RunObject,
    ServiceObject,
)
from rollout_controller.core.routers import router_configs

NOW: Final = Instant(1_800_000_000.0)
REPLICAS: Final = 4
TEMPLATE: Final[Mapping[str, Any]] = {
    "metadata": {"labels": {"app": "app"}},
    "spec": {"containers": [{"name": "app", "image": "app:v2"}]},
}
ROUTED: Final[Mapping[str, Any]] = {
    "stableService": "active",
    "canaryService": "preview",
    "trafficRouting": {"smi": {"rootService": "root"}},
}
PING_PONG: Final[Mapping[str, Any]] = {
    "stableService": "",
    "canaryService": "",
    "pingPong": {"pingService": "ping", "pongService": "pong"},
    "trafficRouting": {"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}}},
}


def replica_set(pod_hash: str, replicas: int = REPLICAS, **changes: Any) -> ReplicaSet:
    """Return a ReplicaSet whose pods are all there; `changes` are fields of it."""
    own = {"app": "app", labels.HASH: pod_hash}
    sample = ReplicaSet(
        name=f"app-{pod_hash}",
        uid=f"uid-{pod_hash}",
        pod_hash=pod_hash,
        revision=2 if pod_hash == "new" else 1,
        created_at=Instant(NOW - 100 if pod_hash == "new" else NOW - 1000),
        replicas=replicas,
        status_replicas=replicas,
        ready=replicas,
        available=replicas,
        is_status_current=True,
        is_deleting=False,
        desired_annotation=str(REPLICAS),
        scale_down_deadline=None,
        failure=None,
        manifest={
            "metadata": {
                "labels": own,
                "annotations": {labels.REVISION: "2" if pod_hash == "new" else "1"},
            },
            "spec": {"selector": {"matchLabels": own}, "template": TEMPLATE},
        },
    )
    return replace(sample, **changes)


def service(name: str, pod_hash: str = "", *, managed_by: str = "app") -> ServiceObject:
    """Return a Service of the Rollout that selects the pods with a hash."""
    selector = {"app": "app"} | ({labels.HASH: pod_hash} if pod_hash else {})
    return ServiceObject(name, f"uid-{name}", "1", pod_hash, managed_by, selector)


def run(name: str, phase: str = "Running", **changes: Any) -> RunObject:
    """Return an AnalysisRun of the new revision; `changes` are fields of it."""
    sample = RunObject(
        name=name,
        uid=f"uid-{name}",
        phase=phase,
        message="",
        pod_hash="new",
        step_index=None,
        is_terminating=False,
        is_deleting=False,
        created_at=NOW,
        cause="",
        manifest={"metadata": {}},
    )
    return replace(sample, **changes)


def experiment(name: str, phase: str = "Running", **changes: Any) -> ExperimentObject:
    """Return an Experiment of the new revision's first step; `changes` are fields of it."""
    sample = ExperimentObject(
        name=name,
        phase=phase,
        message="",
        pod_hash="new",
        step_index="0",
        is_terminating=False,
        is_deleting=False,
        created_at=NOW,
        cause="2.0.0",
        templates=(),
        manifest={"metadata": {}},
    )
    return replace(sample, **changes)


def experiment_template(name: str, available: int = 1) -> ExperimentTemplateObject:
    """Return a template of an Experiment, with its Service."""
    return ExperimentTemplateObject(name, f"exp-{name}", f"hash-{name}", available, port=80)


def pod(name: str, pod_hash: str = "stable", **changes: Any) -> Pod:
    """Return an available pod of a ReplicaSet; `changes` are fields of it."""
    created_at = Instant(NOW - 500)
    manifest = {"metadata": {"labels": {"app": "app"}}}
    sample = Pod(name, f"uid-{name}", f"uid-{pod_hash}", created_at, False, created_at, manifest)
    return replace(sample, **changes)


def rollout(
    strategy: Mapping[str, Any],
    *,
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    replica_sets: Sequence[ReplicaSet] = (),
    services: Sequence[ServiceObject] = (),
    **changes: Any,
) -> Observed:
    """Return the snapshot of an update at its first step.

    Args:
        strategy: The canary strategy, as in a manifest.
        spec: Members of the spec to add or replace.
        status: Members of the status to add or replace; None takes one away.
        replica_sets: All of them; by default `stable` with all pods and `new` with none.
        services: Those that exist.
        changes: Fields of the snapshot to replace.
    """
    raw_spec = {
        "replicas": REPLICAS,
        "selector": {"matchLabels": {"app": "app"}},
        "template": TEMPLATE,
        "strategy": {"canary": strategy},
        **(spec or {}),
    }
    typed = RolloutSpec.load(raw_spec)
    steps = typed.strategy.canary.steps if typed.strategy.canary else ()
    hash_of_steps = "" if typed.strategy.blue_green else step_hash(steps)
    raw_status: dict[str, Any] = {
        "currentPodHash": "new",
        "currentStepHash": hash_of_steps or None,
        "currentStepIndex": 0 if steps else None,
        "stableRS": "stable",
        "observedGeneration": "1",
        **(status or {}),
    }
    sets = tuple(replica_sets) or (replica_set("stable"), replica_set("new", 0))
    sample = Observed(
        namespace="default",
        name="app",
        uid="uid-app",
        resource_version="1",
        generation=1,
        labels={},
        annotations={labels.REVISION: "2"},
        is_deleting=False,
        spec=typed,
        raw_spec=raw_spec,
        status=RolloutStatus.load({k: v for k, v in raw_status.items() if v is not None}),
        headrace=HeadraceStatus(),
        has_headrace=True,
        template_hash="new",
        step_hash=hash_of_steps,
        new_replica_set="app-new" if any(rs.pod_hash == "new" for rs in sets) else None,
        replica_sets=sets,
        references=References(services={each.name: each for each in services}),
        server_offset_seconds=0.0,
    )
    return replace(sample, **changes)


def blue_green(
    strategy: Mapping[str, Any] | None = None,
    *,
    active: str = "stable",
    preview: str = "new",
    spec: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Observed:
    """Return the snapshot of a blue-green update.

    Args:
        strategy: Members of the strategy beside its two Services.
        active: The hash that the active Service selects, by the Service and the status.
        preview: The same of the preview Service.
        spec: As in `rollout`.
        status: As in `rollout`.
        changes: As in `rollout`.
    """
    services = {"activeService": "active", "previewService": "preview"}
    selectors = {"activeSelector": active, "previewSelector": preview}
    full_spec = {"strategy": {"blueGreen": {**services, **(strategy or {})}}, **(spec or {})}
    own = dict(status or {})
    selectors |= own.pop("blueGreen", {})
    found = (service("active", active), service("preview", preview))
    changes = {"services": found, **changes}
    return rollout({}, spec=full_spec, status={"blueGreen": selectors, **own}, **changes)


def route(weight: int, *, epoch: int = 1, **changes: Any) -> RouteDocument:
    """Return what a Rollout with the strategy `ROUTED` asks for to give the canary a weight."""
    sample = RouteDocument(
        cluster="",
        namespace="default",
        rollout="app",
        uid="uid-app",
        epoch=epoch,
        generation=1,
        decided_at=format_micro_time(NOW),
        valid_until=format_micro_time(NOW + 60) if weight else None,
        routers=(RouterConfig(kind="smi", config='{"rootService":"root"}'),),
        services=Services(
            canary="preview",
            stable="active",
            root="root",
            canary_role="preview",
            stable_role="active",
        ),
        hashes=Hashes(canary="new", stable="stable"),
        weights=Weights(canary=weight, stable=100 - weight),
    )
    return sample.model_copy(update=changes)


def routed(
    steps: Sequence[Mapping[str, Any]],
    *,
    weight: int | None = None,
    is_acknowledged: bool = True,
    strategy: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    services: Sequence[ServiceObject] | None = None,
    **changes: Any,
) -> Observed:
    """Return the snapshot of an update whose traffic a router divides.

    Args:
        steps: Of the strategy `ROUTED`.
        weight: Of the canary, by the newest route and the status; None when no route was
            asked for yet.
        is_acknowledged: The router applied the newest route.
        strategy: Members of the strategy to add or replace.
        status: As in `rollout`.
        services: By default both, each with the pods of its role.
        changes: As in `rollout`.
    """
    if services is None:
        services = (service("active", "stable"), service("preview", "new"))
    headrace = HeadraceStatus()
    if weight is not None:
        weights = {
            "canary": {"weight": weight, "serviceName": "preview", "podTemplateHash": "new"},
            "stable": {
                "weight": 100 - weight,
                "serviceName": "active",
                "podTemplateHash": "stable",
            },
        }
        status = {"canary": {"weights": weights}, **(status or {})}
        shares = {"stable": 100 - weight, "new": weight}
        headrace = HeadraceStatus(
            epoch=1,
            route=route(weight),
            shares={pod_hash: share for pod_hash, share in shares.items() if share},
            acknowledged=Acknowledged(epoch=1, canary=weight) if is_acknowledged else None,
        )
    changes = {"headrace": headrace, **changes}
    full = {**ROUTED, "steps": steps, **(strategy or {})}
    return rollout(full, status=status, services=services, **changes)


def ping_pong(
    steps: Sequence[Mapping[str, Any]],
    *,
    stable: str = "ping",
    selected: Mapping[str, str] | None = None,
    weight: int | None = None,
    **changes: Any,
) -> Observed:
    """Return the snapshot of an update between two Services that swap their roles.

    Args:
        steps: Of the strategy `PING_PONG`.
        stable: Which of the two is the stable one, by the status.
        selected: What each selects where that is not what its role wants.
        weight: Of the canary's Service, by the newest route and the status.
        changes: As in `routed`.
    """
    canary = "ping" if stable == "pong" else "pong"
    pairs = {stable: "stable", canary: "new", **(selected or {})}
    services = tuple(service(name, pod_hash) for name, pod_hash in pairs.items())
    strategy = {**PING_PONG, **changes.pop("strategy", {})}
    observed = routed(steps, weight=weight, strategy=strategy, services=services, **changes)
    status = observed.status.canary.model_copy(update={"stable_ping_pong": stable})
    stored = observed.headrace.route
    if stored is not None:
        roles = Services(ping="ping", pong="pong", canary_role=canary, stable_role=stable)
        routing = observed.spec.strategy.canary and observed.spec.strategy.canary.traffic_routing
        update = {"services": roles, "routers": router_configs(routing or TrafficRouting())}
        stored = stored.model_copy(update=update)
    return observed.with_status(
        observed.status.model_copy(update={"canary": status}),
        observed.headrace.model_copy(update={"route": stored}),
    )
