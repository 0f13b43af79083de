"""The bodies of the controller's writes: from plan and snapshot to patches. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.errors import INSTALL_CRDS, Rejected
from headrace.kubernetes.patches import pointer
from headrace.kubernetes.resources import Manifest
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core.claimed_runs import claimed_runs, with_runs
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import Intent, PatchReplicaSet


def check_kept(answer: Manifest, status: Mapping[str, Any]) -> None:
    """Refuse to go on when the server prunes what we remember.

    Raises:
        Rejected: The CRD of another release is installed; install that of Headrace.
    """
    wanted = (status.get("headrace") or {}).get("epoch")
    kept = ((answer.get("status") or {}).get("headrace") or {}).get("epoch")
    if wanted != kept:
        raise Rejected(
            f"the API server drops status.headrace: install the CRDs with `{INSTALL_CRDS}`"
        )


def with_intent(observed: Observed, intent: Intent) -> Observed:
    """Return the snapshot as it is once the intent is stored."""
    status = observed.status
    if intent.aborted_at is not None:
        status = status.model_copy(update={"abort": True, "aborted_at": intent.aborted_at})
    return observed.with_status(status, intent.headrace)


def with_names(status: RolloutStatus, names: Mapping[str, str]) -> RolloutStatus:
    """Return the status with the names that new runs and Experiments really got."""
    runs = claimed_runs(status)
    experiment = status.canary.current_experiment
    if names.get(experiment, experiment) != experiment:
        update = {"current_experiment": names[experiment]}
        status = status.model_copy(update={"canary": status.canary.model_copy(update=update)})
    if all(names.get(run.name, run.name) == run.name for run in runs.values()):
        return status
    renamed = {
        kind: run.model_copy(update={"name": names.get(run.name, run.name)})
        for kind, run in runs.items()
    }
    return with_runs(status, renamed)


def stored_status(status: RolloutStatus, headrace: HeadraceStatus) -> dict[str, Any]:
    """Return the status as it stands in the object."""
    raw = status.dump()
    raw.pop("headrace", None)
    remembered = headrace.dump()
    if remembered:
        raw["headrace"] = remembered
    return raw


def replica_set_operations(current: Manifest, effect: PatchReplicaSet) -> list[dict[str, Any]]:
    """Return a JSON patch that tests what it replaces (architecture, "Writes")."""
    uid = current["metadata"]["uid"]
    operations: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": uid}]
    if effect.replicas is not None:
        path = "/spec/replicas"
        operations.append({"op": "test", "path": path, "value": current["spec"]["replicas"]})
        operations.append({"op": "replace", "path": path, "value": effect.replicas})
    if effect.min_ready_seconds is not None:
        path = "/spec/minReadySeconds"
        operations.append({"op": "add", "path": path, "value": effect.min_ready_seconds})
    if effect.affinity is not None:
        path = "/spec/template/spec/affinity"
        operations.append({"op": "add", "path": path, "value": dict(effect.affinity)})
    operations += _annotation_operations(current, effect.annotations or {})
    for member, values in (effect.template_metadata or {}).items():
        path = pointer("spec", "template", "metadata", member)
        operations.append({"op": "add", "path": path, "value": dict(values)})
    return operations


def scale_operations(current: Manifest, replicas: int) -> list[dict[str, Any]]:
    """Return a JSON patch that changes the size of a workload, if it is still what was read."""
    metadata, path = current["metadata"], "/spec/replicas"
    return [
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "test", "path": path, "value": current["spec"].get("replicas", 1)},
        {"op": "replace", "path": path, "value": replicas},
    ]


def _annotation_operations(
    current: Manifest, annotations: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    existing = current["metadata"].get("annotations")
    if not annotations:
        return []
    if existing is None:
        kept = {key: value for key, value in annotations.items() if value is not None}
        return [{"op": "add", "path": "/metadata/annotations", "value": kept}] if kept else []
    operations: list[dict[str, Any]] = []
    for key, value in annotations.items():
        path = pointer("metadata", "annotations", key)
        if key in existing:
            operations.append({"op": "test", "path": path, "value": existing[key]})
            if value is None:
                operations.append({"op": "remove", "path": path})
        if value is not None:
            operations.append({"op": "add", "path": path, "value": value})
    return operations


def ownership_operations(
    current: Manifest, uid: str, owner: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Return a JSON patch that adds our owner reference, or with None takes it away."""
    metadata = current["metadata"]
    others = [each for each in metadata.get("ownerReferences") or () if each.get("uid") != uid]
    wanted = [*others, dict(owner)] if owner is not None else others
    version = metadata["resourceVersion"]
    return [
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/metadata/ownerReferences", "value": wanted},
    ]
