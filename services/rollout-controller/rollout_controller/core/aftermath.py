"""What a plan leaves behind: the next snapshot, as the API server would store it.

For tests and simulators of the core alone: a plan is applied to the snapshot that it was made
from, all of it and at once, and pods come and go as their ReplicaSet wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.model.headrace_status import HeadraceStatus
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core import labels, samples
from rollout_controller.core.observed import Observed, ReplicaSet, RunObject, ServiceObject
from rollout_controller.core.plan import (
    AnnotateRollout,
    CreateReplicaSet,
    CreateRun,
    DeleteReplicaSet,
    DeleteRun,
    EvictPods,
    PatchPod,
    PatchReplicaSet,
    Plan,
    SwitchService,
    TerminateRun,
)


def after(observed: Observed, plan: Plan) -> Observed:
    """Return the snapshot as it is once the whole plan is carried out."""
    if plan.intent is not None:
        status = observed.status
        if plan.intent.aborted_at is not None:
            status = status.model_copy(update={"abort": True, "aborted_at": plan.intent.aborted_at})
        observed = _stored(observed, status, plan.intent.headrace)
    for effect in plan.effects:
        match effect:
            case CreateReplicaSet():
                observed = _created(observed, effect.manifest)
            case PatchReplicaSet():
                sets = tuple(
                    _patched(rs, effect) if rs.name == effect.name else rs
                    for rs in observed.replica_sets
                )
                observed = replace(observed, replica_sets=sets)
            case DeleteReplicaSet(name):
                sets = tuple(rs for rs in observed.replica_sets if rs.name != name)
                observed = replace(observed, replica_sets=sets)
            case SwitchService():
                observed = _switched(observed, effect)
            case AnnotateRollout():
                observed = _annotated(observed, effect)
            case CreateRun():
                observed = replace(observed, runs=(*observed.runs, _run_of(effect.manifest)))
            case TerminateRun(name):
                ended = tuple(
                    replace(run, is_terminating=True) if run.name == name else run
                    for run in observed.runs
                )
                observed = replace(observed, runs=ended)
            case DeleteRun(name):
                kept = tuple(run for run in observed.runs if run.name != name)
                observed = replace(observed, runs=kept)
            case PatchPod(name, changes):
                pods = tuple(
                    replace(pod, manifest=_merged(pod.manifest, changes))
                    if pod.name == name
                    else pod
                    for pod in observed.pods
                )
                observed = replace(observed, pods=pods)
            case EvictPods(names, limit):
                gone = set(names[:limit])
                left = tuple(pod for pod in observed.pods if pod.name not in gone)
                observed = replace(observed, pods=left)
    if plan.claim is not None:
        observed = _stored(observed, plan.claim.status, plan.claim.headrace)
    return observed


def _stored(observed: Observed, status: RolloutStatus, headrace: HeadraceStatus) -> Observed:
    """Return the snapshot with a status as it comes back from JSON."""
    without = status.model_copy(update={"headrace": None})
    return observed.with_status(
        RolloutStatus.load(without.dump()), HeadraceStatus.load(headrace.dump())
    )


def _created(observed: Observed, manifest: dict[str, Any]) -> Observed:
    annotations = manifest["metadata"]["annotations"]
    new = samples.replica_set(
        observed.template_hash,
        0,
        name=manifest["metadata"]["name"],
        revision=int(annotations[labels.REVISION]),
        desired_annotation=annotations[labels.DESIRED_REPLICAS],
        created_at=samples.NOW,
        manifest=manifest,
    )
    sets = (*observed.replica_sets, new)
    return replace(observed, replica_sets=sets, new_replica_set=new.name)


def _patched(rs: ReplicaSet, effect: PatchReplicaSet) -> ReplicaSet:
    manifest = rs.manifest
    metadata = manifest.get("metadata", {})
    changes = effect.annotations or {}
    annotations = _merged_keys(metadata.get("annotations") or {}, changes)
    spec = dict(manifest.get("spec", {}))
    if effect.template_metadata is not None:
        template = spec.get("template", {})
        spec["template"] = {**template, "metadata": effect.template_metadata}
    if effect.min_ready_seconds is not None:
        spec["minReadySeconds"] = effect.min_ready_seconds
    rs = replace(rs, manifest={"metadata": {**metadata, "annotations": annotations}, "spec": spec})
    if labels.REVISION in changes:
        rs = replace(rs, revision=int(changes[labels.REVISION] or 0))
    if labels.DESIRED_REPLICAS in changes:
        rs = replace(rs, desired_annotation=changes[labels.DESIRED_REPLICAS])
    if labels.SCALE_DOWN_DEADLINE in changes:
        rs = replace(rs, scale_down_deadline=changes[labels.SCALE_DOWN_DEADLINE])
    if effect.replicas is not None:
        size = effect.replicas
        rs = replace(rs, replicas=size, status_replicas=size, ready=size, available=size)
    return rs


def _switched(observed: Observed, effect: SwitchService) -> Observed:
    services = dict(observed.references.services)
    old: ServiceObject = services[effect.name]
    services[effect.name] = samples.service(
        effect.name, effect.pod_hash, managed_by=effect.managed_by or old.managed_by
    )
    return replace(observed, references=replace(observed.references, services=services))


def _annotated(observed: Observed, effect: AnnotateRollout) -> Observed:
    observed = replace(observed, annotations={**observed.annotations, **effect.annotations})
    if effect.replicas is None:
        return observed
    spec = observed.spec.model_copy(update={"replicas": effect.replicas})
    return replace(observed, spec=spec)


def _run_of(manifest: dict[str, Any]) -> RunObject:
    metadata = manifest["metadata"]
    return samples.run(
        metadata["name"],
        pod_hash=metadata["labels"][labels.HASH],
        step_index=metadata["labels"].get(labels.STEP_INDEX),
        cause=metadata["annotations"][labels.CAUSE],
    )


def _merged(manifest: dict[str, Any], changes: Mapping[str, str | None]) -> dict[str, Any]:
    found = manifest.get("metadata", {})
    return {"metadata": {**found, "labels": _merged_keys(found.get("labels") or {}, changes)}}


def _merged_keys(old: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {k: v for k, v in {**old, **changes}.items() if v is not None}
