"""Snapshots as `gather` builds them, made by hand: what tests and simulators vary.

A Rollout `app` of 4 replicas in the middle of an update from the ReplicaSet `stable` (revision 1)
to `new` (revision 2). Hashes are words, so that what a test says can be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from headrace.kubernetes.hashes import step_hash
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.quantities import Instant
from headrace.model.rollout import RolloutSpec
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core import labels
from rollout_controller.core.observed import (
    Observed,
    Pod,
    References,
    ReplicaSet,
    RunObject,
    ServiceObject,
)

NOW: Final = Instant(1_800_000_000.0)
REPLICAS: Final = 4
TEMPLATE: Final[Mapping[str, Any]] = {
    "metadata": {"labels": {"app": "app"}},
    "spec": {"containers": [{"name": "app", "image": "app:v2"}]},
}


def replica_set(pod_hash: str, replicas: int = REPLICAS, **changes: Any) -> ReplicaSet:
    """Return a ReplicaSet whose pods are all there; `changes` are fields of it."""
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
            "metadata": {"annotations": {labels.REVISION: "2" if pod_hash == "new" else "1"}},
            "spec": {"template": TEMPLATE},
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
        manifest={},
    )
    return replace(sample, **changes)


def pod(name: str, pod_hash: str = "stable", **changes: Any) -> Pod:
    """Return an available pod of a ReplicaSet; `changes` are fields of it."""
    created_at = Instant(NOW - 500)
    manifest = {"metadata": {"labels": {"app": "app"}}}
    sample = Pod(name, f"uid-{name}", f"uid-{pod_hash}", created_at, False, True, manifest)
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
    raw_status: dict[str, Any] = {
        "currentPodHash": "new",
        "currentStepHash": step_hash(steps),
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
        step_hash=step_hash(steps),
        new_replica_set="app-new" if any(rs.pod_hash == "new" for rs in sets) else None,
        replica_sets=sets,
        references=References(services={each.name: each for each in services}),
        server_offset_seconds=0.0,
    )
    return replace(sample, **changes)
