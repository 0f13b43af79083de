"""CustomResourceDefinitions of the five kinds, from their models (rollout-api 1).

pydantic's JSON Schema is not accepted by Kubernetes as it is: references must be
inlined, null is not a type, and a node that is open says so with an extension.
`structural` makes that step. Pod templates and job specs are raw JSON in the
models; their schema comes from the API server's own and is stored beside this
module (`data/pod-schemas.json`).

Field annotations of the models may hold markers of ours in their schema:
`x-headrace-schema` names a stored schema, `x-headrace-default` is a default that
the server sets, `x-headrace-required` makes a field required by the server only.
Defaults of pydantic never become defaults of the server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from headrace.model.analysis import AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate
from headrace.model.base import REQUIRED, Resource
from headrace.model.experiment import Experiment
from headrace.model.rollout import Rollout

GROUP: Final = "argoproj.io"
VERSION: Final = "v1alpha1"

_CITATION: Final = re.compile(r" \((?:rollout-api|canary|bluegreen|analysis|experiment)[^)]*\)")
_KEPT: Final = (
    "type",
    "format",
    "pattern",
    "enum",
    "x-kubernetes-int-or-string",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
)
_DROPPED: Final = frozenset({"title", "default", REQUIRED})
_HANDLED: Final = frozenset(
    {"$ref", "anyOf", "description", "properties", "items", "additionalProperties", "required"}
    | {"x-headrace-schema", "x-headrace-default"}
)

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that `kubectl get` prints."""

    name: str
    type: str
    json_path: str
    description: str


@dataclass(frozen=True, slots=True)
class Definition:
    """What a CustomResourceDefinition says besides its schema."""

    model: type[Resource]
    plural: str
    short_name: str
    columns: tuple[Column, ...]
    scope: str = "Namespaced"
    subresources: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


_AGE: Final = Column(
    "Age", "date", ".metadata.creationTimestamp", "Time since the object was created"
)
_STATUS: Final = Column("Status", "string", ".status.phase", "Phase of the object")

DEFINITIONS: Final = (
    Definition(
        Rollout,
        "rollouts",
        "ro",
        (
            Column("Desired", "integer", ".spec.replicas", "Pods wanted"),
            Column("Current", "integer", ".status.replicas", "Pods of all revisions"),
            Column("Up-to-date", "integer", ".status.updatedReplicas", "Pods of the new revision"),
            Column(
                "Available",
                "integer",
                ".status.availableReplicas",
                "Pods ready for at least minReadySeconds",
            ),
            _AGE,
        ),
        subresources={
            "scale": {
                "labelSelectorPath": ".status.selector",
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.HPAReplicas",
            },
            "status": {},
        },
    ),
    Definition(AnalysisTemplate, "analysistemplates", "at", (_AGE,)),
    Definition(
        ClusterAnalysisTemplate, "clusteranalysistemplates", "cat", (_AGE,), scope="Cluster"
    ),
    Definition(AnalysisRun, "analysisruns", "ar", (_STATUS, _AGE)),
    Definition(Experiment, "experiments", "exp", (_STATUS, _AGE)),
)


def custom_resource_definition(definition: Definition) -> dict[str, Any]:
    """Return the CustomResourceDefinition manifest of one kind."""
    kind = definition.model.KIND
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            {
                "name": column.name,
                "type": column.type,
                "jsonPath": column.json_path,
                "description": column.description,
            }
            for column in definition.columns
        ],
        "schema": {"openAPIV3Schema": _top_level(definition.model)},
        "subresources": dict(definition.subresources or {}),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": definition.name},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": definition.plural,
                "singular": kind.lower(),
                "shortNames": [definition.short_name],
            },
            "scope": definition.scope,
            "versions": [version],
        },
    }


@cache
def schema_of(kind: str) -> Schema:
    """Return the structural schema of one of the five kinds."""
    return _top_level(next(each.model for each in DEFINITIONS if kind == each.model.KIND))


def structural(schema: Schema, definitions: Mapping[str, Schema]) -> dict[str, Any]:
    """Return a schema as Kubernetes accepts it: self-contained, without unions.

    Args:
        schema: A JSON Schema as pydantic makes it.
        definitions: What its references name.

    Raises:
        ValueError: The schema says something that a structural schema cannot.
    """
    schema = _resolve(schema, definitions)
    unknown = schema.keys() - set(_KEPT) - _DROPPED - _HANDLED
    if unknown:
        raise ValueError(f"not in a structural schema: {', '.join(sorted(unknown))}")
    result = {key: schema[key] for key in _KEPT if key in schema}
    if description := schema.get("description"):
        result["description"] = _CITATION.sub("", description.split("\n\n")[0]).replace("\n", " ")
    if "x-headrace-default" in schema:
        result["default"] = schema["x-headrace-default"]
    if required := _required(schema):
        result["required"] = sorted(required)
    if "items" in schema:
        result["items"] = structural(schema["items"], definitions)
    if properties := schema.get("properties"):
        result["properties"] = {
            name: structural(properties[name], definitions) for name in sorted(properties)
        }
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping):
        result["additionalProperties"] = structural(extra, definitions)
    return result


def _required(schema: Schema) -> list[str]:
    marked = [name for name, child in schema.get("properties", {}).items() if REQUIRED in child]
    return [*schema.get("required", ()), *marked]


def _resolve(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return the schema with its reference, its stored schema or its only alternative put in."""
    while True:
        if reference := schema.get("$ref"):
            target = definitions[reference.rpartition("/")[2]]
        elif name := schema.get("x-headrace-schema"):
            return structural(*_pod_schema(name))
        elif alternatives := schema.get("anyOf"):
            target = _only_alternative(alternatives)
        else:
            return schema
        rest = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
        schema = {**target, **rest}


def _only_alternative(alternatives: list[Schema]) -> Schema:
    """Return what an optional field may be; absent is all that null means in a model."""
    others = [schema for schema in alternatives if schema != {"type": "null"}]
    if len(others) != 1:
        raise ValueError(f"a union is no structural schema: {others}")
    return others[0]


def _top_level(model: type[Resource]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, mode="validation")
    definitions = schema.pop("$defs", {})
    properties = {**schema["properties"]}
    properties["apiVersion"] = properties["kind"] = {"type": "string"}
    properties["metadata"] = {"type": "object"}
    return structural({**schema, "properties": properties}, definitions)


@cache
def _stored_schemas() -> dict[str, dict[str, Any]]:
    text = files("headrace.model").joinpath("data/pod-schemas.json").read_text("utf-8")
    schemas: dict[str, dict[str, Any]] = json.loads(text)
    return schemas


def _pod_schema(name: str) -> tuple[Schema, Mapping[str, Schema]]:
    schemas = _stored_schemas()
    return schemas[name], schemas
