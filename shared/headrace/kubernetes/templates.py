"""Which ReplicaSet belongs to a pod template (rollout-api 7.3).

The label of a ReplicaSet, not a computed hash, is what names it everywhere.
Usually the label equals the hash of the template, or that which the controllers
of Kubernetes give it. Where it does not (another release made it, or the user
changed only how the same thing is written), the ReplicaSet is found by its
content, so that nothing is rolled out again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from headrace.kubernetes.defaults import with_defaults
from headrace.kubernetes.hashes import dumped_template_hash, pod_template_hash
from headrace.kubernetes.quantities import parse_quantity

Manifest = Mapping[str, Any]

HASH_LABEL: Final = "rollouts-pod-template-hash"
EPHEMERAL_METADATA: Final = "rollout.argoproj.io/ephemeral-metadata"

_ANTI_AFFINITY_LISTS: Final = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def find_new_replica_set(
    replica_sets: Iterable[dict[str, Any]], template: Manifest, collision_count: int | None = None
) -> dict[str, Any] | None:
    """Return the ReplicaSet of a pod template, or None when it must be created.

    Args:
        replica_sets: The ReplicaSets of the Rollout, in any order; the oldest match wins.
        template: The pod template of the Rollout, as the user wrote it.
        collision_count: `status.collisionCount` of the Rollout, None when absent.

    Raises:
        ValueError: A field of a template has another type than Kubernetes gives it.
    """
    by_age = sorted(replica_sets, key=_age)
    if not by_age:
        return None
    for wanted in _hashes(template, collision_count):
        for replica_set in by_age:
            if hash_label(replica_set) == wanted:
                return replica_set
    desired = _desired_view(template)
    for replica_set in by_age:
        if _live_view(replica_set) == desired:
            return replica_set
    return None


def _hashes(template: Manifest, collision_count: int | None) -> Iterator[str]:
    yield pod_template_hash(template, collision_count)
    with suppress(ValueError):  # it has none: a time in it, or a number too large
        yield dumped_template_hash(template, collision_count)


def has_template(replica_set: Manifest, template: Manifest) -> bool:
    """Return whether a live ReplicaSet runs what `template` says.

    Injected metadata, the injected anti-affinity term and the hash label do not count.
    """
    return bool(_live_view(replica_set) == _desired_view(template))


def hash_label(replica_set: Manifest) -> str:
    """Return the pod template hash that a ReplicaSet is labelled with, or an empty text."""
    labels = replica_set["metadata"].get("labels") or {}
    return str(labels.get(HASH_LABEL, ""))


def without_ephemeral_metadata(replica_set: Manifest) -> dict[str, Any]:
    """Return the pod template of a ReplicaSet without what was injected into its metadata."""
    template: dict[str, Any] = dict(replica_set["spec"]["template"])
    injected = _injected_metadata(replica_set)
    metadata = dict(template.get("metadata") or {})
    for kind in ("labels", "annotations"):
        metadata[kind] = {
            key: value
            for key, value in (metadata.get(kind) or {}).items()
            if key not in (injected.get(kind) or {})
        }
    return {**template, "metadata": metadata}


def _injected_metadata(replica_set: Manifest) -> dict[str, Any]:
    annotations = replica_set["metadata"].get("annotations") or {}
    try:
        injected = json.loads(annotations.get(EPHEMERAL_METADATA) or "{}")
    except ValueError:
        return {}  # Somebody else wrote it: nothing of it can be told from the user's own.
    return injected if isinstance(injected, dict) else {}


def _age(replica_set: Manifest) -> tuple[str, str]:
    # RFC 3339 in UTC with whole seconds: the texts sort as the times do.
    metadata = replica_set["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["name"]


def _amount(text: str) -> int:
    """Return a quantity as a number, so that `1` and `1000m` are equal."""
    return parse_quantity(text).round_up_to_milli().nanos


def _desired_view(template: Manifest) -> Any:
    return _comparable(with_defaults(template, quantity=_amount))


def _live_view(replica_set: Manifest) -> Any:
    # The API server has set the defaults already, unless it is one of memory.
    return _comparable(with_defaults(without_ephemeral_metadata(replica_set), quantity=_amount))


def _comparable(view: dict[str, Any]) -> Any:
    spec = view["spec"]
    spec.pop("serviceAccount", None)
    labels = view["metadata"].get("labels", {})
    labels.pop(HASH_LABEL, None)
    if not labels:
        view["metadata"].pop("labels", None)
    affinity = _without_injected_term(spec.pop("affinity", {}))
    if affinity:
        spec["affinity"] = affinity
    return _without_empty_lists(view)


def _without_injected_term(affinity: dict[str, Any]) -> dict[str, Any]:
    """Return an affinity without terms that keep revisions apart (rollout-api 7.5)."""
    anti_affinity = affinity.get("podAntiAffinity", {})
    kept = {
        name: terms
        for name in _ANTI_AFFINITY_LISTS
        if (terms := [term for term in anti_affinity.get(name, ()) if not _is_injected(term)])
    }
    others = {name: value for name, value in affinity.items() if name != "podAntiAffinity"}
    return {**others, "podAntiAffinity": kept} if kept else others


def _is_injected(term: dict[str, Any]) -> bool:
    selector = term.get("podAffinityTerm", term).get("labelSelector", {})
    return any(
        expression["key"] == HASH_LABEL for expression in selector.get("matchExpressions", ())
    )


def _without_empty_lists(value: Any) -> Any:
    """Return a view in which an empty list and none at all look the same."""
    match value:
        case dict():
            return {key: _without_empty_lists(item) for key, item in value.items()}
        case list():
            return [_without_empty_lists(item) for item in value] or None
        case _:
            return value
