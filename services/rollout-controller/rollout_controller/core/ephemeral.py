"""Labels and annotations that pods carry only while they play a role (rollout-api 11)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.model.rollout import RolloutSpec
from headrace.model.steps import TemplateMetadata
from rollout_controller.core import labels
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Pod, ReplicaSet
from rollout_controller.core.plan import PatchPod, PatchReplicaSet
from rollout_controller.core.replica_sets import ephemeral_annotation

_NONE = TemplateMetadata()


@dataclass(frozen=True, slots=True)
class _Change:
    """What the pods of a ReplicaSet shall carry, and keys that may be left of another role.

    Of a pod, also keys of every role: the ReplicaSet may have changed its role in an earlier
    pass that did not reach all its pods, and remembers only what it injects now.
    """

    wanted: TemplateMetadata
    stale_labels: frozenset[str]
    stale_annotations: frozenset[str]


def is_configured(spec: RolloutSpec) -> bool:
    """Return whether the strategy asks for ephemeral metadata at all."""
    canary, blue_green = spec.strategy.canary, spec.strategy.blue_green
    if canary is not None:
        return bool(canary.canary_metadata or canary.stable_metadata)
    return blue_green is not None and bool(
        blue_green.preview_metadata or blue_green.active_metadata
    )


def reconcile_ephemeral_metadata(draft: Draft) -> None:
    """Plan the changes that give every ReplicaSet and pod the metadata of its role."""
    if not is_configured(draft.spec):
        return
    for rs in draft.observed.replica_sets:
        _sync(draft, rs, _wanted(draft, rs))


def _wanted(draft: Draft, rs: ReplicaSet) -> TemplateMetadata:
    stable = draft.stable_metadata or _NONE
    is_rolled_out = draft.stable is None or draft.stable is draft.new
    if rs is draft.new:
        return stable if is_rolled_out else draft.new_metadata or _NONE
    return stable if rs is draft.stable else _NONE


def _sync(draft: Draft, rs: ReplicaSet, wanted: TemplateMetadata) -> None:
    previous = _injected(rs)
    metadata = rs.manifest.get("spec", {}).get("template", {}).get("metadata") or {}
    annotation = ephemeral_annotation(wanted) if wanted != _NONE else None
    stored = (rs.manifest.get("metadata", {}).get("annotations") or {}).get(
        labels.EPHEMERAL_METADATA
    )
    template = {
        "labels": _applied(metadata.get("labels") or {}, wanted.labels, previous.labels),
        "annotations": _applied(
            metadata.get("annotations") or {}, wanted.annotations, previous.annotations
        ),
    }
    is_template_stale = template["labels"] != (metadata.get("labels") or {}) or template[
        "annotations"
    ] != (metadata.get("annotations") or {})
    if is_template_stale or annotation != stored:
        draft.effect(
            PatchReplicaSet(
                rs.name,
                annotations={labels.EPHEMERAL_METADATA: annotation},
                template_metadata=template,
            )
        )
    if rs.replicas == 0:
        return
    injected = (previous, draft.new_metadata or _NONE, draft.stable_metadata or _NONE)
    change = _Change(
        wanted,
        frozenset(key for each in injected for key in each.labels) - template["labels"].keys(),
        frozenset(key for each in injected for key in each.annotations)
        - template["annotations"].keys(),
    )
    for pod in draft.observed.pods:
        if pod.replica_set_uid == rs.uid and not pod.is_terminating:
            _sync_pod(draft, pod, change)


def _injected(rs: ReplicaSet) -> TemplateMetadata:
    text = (rs.manifest.get("metadata", {}).get("annotations") or {}).get(labels.EPHEMERAL_METADATA)
    if not text:
        return _NONE
    try:
        return TemplateMetadata.load(json.loads(text))
    except ValueError:
        return _NONE


def _applied(
    current: Mapping[str, str], wanted: Mapping[str, str], previous: Mapping[str, str]
) -> dict[str, str]:
    kept = {k: v for k, v in current.items() if k not in previous or k in wanted}
    return {**kept, **wanted}


def _sync_pod(draft: Draft, pod: Pod, change: _Change) -> None:
    metadata = pod.manifest.get("metadata", {})
    label_changes = _difference(
        metadata.get("labels") or {}, change.wanted.labels, change.stale_labels
    )
    annotation_changes = _difference(
        metadata.get("annotations") or {}, change.wanted.annotations, change.stale_annotations
    )
    if label_changes or annotation_changes:
        draft.effect(PatchPod(pod.name, label_changes, annotation_changes))


def _difference(
    current: Mapping[str, str], wanted: Mapping[str, str], stale: Iterable[str]
) -> dict[str, str | None]:
    changes: dict[str, str | None] = {k: v for k, v in wanted.items() if current.get(k) != v}
    changes.update({k: None for k in sorted(stale) if k in current})
    return changes
