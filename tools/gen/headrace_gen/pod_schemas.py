"""Trims the API server's OpenAPI document to the schema of pod templates and jobs.

The result is what a CustomResourceDefinition needs, and admits all that the
server admits in a ReplicaSet or a Job: no required field, no default, no enum and
no list type, since the server itself is more lenient than its document; bad
values are for the validation to report. Metadata is left open, and what users of
Argo Rollouts may write as they like (`cpu: 0.5`, fields of volumes that no version
of Kubernetes knows).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

ROOTS: Final = ("PodTemplateSpec", "JobSpec")

_QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
_STRINGS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_OVERRIDES: Final[Mapping[str, dict[str, Any]]] = {
    "Quantity": {"x-kubernetes-int-or-string": True, "pattern": _QUANTITY_PATTERN},
    "IntOrString": {"x-kubernetes-int-or-string": True},
    "Time": {"type": "string", "format": "date-time"},
    "ObjectMeta": {
        "type": "object",
        "properties": {"annotations": _STRINGS, "labels": _STRINGS},
        "x-kubernetes-preserve-unknown-fields": True,
    },
}

_ANYTHING: Final = {"x-kubernetes-preserve-unknown-fields": True}
_OPEN: Final[Mapping[str, tuple[str, ...]]] = {
    "PodSpec": ("volumes",),
    "ResourceRequirements": ("limits", "requests"),
}
"""Fields of schemas that the CRDs of Argo Rollouts leave open: what these admit must come in."""


def trim(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the schemas that `ROOTS` need, by short name.

    Args:
        documents: The OpenAPI v3 documents of `apis/apps/v1` and `apis/batch/v1`.

    Raises:
        ValueError: A schema uses what this module does not know.
    """
    sources = {
        name.rpartition(".")[2]: schema
        for document in documents
        for name, schema in document["components"]["schemas"].items()
    }
    schemas: dict[str, Any] = {}
    wanted = list(ROOTS)
    while wanted:
        name = wanted.pop()
        if name not in schemas:
            schemas[name] = _OVERRIDES.get(name) or _opened(name, sources[name], wanted)
    return dict(sorted(schemas.items()))


def _opened(name: str, schema: Mapping[str, Any], wanted: list[str]) -> dict[str, Any]:
    """Return a schema of the document, with its open fields."""
    opened = {key: _ANYTHING for key in _OPEN.get(name, ()) if key in schema.get("properties", ())}
    if not opened:
        return _node(schema, wanted)
    closed = {key: value for key, value in schema["properties"].items() if key not in opened}
    result = _node({**schema, "properties": closed}, wanted)
    return {**result, "properties": dict(sorted({**result["properties"], **opened}.items()))}


def _node(schema: Mapping[str, Any], wanted: list[str]) -> dict[str, Any]:
    references = [schema, *schema.get("allOf", [])]
    for reference in references:
        if "$ref" in reference:
            name = reference["$ref"].rpartition(".")[2]
            wanted.append(name)
            return {"$ref": f"#/{name}"}
    if "type" not in schema:
        raise ValueError(f"a schema without type: {schema}")
    result = {key: schema[key] for key in ("type", "format") if key in schema}
    if "items" in schema:
        result["items"] = _node(schema["items"], wanted)
    if "additionalProperties" in schema:
        result["additionalProperties"] = _node(schema["additionalProperties"], wanted)
    if "properties" in schema:
        properties = schema["properties"]
        result["properties"] = {
            name: _node(properties[name], wanted) for name in sorted(properties)
        }
    return result
