"""What a rehearsal needs beside the Rollout: the version before, Services, templates.

What the files do not have is made up, and said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from headrace.kubernetes.resources import (
    ANALYSIS_TEMPLATES,
    CLUSTER_ANALYSIS_TEMPLATES,
    DEPLOYMENTS,
    HTTP_ROUTES,
    ROLLOUTS,
    SERVICES,
    Manifest,
    Resource,
)
from headrace.routes.gateway_api import PLUGIN as GATEWAY_API

_KINDS: Final[Mapping[str, Resource]] = {
    resource.kind: resource
    for resource in (
        ROLLOUTS,
        SERVICES,
        ANALYSIS_TEMPLATES,
        CLUSTER_ANALYSIS_TEMPLATES,
        DEPLOYMENTS,
        HTTP_ROUTES,
    )
}
"""Kinds that are taken from the files; others play no part."""

_BEFORE: Final = "headrace.io/rehearsal"
_SERVICE_FIELDS: Final = (
    "stableService",
    "canaryService",
    "activeService",
    "previewService",
    "pingService",
    "pongService",
)
_MEASURE: Final[dict[str, Any]] = {
    "provider": {"prometheus": {"address": "http://assumed", "query": "vector(1)"}},
}


def resource_of(manifest: Manifest) -> Resource | None:
    """Return the kind of an object that plays a part in a rehearsal, None for all others."""
    resource = _KINDS.get(str(manifest.get("kind")))
    group, _, _ = str(manifest.get("apiVersion", "")).rpartition("/")
    return resource if resource is not None and resource.group == group else None


def version_before(manifest: Manifest) -> Manifest:
    """Return a Rollout or Deployment with another pod template: the version that is updated."""
    before = deepcopy(dict(manifest))
    template = (before.get("spec") or {}).get("template")
    if template:
        metadata = template.setdefault("metadata", {}) or {}
        template["metadata"] = metadata
        metadata["annotations"] = {**(metadata.get("annotations") or {}), _BEFORE: "before"}
    return before


def step_plugins(rollout: Manifest) -> Iterator[str]:
    """Yield the names of the step plugins that a Rollout calls."""
    canary = (rollout["spec"].get("strategy") or {}).get("canary") or {}
    for step in canary.get("steps") or ():
        if (step.get("plugin") or {}).get("name"):
            yield step["plugin"]["name"]


def missing(rollout: Manifest, given: Iterable[Manifest]) -> Iterator[tuple[Resource, Manifest]]:
    """Yield the Services, templates and routes that the Rollout names and the files lack."""
    known = {(each.get("kind"), (each.get("metadata") or {}).get("name")) for each in given}
    namespace = rollout["metadata"]["namespace"]
    for resource, name in sorted(set(_named(rollout["spec"])), key=lambda each: each[1]):
        if (resource.kind, name) in known:
            continue
        metadata = {"name": name, "namespace": namespace}
        if resource == SERVICES:
            selector = ((rollout["spec"].get("selector") or {}).get("matchLabels")) or {}
            yield resource, {"metadata": metadata, "spec": {"selector": selector}}
        elif resource == HTTP_ROUTES:
            yield resource, {"metadata": metadata, "spec": {"rules": [_rule(rollout)]}}
        else:
            if resource == CLUSTER_ANALYSIS_TEMPLATES:
                del metadata["namespace"]
            metric = {"name": f"assumed-{resource.plural}-{name}", **_MEASURE}
            yield resource, {"metadata": metadata, "spec": {"metrics": [metric]}}


def _rule(rollout: Manifest) -> dict[str, Any]:
    canary = rollout["spec"]["strategy"]["canary"]
    pair = canary.get("pingPong") or {}
    names = [canary.get(field) for field in ("stableService", "canaryService")]
    names = names if any(names) else [pair.get("pingService"), pair.get("pongService")]
    return {"backendRefs": [{"name": name, "port": 80} for name in names if name]}


def _named(value: Any) -> Iterator[tuple[Resource, str]]:
    if isinstance(value, list):
        for each in value:
            yield from _named(each)
    if not isinstance(value, dict):
        return
    if value.get("templateName"):
        is_cluster_wide = bool(value.get("clusterScope"))
        yield (
            CLUSTER_ANALYSIS_TEMPLATES if is_cluster_wide else ANALYSIS_TEMPLATES,
            str(value["templateName"]),
        )
    for field in _SERVICE_FIELDS:
        if value.get(field):
            yield SERVICES, str(value[field])
    gateway = value.get(GATEWAY_API)
    if isinstance(gateway, dict):
        routes = [{"name": gateway.get("httpRoute")}, *(gateway.get("httpRoutes") or ())]
        yield from ((HTTP_ROUTES, str(each["name"])) for each in routes if each.get("name"))
    for name, each in value.items():
        if name != "template":
            yield from _named(each)
