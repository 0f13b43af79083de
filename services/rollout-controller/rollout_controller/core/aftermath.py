"""What a plan leaves behind: the next snapshot, as the API server would store it.

For tests and simulators of the core alone: a plan is applied to the snapshot that it was made
from, all of it and at once, and pods come and go as their ReplicaSet wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.model.analysis import AnalysisPhase, is_completed
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core import labels, samples
from rollout_controller.core.observed import (
    ExperimentObject,
    ExperimentTemplateObject,
    Observed,
    Pod,
    ReplicaSet,
    RunObject,
    ServiceObject,
)
from rollout_controller.core.plan import (
    AnnotateRollout,
    CreateExperiment,
    CreateReplicaSet,
    CreateRun,
    DeleteExperiment,
    DeleteReplicaSet,
    DeleteRun,
    Effect,
    EvictPods,
    PatchPod,
    PatchReplicaSet,
    Plan,
    SwitchService,
    TerminateExperiment,
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
        observed = _carried_out(observed, effect)
    if plan.claim is not None:
        observed = _stored(observed, plan.claim.status, plan.claim.headrace)
    return observed


def _stored(observed: Observed, status: RolloutStatus, headrace: HeadraceStatus) -> Observed:
    """Return the snapshot with a status as it comes back from JSON."""
    without = status.model_copy(update={"headrace": None})
    return observed.with_status(
        RolloutStatus.load(without.dump()), HeadraceStatus.load(headrace.dump())
    )


def _carried_out(observed: Observed, effect: Effect) -> Observed:
    match effect:
        case CreateReplicaSet():
            return _created(observed, effect.manifest)
        case PatchReplicaSet() | DeleteReplicaSet():
            return replace(observed, replica_sets=_replica_sets(observed, effect))
        case SwitchService():
            return _switched(observed, effect)
        case AnnotateRollout():
            return _annotated(observed, effect)
        case CreateRun() | TerminateRun() | DeleteRun():
            return replace(observed, runs=_runs(observed, effect))
        case CreateExperiment() | TerminateExperiment() | DeleteExperiment():
            return replace(observed, experiments=_experiments(observed, effect))
        case PatchPod() | EvictPods():
            return replace(observed, pods=_pods(observed, effect))
        case _:
            return observed


def _replica_sets(
    observed: Observed, effect: PatchReplicaSet | DeleteReplicaSet
) -> tuple[ReplicaSet, ...]:
    found = observed.replica_sets
    if isinstance(effect, DeleteReplicaSet):
        return tuple(rs for rs in found if rs.name != effect.name)
    return tuple(_patched(rs, effect) if rs.name == effect.name else rs for rs in found)


def _runs(
    observed: Observed, effect: CreateRun | TerminateRun | DeleteRun
) -> tuple[RunObject, ...]:
    match effect:
        case CreateRun():
            return (*observed.runs, _run_of(effect.manifest))
        case TerminateRun(name):
            return tuple(
                replace(run, is_terminating=True) if run.name == name else run
                for run in observed.runs
            )
        case DeleteRun(name):
            return tuple(run for run in observed.runs if run.name != name)


def _experiments(
    observed: Observed, effect: CreateExperiment | TerminateExperiment | DeleteExperiment
) -> tuple[ExperimentObject, ...]:
    match effect:
        case CreateExperiment():
            return (*observed.experiments, _experiment_of(effect.manifest))
        case TerminateExperiment(name):
            return tuple(
                _ended(each) if each.name == name else each for each in observed.experiments
            )
        case DeleteExperiment(name):
            return tuple(each for each in observed.experiments if each.name != name)


def _pods(observed: Observed, effect: PatchPod | EvictPods) -> tuple[Pod, ...]:
    if isinstance(effect, EvictPods):
        gone = set(effect.names[: effect.limit])
        return tuple(pod for pod in observed.pods if pod.name not in gone)
    return tuple(
        replace(pod, manifest=_merged(pod.manifest, effect.labels))
        if pod.name == effect.name
        else pod
        for pod in observed.pods
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
        manifest=manifest,
    )


def _experiment_of(manifest: dict[str, Any]) -> ExperimentObject:
    """Return an Experiment that runs already: its pods come at once, as all others."""
    metadata = manifest["metadata"]
    name = metadata["name"]
    return samples.experiment(
        name,
        pod_hash=metadata["labels"][labels.HASH],
        step_index=metadata["labels"][labels.STEP_INDEX],
        cause=metadata["annotations"][labels.CAUSE],
        templates=tuple(_template_of(name, each) for each in manifest["spec"]["templates"]),
        manifest=manifest,
    )


def _template_of(experiment: str, template: dict[str, Any]) -> ExperimentTemplateObject:
    name = f"{experiment}-{template['name']}"
    found = samples.experiment_template(template["name"])
    has_service = "service" in template
    return replace(
        found, service_name=name if has_service else "", pod_hash=name if has_service else ""
    )


def _ended(experiment: ExperimentObject) -> ExperimentObject:
    """Return an Experiment after its termination; its pods stay as long as a route names them."""
    phase = experiment.phase if is_completed(experiment.phase) else AnalysisPhase.SUCCESSFUL
    return replace(experiment, is_terminating=True, phase=phase)


def _merged(manifest: dict[str, Any], changes: Mapping[str, str | None]) -> dict[str, Any]:
    found = manifest.get("metadata", {})
    return {"metadata": {**found, "labels": _merged_keys(found.get("labels") or {}, changes)}}


def _merged_keys(old: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {k: v for k, v in {**old, **changes}.items() if v is not None}
