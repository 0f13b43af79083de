"""What a fresh API server of the lab gets: CRDs, the namespace, and the roles of the services."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Final

import yaml

from headrace_lab.api import ApiClient, Manifest
from headrace_lab.credentials import NAMESPACE
from headrace_lab.errors import ApiError, LabError

CRD_KIND: Final = "CustomResourceDefinition"
CRD_PATH: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
DIGEST: Final = "lab.headrace.io/digest"
ROLE_KINDS: Final = (
    "Namespace",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
)
ESTABLISHED_SECONDS: Final = 30.0
# The CRDs are megabytes of YAML; the loader in Python takes seconds for them.
YAML_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
READ_VERBS: Final = ["get", "list", "watch"]
VIEWER: Final[tuple[Manifest, ...]] = (
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "headrace-lab-viewer"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": READ_VERBS}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "headrace-lab-viewer"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "headrace-lab-viewer",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "viewer"}],
    },
)


def install(api: ApiClient, *, project: Path | None, gateway_api: Path) -> None:
    """Install everything; repeating it does nothing.

    Args:
        api: As administrator.
        project: The repository, for `deploy/crds` and `deploy/base`; None leaves these out.
        gateway_api: Folder with the Gateway API's CRDs.
    """
    crds = list(_lab_crds())
    crds += load(gateway_api.glob("*.yaml"))
    if project is not None:
        crds += load((project / "deploy" / "crds").glob("*.yaml"))
    install_crds(api, crds)
    for manifest in (*VIEWER, *namespaced(roles(project) if project is not None else [])):
        api.apply(manifest)


def install_crds(api: ApiClient, manifests: Iterable[Manifest]) -> None:
    """Apply CRDs and wait until the API server serves them."""
    crds = [manifest for manifest in manifests if manifest["kind"] == CRD_KIND]
    for manifest in crds:
        _put_crd(api, manifest)
    names = [manifest["metadata"]["name"] for manifest in crds]
    deadline = time.monotonic() + ESTABLISHED_SECONDS
    for name in names:
        while not _is_established(api, name):
            if time.monotonic() >= deadline:
                raise LabError(f"the CRD {name} was not served within {ESTABLISHED_SECONDS:.0f} s")
            time.sleep(0.05)


def _put_crd(api: ApiClient, manifest: Manifest) -> None:
    """Create or replace a CRD, unless the same one is there.

    Server-side apply would do it, but takes the API server half a second for a large schema.
    """
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), DIGEST: digest}
    body = {**manifest, "metadata": {**metadata, "annotations": annotations}}
    body.pop("status", None)
    try:
        api.request("POST", CRD_PATH, body)
    except ApiError as error:
        if error.status != 409:
            raise
        found = api.get(f"{CRD_PATH}/{metadata['name']}")["metadata"]
        if found.get("annotations", {}).get(DIGEST) != digest:
            body["metadata"]["resourceVersion"] = found["resourceVersion"]
            api.request("PUT", f"{CRD_PATH}/{metadata['name']}", body)


def roles(project: Path) -> list[Manifest]:
    """Return what `deploy/base` says about who may do what, and nothing that would run there."""
    found = load((project / "deploy" / "base").rglob("*.yaml"))
    manifests = [manifest for manifest in found if manifest["kind"] in ROLE_KINDS]
    return sorted(manifests, key=lambda manifest: ROLE_KINDS.index(manifest["kind"]))


def namespaced(manifests: Iterable[Manifest]) -> Iterator[Manifest]:
    """Yield the namespace of the services, and manifests with it, as kustomize would put it."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    for manifest in manifests:
        if manifest["kind"] in ("ServiceAccount", "Role", "RoleBinding"):
            manifest["metadata"].setdefault("namespace", NAMESPACE)
        for subject in manifest.get("subjects", []):
            if subject["kind"] == "ServiceAccount":
                subject.setdefault("namespace", NAMESPACE)
        yield manifest


def load(paths: Iterable[Path]) -> list[Manifest]:
    """Return all manifests of some files, lists unfolded."""
    manifests: list[Manifest] = []
    for path in sorted(paths):
        for document in yaml.load_all(path.read_text(), YAML_LOADER):
            if not isinstance(document, dict) or "kind" not in document:
                continue
            manifests += document["items"] if document["kind"] == "List" else [document]
    return manifests


def find_project() -> Path | None:
    """Return the repository this package lies in, or None when it was installed elsewhere."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "deploy").is_dir() else None


def _lab_crds() -> Iterator[Manifest]:
    folder = resources.files("headrace_lab") / "data"
    for name in ("trafficsplit-crd.yaml",):
        yield yaml.safe_load((folder / name).read_text())


def _is_established(api: ApiClient, name: str) -> bool:
    try:
        crd: Any = api.get(f"{CRD_PATH}/{name}")
    except ApiError:
        return False
    conditions = crd.get("status", {}).get("conditions", [])
    if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
        return False
    spec = crd["spec"]
    served = [version["name"] for version in spec["versions"] if version["served"]]
    return all(_serves(api, spec["group"], version, spec["names"]["plural"]) for version in served)


def _serves(api: ApiClient, group: str, version: str, plural: str) -> bool:
    try:
        return bool(api.get(f"/apis/{group}/{version}/{plural}?limit=1"))
    except ApiError:
        return False
