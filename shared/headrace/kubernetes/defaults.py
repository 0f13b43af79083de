"""The defaults that the API server puts into a pod template.

A live ReplicaSet holds a template with defaults, a Rollout one without; to
compare them the Rollout's gets the same defaults first (rollout-api 7.3). Never
write the result back: it is no longer what the user wrote.

Source: Kubernetes v1.37 defaulting of core/v1 PodTemplate; image names by the
grammar of distribution/reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from headrace.kubernetes.canonical import typed_view
from headrace.kubernetes.quantities import parse_quantity

Node = dict[str, Any]

_FILE_MODE: Final = 0o644
_TERMINATION_GRACE_SECONDS: Final = 30
_TOKEN_EXPIRATION_SECONDS: Final = 3600
_NAME_LENGTH_MAX: Final = 255
_DOMAIN: Final = (
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*"
    r"|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
)
_COMPONENT: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?P<digest>@(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?",
    re.ASCII,
)
_IMAGE_ID: Final = re.compile(r"[a-f0-9]{64}")


def stored_quantity(text: str) -> str:
    """Return a quantity as the API server stores it: canonical, at least 10⁻³ fine."""
    return parse_quantity(text).round_up_to_milli().canonical()


def with_defaults(
    template: Mapping[str, Any], *, quantity: Callable[[str], Any] = stored_quantity
) -> Node:
    """Return the typed view of a pod template with the API server's defaults.

    Args:
        template: The template as the user wrote it.
        quantity: What to put in the place of a quantity, given its text.

    Raises:
        ValueError: A field has another type than Kubernetes gives it.
    """
    view: Node = typed_view(template, quantity=quantity)
    spec = view["spec"]
    _default_pod_spec(spec)
    for volume in spec.get("volumes", ()):
        _default_volume(volume)
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            _default_container(container)
    return view


def pull_policy(image: str) -> str:
    """Return the pull policy that an image gets when it names none.

    Images without tag and digest, and those with the tag `latest`, are always
    pulled; an image name that cannot be parsed is not.
    """
    return "Always" if _tag(image) == "latest" else "IfNotPresent"


def _tag(image: str) -> str:
    domain, slash, rest = image.partition("/")
    is_domain = slash and (
        any(mark in domain for mark in ".:") or domain == "localhost" or domain.lower() != domain
    )
    remote = (rest if is_domain else image).partition(":")[0]
    match = _IMAGE.fullmatch(image)
    if match is None or remote != remote.lower() or _IMAGE_ID.fullmatch(image):
        return ""
    if len(match["name"]) > _NAME_LENGTH_MAX:
        return ""
    return match["tag"] or ("" if match["digest"] else "latest")


def _default_pod_spec(spec: Node) -> None:
    account = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if account:
        spec["serviceAccountName"] = spec["serviceAccount"] = account
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", _TERMINATION_GRACE_SECONDS)
    spec.setdefault("schedulerName", "default-scheduler")


def _default_container(container: Node) -> None:
    container.setdefault("imagePullPolicy", pull_policy(container.get("image", "")))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports", ()):
        port.setdefault("protocol", "TCP")
    for variable in container.get("env", ()):
        source = variable.get("valueFrom", {})
        _default_members(source, "fieldRef", {"apiVersion": "v1"})
        _default_members(source, "fileKeyRef", {"optional": False})
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        if kind in container:
            _default_probe(container[kind])
    lifecycle = container.get("lifecycle", {})
    for hook in ("postStart", "preStop"):
        _default_http_get(lifecycle.get(hook, {}))


def _default_probe(probe: Node) -> None:
    probe.setdefault("timeoutSeconds", 1)
    probe.setdefault("periodSeconds", 10)
    probe.setdefault("successThreshold", 1)
    probe.setdefault("failureThreshold", 3)
    _default_http_get(probe)
    grpc = probe.get("grpc")
    if grpc is not None and grpc.get("service") is None:
        grpc["service"] = ""


def _default_http_get(handler: Node) -> None:
    _default_members(handler, "httpGet", {"path": "/", "scheme": "HTTP"})


def _default_volume(volume: Node) -> None:
    if volume.keys() <= {"name"}:
        volume["emptyDir"] = {}
    image = volume.get("image")
    if image is not None:
        image.setdefault("pullPolicy", pull_policy(image.get("reference", "")))
    for source, members in _VOLUME_DEFAULTS.items():
        _default_members(volume, source, members)
    for item in _downward_api_items(volume):
        _default_members(item, "fieldRef", {"apiVersion": "v1"})
    for projection in _projections(volume):
        _default_members(
            projection, "serviceAccountToken", {"expirationSeconds": _TOKEN_EXPIRATION_SECONDS}
        )
    claim = volume.get("ephemeral", {}).get("volumeClaimTemplate")
    if claim is not None:
        claim["spec"].setdefault("volumeMode", "Filesystem")


_VOLUME_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "hostPath": {"type": ""},
    "secret": {"defaultMode": _FILE_MODE},
    "configMap": {"defaultMode": _FILE_MODE},
    "downwardAPI": {"defaultMode": _FILE_MODE},
    "projected": {"defaultMode": _FILE_MODE},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {
        "cachingMode": "ReadWrite",
        "fsType": "ext4",
        "readOnly": False,
        "kind": "Shared",
    },
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def _projections(volume: Node) -> list[Node]:
    return volume.get("projected", {}).get("sources") or []


def _downward_api_items(volume: Node) -> Iterator[Node]:
    for source in (volume, *_projections(volume)):
        yield from source.get("downwardAPI", {}).get("items", ())


def _default_members(node: Node, name: str, members: Mapping[str, Any]) -> None:
    """Put `members` where they are absent into the member `name` of `node`, if it is there."""
    child = node.get(name)
    if child is not None:
        for key, value in members.items():
            child.setdefault(key, value)
