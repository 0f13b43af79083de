"""The CRDs on the real API server: what is created comes back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.kubernetes.canonical import typed_view
from headrace.kubernetes.defaults import with_defaults
from headrace.kubernetes.templates import find_new_replica_set
from headrace_lab.api import ApiClient
from headrace_lab.errors import ApiError, NotRunning
from headrace_lab.install import install_crds, load
from headrace_lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "tests" / "golden" / "manifests"
NAMESPACE = "headrace-crds"
PLURALS = {
    "Rollout": "rollouts",
    "AnalysisTemplate": "analysistemplates",
    "ClusterAnalysisTemplate": "clusteranalysistemplates",
    "AnalysisRun": "analysisruns",
    "Experiment": "experiments",
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiClient]:
    """A client of the lab that runs, or else of one with an API server only."""
    own = None
    try:
        lab = Lab.attach()
    except NotRunning:
        lab = own = Lab.start(tmp_path_factory.mktemp("lab"), parts=("apiserver",))
    client = lab.api()
    install_crds(client, load((ROOT / "deploy" / "crds").glob("*.yaml")))
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield client
    delete(client, f"/api/v1/namespaces/{NAMESPACE}")
    if own is not None:
        own.stop()


def collection(kind: str) -> str:
    root = "/apis/argoproj.io/v1alpha1"
    scope = "" if kind.startswith("Cluster") else f"/namespaces/{NAMESPACE}"
    return f"{root}{scope}/{PLURALS[kind]}"


def delete(api: ApiClient, path: str) -> None:
    try:
        api.request("DELETE", path)
    except ApiError as error:
        if error.status != 404:
            raise


def create(api: ApiClient, manifest: dict[str, Any]) -> str:
    """Create an object anew, refusing unknown fields, and return its path."""
    path = f"{collection(manifest['kind'])}/{manifest['metadata']['name']}"
    delete(api, path)
    api.request("POST", f"{collection(manifest['kind'])}?fieldValidation=Strict", manifest)
    return path


def rich_manifests() -> list[dict[str, Any]]:
    return [m for m in load(MANIFESTS.glob("*.yaml")) if m["kind"] in PLURALS]


def minimal(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "minimal"},
        "spec": spec,
    }


def refusal(api: ApiClient, manifest: dict[str, Any]) -> str:
    with pytest.raises(ApiError) as raised:
        create(api, manifest)
    assert raised.value.status == 422
    return str(raised.value)


@pytest.mark.parametrize(
    "manifest", rich_manifests(), ids=lambda m: f"{m['kind']}-{m['metadata']['name']}"
)
def test_a_manifest_comes_back_unchanged(api: ApiClient, manifest: dict[str, Any]) -> None:
    path = create(api, manifest)
    if manifest["kind"] == "Rollout" and "status" in manifest:
        api.request(
            "PATCH",
            f"{path}/status",
            {"status": manifest["status"]},
            content_type="application/merge-patch+json",
        )
    stored = api.get(path)
    assert stored["spec"] == manifest["spec"]
    # A merge patch cannot carry null; everything else of the status must be there.
    assert without_nulls(stored.get("status")) == without_nulls(manifest.get("status"))
    for key, value in manifest["metadata"].items():
        assert stored["metadata"][key] == value
    delete(api, path)


def without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {k: without_nulls(v) for k, v in value.items() if v is not None}
        case list():
            return [without_nulls(item) for item in value]
        case _:
            return value


def test_nothing_but_a_spec_is_required(api: ApiClient) -> None:
    assert "spec: Required value" in refusal(
        api, {key: value for key, value in minimal().items() if key != "spec"}
    )
    assert api.get(create(api, minimal()))["spec"] == {}


def test_an_unknown_field_is_told(api: ApiClient) -> None:
    with pytest.raises(ApiError, match="unknown field"):
        create(api, minimal(template={"spec": {"contaners": []}}))


def test_the_selector_cannot_change(api: ApiClient) -> None:
    path = create(api, minimal(selector={"matchLabels": {"a": "b"}}))
    patch = {"spec": {"selector": {"matchLabels": {"a": "c"}}}}
    with pytest.raises(ApiError, match=r"\.spec\.selector is immutable"):
        api.request("PATCH", path, patch, content_type="application/merge-patch+json")


def test_a_number_is_no_fraction(api: ApiClient) -> None:
    assert "spec.replicas" in refusal(api, minimal(replicas="3"))
    assert "maxSurge" in refusal(api, minimal(strategy={"canary": {"maxSurge": 1.5}}))


def test_the_scale_subresource_serves_an_autoscaler(api: ApiClient) -> None:
    path = create(api, minimal(replicas=3))
    merge = "application/merge-patch+json"
    status = {"HPAReplicas": 2, "replicas": 9, "selector": "app=web"}
    api.request("PATCH", f"{path}/status", {"status": status}, content_type=merge)
    scale = api.get(f"{path}/scale")
    assert scale["spec"]["replicas"] == 3
    assert scale["status"] == {"replicas": 2, "selector": "app=web"}
    api.request("PATCH", f"{path}/scale", {"spec": {"replicas": 5}}, content_type=merge)
    assert api.get(path)["spec"]["replicas"] == 5


def test_only_datadog_gets_defaults(api: ApiClient) -> None:
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "datadog"},
        "spec": {"metrics": [{"name": "a", "provider": {"datadog": {"query": "q"}}}]},
    }
    metric = api.get(create(api, manifest))["spec"]["metrics"][0]
    defaults = {"apiVersion": "v1", "interval": "5m", "requestTimeout": "10s"}
    assert metric["provider"]["datadog"] == {**defaults, "query": "q"}


def test_a_live_replica_set_is_recognised_by_its_content(api: ApiClient) -> None:
    manifest = yaml.safe_load((MANIFESTS / "replica-set.yaml").read_text("utf-8"))
    manifest["metadata"]["namespace"] = NAMESPACE
    template = manifest["spec"]["template"]
    replica_sets = f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets"
    delete(api, f"{replica_sets}/everything")
    live = api.request("POST", replica_sets, manifest)
    assert live is not None
    assert with_defaults(template) == typed_view(live["spec"]["template"])
    assert find_new_replica_set([live], template) == live
    other = {**template, "spec": {**template["spec"], "dnsPolicy": "Default"}}
    assert find_new_replica_set([live], other) is None
