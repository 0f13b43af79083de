"""The workload that gives a Rollout its pod template, and its handing over.

What is taken from it lives in the snapshot only: no write ever carries it, since the Rollout is
only patched, never replaced. Its generation stands as an annotation on the Rollout, so that
clients see a change that was not rolled out yet.

Source: rollout-api 2.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.kubernetes.resources import (
    DEPLOYMENTS,
    POD_TEMPLATES,
    REPLICA_SETS,
    Manifest,
    Resource,
)
from headrace.model.conditions import RolloutPhase
from headrace.model.meta import LabelSelector
from headrace.model.rollout import RolloutSpec, WorkloadReference
from rollout_controller.core import labels
from rollout_controller.core.draft import Draft
from rollout_controller.core.plan import PatchReplicaSet, ScaleDeployment

WORKLOADS: Final[tuple[Resource, ...]] = (DEPLOYMENTS, REPLICA_SETS, POD_TEMPLATES)
"""Kinds that can give a pod template."""

ON_SUCCESS: Final = "onsuccess"
PROGRESSIVELY: Final = "progressively"
SCALE_DOWN_MODES: Final = (ON_SUCCESS, PROGRESSIVELY)
"""Values of workloadRef.scaleDown that act; any other keeps the Deployment."""

_SECOND_TEMPLATE: Final = "template must be empty for workload reference rollout"


def group_kind(reference: WorkloadReference) -> tuple[str, str]:
    """Return group and kind of what is referred to; a malformed apiVersion has no group."""
    group, slash, version = reference.api_version.rpartition("/")
    return (group if slash and version and "/" not in group else ""), reference.kind


def resource_of(reference: WorkloadReference) -> Resource | None:
    """Return where the workload lives; None for a kind that cannot give a template."""
    wanted = group_kind(reference)
    return next((each for each in WORKLOADS if (each.group, each.kind) == wanted), None)


def reference_error(template: Mapping[str, Any] | None, reference: WorkloadReference) -> str:
    """Return why a reference beside a template of its own leads nowhere, "" when it may lead."""
    metadata = (template or {}).get("metadata") or {}
    if metadata.get("labels") or metadata.get("annotations"):
        return _SECOND_TEMPLATE
    if resource_of(reference) is None:
        return "workload of type {}/{} is not supported".format(*group_kind(reference))
    return ""


def not_found(resource: Resource, name: str) -> str:
    """Return what clients read when the workload does not exist."""
    group = f".{resource.group}" if resource.group else ""
    return f'{resource.plural}{group} "{name}" not found'


def resolved(spec: RolloutSpec, resource: Resource, workload: Manifest) -> RolloutSpec:
    """Return the spec with the template, and where it has none the selector, of the workload."""
    holder: Mapping[str, Any] = workload
    selector = None
    if resource != POD_TEMPLATES:
        holder = workload.get("spec") or {}
        selector = holder.get("selector")
    update: dict[str, Any] = {"template": holder.get("template") or {}}
    if spec.selector is None and selector is not None:
        update["selector"] = LabelSelector.load(selector)
    return spec.model_copy(update=update)


def annotate_generation(draft: Draft) -> None:
    """Plan to tell clients which generation of the workload is being rolled out."""
    workload = draft.observed.workload
    if workload is not None and not workload.is_annotated:
        draft.annotate(labels.WORKLOAD_GENERATION, str(workload.generation))


def scale_down(draft: Draft) -> None:
    """Plan to scale the Deployment down whose place the first revision takes.

    `onsuccess` waits until the Rollout is healthy, `progressively` follows its ready pods, also
    back up when they go. A Deployment that is not there needs nothing.
    """
    reference, workload = draft.spec.workload_ref, draft.observed.workload
    if reference is None or workload is None or workload.deployment is None:
        return
    if draft.revision != 1:
        return
    deployment, status = workload.deployment, draft.status
    is_healthy = status.phase == RolloutPhase.HEALTHY
    wanted: int | None = None
    if reference.scale_down == ON_SUCCESS and is_healthy and draft.is_fully_promoted:
        wanted = 0
    elif reference.scale_down == PROGRESSIVELY and draft.spec.replicas is not None:
        if is_healthy:
            wanted = 0
        elif status.ready_replicas > 0 or _is_new_scaled_down(draft):
            wanted = max(0, draft.spec.replicas - status.ready_replicas)
    if wanted is not None and wanted != deployment.replicas:
        is_required = reference.scale_down == ON_SUCCESS
        draft.effect(ScaleDeployment(deployment.name, wanted, is_required=is_required))


def _is_new_scaled_down(draft: Draft) -> bool:
    new = draft.new
    return new is not None and any(
        isinstance(effect, PatchReplicaSet)
        and effect.name == new.name
        and effect.replicas is not None
        and effect.replicas < new.replicas
        for effect in draft.effects
    )
