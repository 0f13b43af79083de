"""From manifests to the core's frozen views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.kubernetes.resources import Manifest
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant
from rollout_controller.core import labels
from rollout_controller.core.abandoned import managing_rollout, selector_of
from rollout_controller.core.claimed_runs import subject_of
from rollout_controller.core.observed import (
    ExperimentObject,
    ExperimentTemplateObject,
    Pod,
    ReplicaSet,
    RunObject,
    ServiceObject,
)

SERVICE_PORT_DEFAULT: Final = 8080
"""Port of an Experiment's Service that names none (traffic-routing 11.2)."""

_NO_TIME: Final = "1970-01-01T00:00:00Z"


def replica_set_view(manifest: Manifest) -> ReplicaSet:
    """Return what the core sees of a ReplicaSet."""
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    status = manifest.get("status") or {}
    annotations = metadata.get("annotations") or {}
    return ReplicaSet(
        name=metadata["name"],
        uid=metadata["uid"],
        pod_hash=str((metadata.get("labels") or {}).get(labels.HASH, "")),
        revision=_integer(annotations.get(labels.REVISION)),
        created_at=_created_at(metadata),
        replicas=int(spec.get("replicas", 1)),
        status_replicas=int(status.get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
        available=int(status.get("availableReplicas") or 0),
        is_status_current=int(status.get("observedGeneration") or 0)
        >= int(metadata.get("generation") or 0),
        is_deleting=bool(metadata.get("deletionTimestamp")),
        desired_annotation=annotations.get(labels.DESIRED_REPLICAS),
        scale_down_deadline=annotations.get(labels.SCALE_DOWN_DEADLINE),
        failure=_failure(status),
        manifest=manifest,
    )


def service_view(manifest: Manifest) -> ServiceObject:
    """Return what the core sees of a Service."""
    metadata = manifest["metadata"]
    selector = selector_of(manifest)
    return ServiceObject(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        pod_hash=str(selector.get(labels.HASH, "")),
        managed_by=managing_rollout(manifest),
        selector=selector,
    )


def run_view(manifest: Manifest, phase: str, message: str) -> RunObject:
    """Return what the core sees of an AnalysisRun, with the phase known best."""
    metadata = manifest["metadata"]
    run_labels = metadata.get("labels") or {}
    cause = str((metadata.get("annotations") or {}).get(labels.CAUSE, ""))
    subject = subject_of(cause)
    step = run_labels.get(labels.STEP_INDEX) if subject is None else subject[1]
    return RunObject(
        name=metadata["name"],
        uid=metadata["uid"],
        phase=phase,
        message=message,
        pod_hash=str(run_labels.get(labels.HASH, "")),
        step_index=None if step is None else str(step),
        is_terminating=bool((manifest.get("spec") or {}).get("terminate")),
        is_deleting=bool(metadata.get("deletionTimestamp")),
        created_at=_created_at(metadata),
        cause=cause,
        manifest=manifest,
    )


def experiment_view(manifest: Manifest) -> ExperimentObject:
    """Return what the Rollout's core sees of an Experiment."""
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    status = manifest.get("status") or {}
    its_labels = metadata.get("labels") or {}
    pods = {each.get("name"): each.get("template") or {} for each in spec.get("templates") or ()}
    return ExperimentObject(
        name=metadata["name"],
        phase=str(status.get("phase") or ""),
        message=str(status.get("message") or _refusal(status)),
        pod_hash=str(its_labels.get(labels.HASH, "")),
        step_index=its_labels.get(labels.STEP_INDEX),
        is_terminating=bool(spec.get("terminate")),
        is_deleting=bool(metadata.get("deletionTimestamp")),
        created_at=_created_at(metadata),
        cause=str((metadata.get("annotations") or {}).get(labels.CAUSE, "")),
        templates=tuple(
            ExperimentTemplateObject(
                name=str(each.get("name", "")),
                service_name=str(each.get("serviceName") or ""),
                pod_hash=str(each.get("podTemplateHash") or ""),
                available=int(each.get("availableReplicas") or 0),
                port=_service_port(pods.get(each.get("name")) or {}),
            )
            for each in status.get("templateStatuses") or ()
        ),
        manifest=manifest,
    )


def _refusal(status: Mapping[str, Any]) -> str:
    """Return why an Experiment cannot work, "" when it can (experiment 2)."""
    conditions = status.get("conditions") or ()
    return next((str(c.get("message")) for c in conditions if c.get("type") == "InvalidSpec"), "")


def _service_port(template: Mapping[str, Any]) -> int:
    """Return the port of a template's Service: that named http, else the first (11.2)."""
    containers = (template.get("spec") or {}).get("containers") or ()
    ports = [port for container in containers for port in container.get("ports") or ()]
    named = [port for port in ports if port.get("name") == "http"]
    return int((named or ports)[0]["containerPort"]) if ports else SERVICE_PORT_DEFAULT


def pod_view(manifest: Manifest) -> Pod:
    """Return what the core sees of a pod."""
    metadata = manifest["metadata"]
    conditions = (manifest.get("status") or {}).get("conditions") or ()
    owner = next(
        (o["uid"] for o in metadata.get("ownerReferences") or () if o.get("controller")), ""
    )
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        replica_set_uid=owner,
        created_at=_created_at(metadata),
        is_terminating=bool(metadata.get("deletionTimestamp")),
        ready_at=next((_ready_at(c) for c in conditions if c.get("type") == "Ready"), None),
        manifest=manifest,
    )


def _ready_at(condition: Mapping[str, Any]) -> Instant | None:
    if condition.get("status") != "True":
        return None
    return parse_time(condition.get("lastTransitionTime") or _NO_TIME)


def _failure(status: dict[str, Any]) -> tuple[str, str, str] | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "ReplicaFailure":
            return (
                str(condition.get("status", "Unknown")),
                str(condition.get("reason", "")),
                str(condition.get("message", "")),
            )
    return None


def _created_at(metadata: dict[str, Any]) -> Instant:
    return parse_time(metadata.get("creationTimestamp") or _NO_TIME)


def _integer(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0
