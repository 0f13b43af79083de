"""Reading objects as the API server sends them: absent and null fields count as empty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.kubernetes.resources import Manifest
from headrace.model.meta import parse_time

HASH_LABEL: Final = "rollouts-pod-template-hash"
REVISION_ANNOTATION: Final = "rollout.argoproj.io/revision"


@dataclass(frozen=True, slots=True)
class Inventory:
    """The objects of a namespace that a tree is made of."""

    replica_sets: Sequence[Manifest] = ()
    pods: Sequence[Manifest] = ()
    experiments: Sequence[Manifest] = ()
    analysis_runs: Sequence[Manifest] = ()


def section(manifest: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the mapping at a path, empty when it is not there."""
    found: Any = manifest
    for name in path:
        found = (found or {}).get(name)
    return found or {}


def items(manifest: Mapping[str, Any], *path: str) -> Sequence[Any]:
    """Return the list at a path, empty when it is not there."""
    found = section(manifest, *path[:-1]).get(path[-1])
    return found or ()


def count(manifest: Mapping[str, Any], *path: str) -> int:
    """Return the number at a path, 0 when it is not there."""
    return int(section(manifest, *path[:-1]).get(path[-1]) or 0)


def text(manifest: Mapping[str, Any], *path: str) -> str:
    """Return the text at a path, empty when it is not there."""
    return str(section(manifest, *path[:-1]).get(path[-1]) or "")


def name_of(manifest: Manifest) -> str:
    """Return the name of an object."""
    return text(manifest, "metadata", "name")


def labels_of(manifest: Manifest) -> Mapping[str, str]:
    """Return the labels of an object."""
    return section(manifest, "metadata", "labels")


def annotations_of(manifest: Manifest) -> Mapping[str, str]:
    """Return the annotations of an object."""
    return section(manifest, "metadata", "annotations")


def owned(manifests: Iterable[Manifest], uid: str) -> list[Manifest]:
    """Return the objects that name an owner of this uid, controller or not."""
    return [
        manifest
        for manifest in manifests
        if any(owner.get("uid") == uid for owner in items(manifest, "metadata", "ownerReferences"))
    ]


def revision_of(manifest: Manifest) -> int:
    """Return the revision of an object, 0 when it is missing or unreadable."""
    revision = annotations_of(manifest).get(REVISION_ANNOTATION, "")
    return int(revision) if revision.isascii() and revision.isdigit() else 0


def created_at(manifest: Manifest) -> float | None:
    """Return when an object was created, seconds since the epoch; None when it does not say."""
    return time_of(text(manifest, "metadata", "creationTimestamp"))


def time_of(timestamp: str) -> float | None:
    """Return an RFC 3339 time as seconds since the epoch, None when it is none."""
    try:
        return parse_time(timestamp)
    except ValueError:
        return None


def by_creation(manifest: Manifest) -> tuple[float, str]:
    """Sort key: oldest first, then by name."""
    return created_at(manifest) or 0.0, name_of(manifest)
