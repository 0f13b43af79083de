"""Fields that a kind does not have, as a strict decoder refuses them (cli-and-clients 2.6, 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from headrace.kubernetes.canonical import unknown_names
from headrace.model.crds import Schema, schema_of

_METADATA: Final = frozenset(
    (
        *("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"),
        *("generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
        *("labels", "annotations", "ownerReferences", "finalizers", "managedFields"),
    )
)
"""Fields of the metadata of every object, which no CRD lists."""


_OPEN: Final = "x-kubernetes-preserve-unknown-fields"
_VOLUMES: Final = "volumes"
"""Open in the CRDs, though Kubernetes knows what a volume has."""


def unknown_field(kind: str, manifest: Mapping[str, Any]) -> str | None:
    """Return the name of the first field that a kind does not have, in the order of the names."""
    strangers = sorted(
        str(name) for name in manifest.get("metadata") or {} if name not in _METADATA
    )
    return strangers[0] if strangers else next(_unknown(schema_of(kind), manifest), None)


def _unknown(schema: Schema, value: object) -> Iterator[str]:
    if schema.get(_OPEN):
        return
    if isinstance(value, list):
        for item in value:
            yield from _unknown(schema.get("items", {}), item)
    properties, extra = schema.get("properties"), schema.get("additionalProperties")
    if not isinstance(value, dict) or (properties is None and extra is None):
        return
    for name in sorted(value, key=str):
        child = (properties or {}).get(name, extra)
        if child is None:
            yield str(name)
        elif name == _VOLUMES and _OPEN in child:
            yield from unknown_names(value[name], "[]Volume")
        else:
            yield from _unknown(child, value[name])
