from __future__ import annotations

from typing import Any

import pytest

from headrace_gen.pod_schemas import trim

CORE = "#/components/schemas/io.k8s.api.core.v1."
META = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1."


def document(**schemas: dict[str, Any]) -> dict[str, Any]:
    named = {f"io.k8s.api.core.v1.{name}": schema for name, schema in schemas.items()}
    return {"components": {"schemas": named}}


def apps(**properties: dict[str, Any]) -> list[dict[str, Any]]:
    template = {"type": "object", "properties": properties}
    return [document(PodTemplateSpec=template), document(JobSpec={"type": "object"})]


def test_only_what_is_reached_is_kept_by_its_short_name() -> None:
    documents = apps(spec={"allOf": [{"$ref": f"{CORE}PodSpec"}], "default": {}})
    documents.append(document(PodSpec={"type": "object"}, Node={"type": "object"}))
    schemas = trim(documents)
    assert set(schemas) == {"PodTemplateSpec", "PodSpec", "JobSpec"}
    assert schemas["PodTemplateSpec"]["properties"] == {"spec": {"$ref": "#/PodSpec"}}


def test_nothing_that_refuses_or_changes_a_value_is_kept() -> None:
    port = {
        "type": "object",
        "description": "A port.",
        "required": ["containerPort"],
        "properties": {
            "containerPort": {"type": "integer", "format": "int32", "default": 0},
            "protocol": {"type": "string", "enum": ["TCP"], "default": "TCP"},
        },
    }
    ports = {"type": "array", "items": port, "x-kubernetes-list-type": "map"}
    assert trim(apps(ports=ports))["PodTemplateSpec"]["properties"]["ports"] == {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "containerPort": {"type": "integer", "format": "int32"},
                "protocol": {"type": "string"},
            },
        },
    }


def test_metadata_is_open_and_quantities_are_checked_by_a_pattern() -> None:
    schemas = trim(
        apps(
            metadata={"$ref": f"{META}ObjectMeta"},
            limits={
                "type": "object",
                "additionalProperties": {"$ref": "#/io.k8s.apimachinery.pkg.api.resource.Quantity"},
            },
        )
    )
    assert schemas["ObjectMeta"]["x-kubernetes-preserve-unknown-fields"] is True
    assert schemas["Quantity"]["x-kubernetes-int-or-string"] is True
    assert "pattern" in schemas["Quantity"]


def test_what_the_reference_leaves_open_is_open() -> None:
    volumes = {"type": "array", "items": {"$ref": f"{CORE}Volume"}}
    documents = apps(spec={"$ref": f"{CORE}PodSpec"})
    pod_spec = {
        "type": "object",
        "properties": {"volumes": volumes, "hostIPC": {"type": "boolean"}},
    }
    documents.append(document(PodSpec=pod_spec, Volume={"type": "object"}))
    schemas = trim(documents)
    assert schemas["PodSpec"]["properties"] == {
        "hostIPC": {"type": "boolean"},
        "volumes": {"x-kubernetes-preserve-unknown-fields": True},
    }
    assert "Volume" not in schemas


def test_a_schema_that_says_no_type_is_refused() -> None:
    with pytest.raises(ValueError, match="without type"):
        trim(apps(spec={"oneOf": []}))
