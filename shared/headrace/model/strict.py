"""What a strict decoder refuses: fields that a kind does not have, and values of other types.

Source: cli-and-clients 2.6, 5.
"""

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


_INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_ANYTHING: Final[Schema] = {_OPEN: True}
_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}
_METADATA_SCHEMA: Final[Schema] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
}


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


def mistyped_field(kind: str, manifest: Mapping[str, Any]) -> str | None:
    """Return where the first value has another type than its field, and which; None if nowhere."""
    schema = schema_of(kind)
    typed = {**schema, "properties": {**schema["properties"], "metadata": _METADATA_SCHEMA}}
    return next(_mistyped(typed, manifest, ""), None)


def _mistyped(schema: Schema, value: object, path: str) -> Iterator[str]:
    if value is None or ("type" not in schema and schema.get(_OPEN)):
        return
    wanted = "int-or-string" if schema.get(_INT_OR_STRING) else schema["type"]
    if not _is_of(wanted, value):
        yield f"{_json_type(value)} into {path} of type {wanted}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _mistyped(schema.get("items", _ANYTHING), item, f"{path}[{index}]")
    elif isinstance(value, dict):
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
        for name in sorted(value, key=str):
            child = properties.get(name, extra) or _ANYTHING
            yield from _mistyped(child, value[name], f"{path}.{name}" if path else str(name))


def _is_of(wanted: str, value: object) -> bool:
    is_whole = isinstance(value, float) and value.is_integer()
    match wanted:
        case "integer":
            return is_whole or (_json_type(value) == "number" and isinstance(value, int))
        case "int-or-string":
            return is_whole or (isinstance(value, int | str) and not isinstance(value, bool))
        case _:
            return _json_type(value) == wanted


def _json_type(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
