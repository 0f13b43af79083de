"""The CRDs: no drift from the models, and exactly the structure of rollout-api 1."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.model.crds import DEFINITIONS, custom_resource_definition
from headrace_gen import crds
from headrace_gen.__main__ import main

MANIFESTS = Path(__file__).parent / "manifests"
POD_TEMPLATES = ("template", "job.spec")
INT_OR_STRING = "x-kubernetes-int-or-string"
OPEN = "x-kubernetes-preserve-unknown-fields"
# What `kubectl apply` puts into its annotation must stay below the limit of annotations.
SIZE_BYTES_MAX = 262_144


def schema_of(kind: str) -> dict[str, Any]:
    definition = next(d for d in DEFINITIONS if kind == d.model.KIND)
    manifest = custom_resource_definition(definition)
    schema: dict[str, Any] = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every node with its path; raw pod and job templates are one node each."""
    yield path, schema
    if path.endswith(POD_TEMPLATES):
        return
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


def paths_with(kind: str, key: str) -> list[str]:
    return [path for path, node in nodes(schema_of(kind)) if key in node]


def manifests() -> Iterator[dict[str, Any]]:
    for path in sorted(MANIFESTS.glob("*.yaml")):
        manifest = yaml.safe_load(path.read_text("utf-8"))
        yield from manifest["items"] if manifest["kind"] == "List" else [manifest]


def test_the_files_are_what_the_models_say() -> None:
    assert main(["crds", "--check"]) == 0


def test_every_generated_file_is_valid_yaml_and_small_enough_to_apply() -> None:
    for text in crds.render().values():
        assert len(json.dumps(yaml.load(text, yaml.CSafeLoader))) < SIZE_BYTES_MAX


@pytest.mark.parametrize(
    ("kind", "plural", "short_name", "scope", "columns"),
    [
        (
            "Rollout",
            "rollouts",
            "ro",
            "Namespaced",
            ["Desired", "Current", "Up-to-date", "Available", "Age"],
        ),
        ("AnalysisTemplate", "analysistemplates", "at", "Namespaced", ["Age"]),
        ("ClusterAnalysisTemplate", "clusteranalysistemplates", "cat", "Cluster", ["Age"]),
        ("AnalysisRun", "analysisruns", "ar", "Namespaced", ["Status", "Age"]),
        ("Experiment", "experiments", "exp", "Namespaced", ["Status", "Age"]),
    ],
)
@pytest.mark.spec("rollout-api 1")
def test_names_scope_and_columns(
    kind: str, plural: str, short_name: str, scope: str, columns: list[str]
) -> None:
    definition = next(d for d in DEFINITIONS if kind == d.model.KIND)
    manifest = custom_resource_definition(definition)
    spec = manifest["spec"]
    assert manifest["metadata"]["name"] == f"{plural}.argoproj.io"
    assert (spec["names"]["plural"], spec["names"]["shortNames"]) == (plural, [short_name])
    assert spec["names"]["listKind"] == f"{kind}List"
    assert spec["scope"] == scope
    version = spec["versions"][0]
    assert [column["name"] for column in version["additionalPrinterColumns"]] == columns


@pytest.mark.spec("rollout-api 1")
def test_only_a_rollout_has_subresources() -> None:
    by_kind = {
        definition.model.KIND: custom_resource_definition(definition)["spec"]["versions"][0][
            "subresources"
        ]
        for definition in DEFINITIONS
    }
    rollout = by_kind.pop("Rollout")
    assert rollout == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.HPAReplicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    assert all(subresources == {} for subresources in by_kind.values())


def test_a_rollout_has_the_open_nodes_of_the_api_and_our_own() -> None:
    assert paths_with("Rollout", OPEN) == [
        "spec.strategy.canary.steps[].plugin.config",
        "spec.strategy.canary.trafficRouting.plugins",
        "status.canary.stepPluginStatuses[].status",
        "status.headrace",
    ]


def test_a_rollout_has_the_int_or_string_nodes_of_the_api() -> None:
    assert paths_with("Rollout", INT_OR_STRING) == [
        "spec.strategy.blueGreen.maxUnavailable",
        "spec.strategy.canary.maxSurge",
        "spec.strategy.canary.maxUnavailable",
        "spec.strategy.canary.steps[].pause.duration",
    ]


def test_the_only_rule_is_that_the_selector_does_not_change() -> None:
    found = {
        (definition.model.KIND, path): node["x-kubernetes-validations"]
        for definition in DEFINITIONS
        for path, node in nodes(schema_of(definition.model.KIND))
        if "x-kubernetes-validations" in node
    }
    rule = {"rule": "self == oldSelf", "message": ".spec.selector is immutable"}
    assert found == {("Rollout", "spec.selector"): [rule]}


def test_only_datadog_has_defaults() -> None:
    defaults = {
        (definition.model.KIND, path.rpartition(".metrics[].")[2]): node["default"]
        for definition in DEFINITIONS
        for path, node in nodes(schema_of(definition.model.KIND))
        if "default" in node
    }
    datadog = {
        "provider.datadog.apiVersion": "v1",
        "provider.datadog.interval": "5m",
        "provider.datadog.requestTimeout": "10s",
    }
    assert defaults == {
        (kind, path): value
        for kind in ("AnalysisTemplate", "ClusterAnalysisTemplate", "AnalysisRun")
        for path, value in datadog.items()
    }


@pytest.mark.spec("rollout-api 2")
@pytest.mark.spec("rollout-api 2.1")
@pytest.mark.spec("rollout-api 2.2")
def test_a_rollout_requires_what_the_api_requires_and_nothing_else() -> None:
    required = {
        path: node["required"] for path, node in nodes(schema_of("Rollout")) if "required" in node
    }
    strategy = "spec.strategy"
    canary = f"{strategy}.canary"
    routing = f"{canary}.trafficRouting"
    steps = f"{canary}.steps[]"
    expected: dict[str, list[str]] = {
        "": ["spec"],
        "spec.selector.matchExpressions[]": ["key", "operator"],
        f"{strategy}.blueGreen": ["activeService"],
        f"{canary}.pingPong": ["pingService", "pongService"],
        f"{canary}.replicaProgressThreshold": ["type", "value"],
        f"{steps}.experiment": ["templates"],
        f"{steps}.experiment.templates[]": ["name", "specRef"],
        f"{steps}.experiment.templates[].selector.matchExpressions[]": ["key", "operator"],
        f"{steps}.experiment.analyses[]": ["name", "templateName"],
        f"{steps}.experiment.dryRun[]": ["metricName"],
        f"{steps}.plugin": ["name"],
        f"{steps}.setHeaderRoute.match[]": ["headerName", "headerValue"],
        f"{steps}.setMirrorRoute": ["name"],
        f"{routing}.alb": ["servicePort"],
        f"{routing}.alb.stickinessConfig": ["durationSeconds", "enabled"],
        f"{routing}.ambassador": ["mappings"],
        f"{routing}.apisix.route": ["name"],
        f"{routing}.appMesh.virtualService": ["name"],
        f"{routing}.appMesh.virtualNodeGroup": ["canaryVirtualNodeRef", "stableVirtualNodeRef"],
        f"{routing}.appMesh.virtualNodeGroup.canaryVirtualNodeRef": ["name"],
        f"{routing}.appMesh.virtualNodeGroup.stableVirtualNodeRef": ["name"],
        f"{routing}.istio.destinationRule": ["canarySubsetName", "name", "stableSubsetName"],
        f"{routing}.istio.virtualService": ["name"],
        f"{routing}.istio.virtualServices[]": ["name"],
        f"{routing}.managedRoutes[]": ["name"],
        f"{routing}.traefik": ["weightedTraefikServiceName"],
        "status.conditions[]": [
            "lastTransitionTime",
            "lastUpdateTime",
            "message",
            "reason",
            "status",
            "type",
        ],
        "status.pauseConditions[]": ["reason", "startTime"],
        "status.canary.weights": ["canary", "stable"],
        "status.canary.weights.canary": ["weight"],
        "status.canary.weights.stable": ["weight"],
        "status.canary.weights.additional[]": ["weight"],
        "status.canary.stepPluginStatuses[]": ["index", "name", "operation"],
        "status.canary.currentStepAnalysisRunStatus": ["name", "status"],
        "status.canary.currentBackgroundAnalysisRunStatus": ["name", "status"],
        "status.blueGreen.prePromotionAnalysisRunStatus": ["name", "status"],
        "status.blueGreen.postPromotionAnalysisRunStatus": ["name", "status"],
    }
    for strategy_path in (f"{strategy}.blueGreen", canary):
        preferred = "antiAffinity.preferredDuringSchedulingIgnoredDuringExecution"
        expected[f"{strategy_path}.{preferred}"] = ["weight"]
    for analysis in (
        f"{strategy}.blueGreen.prePromotionAnalysis",
        f"{strategy}.blueGreen.postPromotionAnalysis",
        f"{canary}.analysis",
        f"{steps}.analysis",
        f"{steps}.experiment.analyses[]",
    ):
        expected[f"{analysis}.args[]"] = ["name"]
        expected[f"{analysis}.args[].valueFrom.fieldRef"] = ["fieldPath"]
        if not analysis.endswith("[]"):
            expected[f"{analysis}.dryRun[]"] = ["metricName"]
            expected[f"{analysis}.measurementRetention[]"] = ["limit", "metricName"]
    for alb in ("status.alb", "status.albs[]"):
        for resource in ("loadBalancer", "canaryTargetGroup", "stableTargetGroup"):
            expected[f"{alb}.{resource}"] = ["arn", "name"]
    assert required == expected


def test_pod_templates_require_default_and_enumerate_nothing() -> None:
    schema = schema_of("Rollout")["properties"]["spec"]["properties"]["template"]
    keys: set[str] = set()

    def collect(node: dict[str, Any]) -> None:
        keys.update(node)
        for child in node.get("properties", {}).values():
            collect(child)
        for key in ("items", "additionalProperties"):
            if key in node:
                collect(node[key])

    collect(schema)
    assert keys == {
        "type",
        "format",
        "pattern",
        "properties",
        "items",
        "additionalProperties",
        INT_OR_STRING,
        OPEN,
    }


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.model.KIND)
def test_the_rich_manifests_set_every_field(definition: Any) -> None:
    def seen(value: Any, path: str) -> Iterator[str]:
        yield path
        if isinstance(value, dict):
            for name, child in value.items():
                yield from seen(child, f"{path}.{name}" if path else name)
                yield from seen(child, f"{path}{{}}")
        if isinstance(value, list):
            for child in value:
                yield from seen(child, f"{path}[]")

    kind = definition.model.KIND
    found = {path for m in manifests() if m["kind"] == kind for path in seen(m, "")}
    assert {path for path, _ in nodes(schema_of(kind))} - found == set()


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.model.KIND)
@pytest.mark.spec("rollout-api 2")
@pytest.mark.spec("rollout-api 2.1")
@pytest.mark.spec("rollout-api 2.2")
@pytest.mark.spec("rollout-api 3")
@pytest.mark.spec("experiment 1")
def test_the_models_lose_nothing_of_a_rich_manifest(definition: Any) -> None:
    for manifest in manifests():
        if manifest["kind"] == definition.model.KIND:
            assert definition.model.load(manifest).dump() == manifest


def test_the_stored_schema_has_every_field_that_hashes_know() -> None:
    # Otherwise the API server would drop a field that the reference keeps.
    package = Path(__file__).parents[2] / "shared" / "headrace"
    fields = json.loads((package / "kubernetes/data/pod-template-fields.json").read_bytes())
    schemas = json.loads((package / "model/data/pod-schemas.json").read_bytes())
    # Metadata and volumes are open, so nothing of them can be lost.
    lost = set(fields) - set(schemas) - {"OwnerReference", "ManagedFieldsEntry"}
    assert lost <= below("Volume", fields)
    for name, rows in fields.items():
        if name in schemas and name != "ObjectMeta":
            assert {row[0] for row in rows} - schemas[name]["properties"].keys() == set()


def below(name: str, fields: dict[str, list[list[str]]]) -> set[str]:
    """The structs that a struct is made of, itself among them."""
    kinds = (row[1].lstrip("*[]{}") for row in fields[name])
    return {name}.union(*(below(kind, fields) for kind in kinds if kind in fields))


@pytest.mark.spec("rollout-api 1")
def test_limits_requests_and_volumes_are_open_as_in_the_reference() -> None:
    """`cpu: 0.5` is a number that no int-or-string admits, and users write it."""
    spec = schema_of("Rollout")["properties"]["spec"]["properties"]["template"]["properties"][
        "spec"
    ]["properties"]
    resources = spec["containers"]["items"]["properties"]["resources"]["properties"]
    assert resources["limits"] == resources["requests"] == spec["volumes"] == {OPEN: True}
