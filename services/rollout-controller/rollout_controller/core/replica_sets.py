"""The ReplicaSet of a revision: its creation, and what is kept in step with the Rollout.

Source: rollout-api 7.2, 7.4, 9 (syncReplicaSetRevision, revision history).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from headrace.kubernetes import gojson
from headrace.kubernetes.resources import Manifest
from headrace.model.conditions import Reason
from headrace.model.rollout import REVISION_HISTORY_LIMIT_DEFAULT
from headrace.model.steps import TemplateMetadata
from rollout_controller.core import anti_affinity, labels
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.plan import (
    AdoptReplicaSet,
    CreateReplicaSet,
    DeleteReplicaSet,
    PatchReplicaSet,
    ReleaseReplicaSet,
)


def claim_replica_sets(draft: Draft) -> bool:
    """Plan to adopt matching orphans and release what no longer matches (rollout-api 7.4).

    Returns:
        Whether anything was planned; the pass ends then, since who is ours decides all else.
    """
    selector = draft.spec.selector
    for orphan in draft.observed.orphans:
        draft.effect(AdoptReplicaSet(orphan.name))
    for rs in draft.observed.replica_sets:
        labels_now = rs.manifest["metadata"].get("labels") or {}
        if selector is not None and not selector.matches(labels_now) and not rs.is_deleting:
            draft.effect(ReleaseReplicaSet(rs.name))
    return bool(draft.effects)


def revision_of_new(draft: Draft) -> int:
    """Return the revision of the current template: above all others, and never lowered."""
    own = draft.new.revision if draft.new is not None else 0
    others = (rs.revision for rs in draft.observed.replica_sets if rs is not draft.new)
    return max(own, 1 + max(others, default=0))


def create_replica_set(draft: Draft) -> None:
    """Plan the ReplicaSet of the current template, with no pods (rollout-api 7.4)."""
    revision = revision_of_new(draft)
    manifest = _manifest(draft, revision)
    name = manifest["metadata"]["name"]
    effect = CreateReplicaSet(manifest)
    draft.effect(effect)
    _align_revision(draft, revision)
    text = f"Created ReplicaSet {name} (revision {revision})"
    draft.event(Reason.NEW_REPLICA_SET_CREATED, text, tells=effect)


def sync_revision(draft: Draft) -> None:
    """Bring what the new ReplicaSet has of the Rollout up to date (rollout-api 9)."""
    rs = draft.new
    if rs is None:
        return
    revision = revision_of_new(draft)
    wanted = copied_annotations(draft.observed.annotations)
    current = rs.manifest.get("metadata", {}).get("annotations") or {}
    changed: dict[str, str | None] = {k: v for k, v in wanted.items() if current.get(k) != v}
    if revision != rs.revision or changed:
        if rs.revision and revision != rs.revision:
            changed[labels.REVISION_HISTORY] = _extended_history(current, rs.revision)
        changed[labels.REVISION] = str(revision)
    min_ready = int(rs.manifest.get("spec", {}).get("minReadySeconds") or 0)
    is_ready_changed = min_ready != draft.spec.min_ready_seconds
    affinity = anti_affinity.stale_affinity(draft.observed, rs)
    if changed or is_ready_changed or affinity is not None:
        draft.effect(
            PatchReplicaSet(
                rs.name,
                annotations=changed,
                min_ready_seconds=draft.spec.min_ready_seconds if is_ready_changed else None,
                affinity=affinity,
            )
        )
    _align_revision(draft, revision)


def _extended_history(annotations: Mapping[str, str], revision: int) -> str:
    old = annotations.get(labels.REVISION_HISTORY, "")
    return f"{old},{revision}" if old else str(revision)


def _align_revision(draft: Draft, revision: int) -> None:
    draft.revision = revision
    if draft.observed.annotations.get(labels.REVISION) == str(revision):
        return
    effect = draft.annotate(labels.REVISION, str(revision))
    text = f"Rollout updated to revision {revision}"
    draft.event(Reason.ROLLOUT_UPDATED, text, tells=effect)


def copied_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the annotations of a Rollout that its ReplicaSet gets (rollout-api 7.2)."""
    return {
        key: value
        for key, value in annotations.items()
        if key not in labels.NEVER_COPIED and not key.startswith(labels.HEADRACE_PREFIX)
    }


def _manifest(draft: Draft, revision: int) -> Manifest:
    observed, spec = draft.observed, draft.spec
    pod_hash = observed.template_hash
    template: dict[str, Any] = copy.deepcopy(spec.template or {})
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), labels.HASH: pod_hash}
    affinity = anti_affinity.wanted_affinity(observed, pod_hash)
    if affinity is not None:
        template["spec"] = {**(template.get("spec") or {}), "affinity": affinity}
    annotations = {
        **copied_annotations(observed.annotations),
        labels.REVISION: str(revision),
        labels.DESIRED_REPLICAS: str(observed.replicas),
        labels.CAUSE: f"{revision}",
    }
    injected = _initial_metadata(draft)
    if injected is not None:
        metadata["labels"] |= injected.labels
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **injected.annotations}
        annotations[labels.EPHEMERAL_METADATA] = ephemeral_annotation(injected)
    selector = spec.selector.dump() if spec.selector is not None else {}
    selector["matchLabels"] = {**selector.get("matchLabels", {}), labels.HASH: pod_hash}
    set_labels = dict(metadata["labels"])
    if injected is not None:
        for key in injected.labels:
            set_labels.pop(key, None)
        set_labels |= (spec.template or {}).get("metadata", {}).get("labels") or {}
    manifest: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{observed.name}-{pod_hash}",
            "namespace": observed.namespace,
            "labels": set_labels,
            "annotations": annotations,
            "ownerReferences": [draft.observed.owner_reference],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }
    if spec.min_ready_seconds:
        manifest["spec"]["minReadySeconds"] = spec.min_ready_seconds
    return manifest


def _initial_metadata(draft: Draft) -> TemplateMetadata | None:
    """Return what is injected at creation: that of the new version if another stable exists."""
    if draft.stable is not None:
        return draft.new_metadata
    return draft.stable_metadata


def ephemeral_annotation(metadata: TemplateMetadata) -> str:
    """Return the annotation that remembers what was injected (rollout-api 7.2).

    Byte for byte as the reference writes it: what it left is not written again.
    """
    return gojson.encode(gojson.struct(metadata))


def collect_history(draft: Draft) -> None:
    """Delete the oldest empty ReplicaSets beyond revisionHistoryLimit (rollout-api 9)."""
    limit = draft.spec.revision_history_limit
    limit = REVISION_HISTORY_LIMIT_DEFAULT if limit is None else limit
    candidates = [rs for rs in draft.others if not rs.is_deleting]
    surplus = len(candidates) - limit
    if surplus <= 0:
        return
    for rs in sorted(candidates, key=lambda rs: rs.created_at)[:surplus]:
        if _is_removable(draft, rs):
            draft.effect(DeleteReplicaSet(rs.name))


def _is_removable(draft: Draft, rs: ReplicaSet) -> bool:
    return (
        rs.replicas == 0
        and rs.status_replicas == 0
        and rs.is_status_current
        and draft.shares.get(rs.pod_hash, 0) == 0
    )
