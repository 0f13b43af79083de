"""SMI: a TrafficSplit per Rollout (traffic-routing 5).

The split lists canary, additional destinations and stable, in this order; at weight 0 the canary
stays in it. v1alpha1 writes weights as quantity texts, later versions as integers; what is read
may be either, since the API server converts nothing for this group.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from headrace.kubernetes.owners import controller_reference
from headrace.kubernetes.resources import ROLLOUTS, TRAFFIC_SPLITS, Manifest
from headrace.model.route import BackendShare, Fence, Level, RouteDocument, RouterConfig
from headrace.model.traffic import SmiTrafficRouting
from headrace.routes.changes import Change, CreateObject, merge_change
from headrace.routes.fence import unstamp
from headrace.routes.splits import Split, all_to_stable, wanted_split
from headrace.routes.targets import ApiVersions, ObjectRef, RenderError, Targets

VERIFIED: Final[bool | None] = None
"""Nobody tells whether a mesh honours a TrafficSplit (canary 5.4.6)."""

LEVEL_MAX: Final[Level] = "written"

SUPPORTED_VERSIONS: Final = ("v1alpha1", "v1alpha2", "v1alpha3", "v1alpha4")

NO_OBJECTS: Final = "no TrafficSplit is configured"

_QUANTITY: Final = re.compile(r"(\d+)(m|k|M)?", re.ASCII)
_UNREADABLE: Final = -1
_CONFIGURATIONS_KEPT: Final = 1024
"""Every look at a Rollout reads the same text."""


def targets(router: RouterConfig, document: RouteDocument, versions: ApiVersions) -> Targets:
    """Return the one TrafficSplit; its name defaults to the Rollout's."""
    if versions.traffic_split not in SUPPORTED_VERSIONS:
        message = f"Unsupported TrafficSplit API version `{versions.traffic_split}`"
        return Targets(error=RenderError(message))
    try:
        config = _configuration(router.config)
    except ValidationError:
        return Targets(error=RenderError("trafficRouting.smi cannot be read"))
    resource = TRAFFIC_SPLITS.at_version(versions.traffic_split)
    name = config.traffic_split_name or document.rollout
    return Targets(refs=(ObjectRef(resource, document.namespace, name),))


def split(document: RouteDocument) -> Split:
    """Return what a TrafficSplit can express of the document: all of it."""
    return wanted_split(document)


def render(
    router: RouterConfig, document: RouteDocument, ref: ObjectRef, manifest: Manifest | None
) -> Manifest | RenderError:
    """Return the TrafficSplit as it shall be, without the fence.

    The given object itself comes back when it says the same already, in whatever notation.
    """
    config = _configuration(router.config)
    root = config.root_service or document.services.root or document.services.stable or ""
    wanted = split(document)
    if manifest is None:
        return _new(document, ref, _spec(root, wanted, ref.resource.version))
    if not _is_controlled_by(manifest, document.uid):
        return RenderError(f"Rollout does not own TrafficSplit `{ref.name}`")
    spec = manifest.get("spec") or {}
    if spec.get("service") == root and observe(manifest, wanted) == wanted:
        return manifest
    return {**manifest, "spec": {**spec, **_spec(root, wanted, ref.resource.version)}}


def observe(manifest: Manifest, wanted: Split, managed: tuple[str, ...] = ()) -> Split:
    """Return the split that the object stores: every backend counts, since the object is ours."""
    del wanted, managed
    backends = (manifest.get("spec") or {}).get("backends") or ()
    return tuple(
        BackendShare(service=str(each.get("service", "")), weight=_weight(each.get("weight", 0)))
        for each in backends
    )


def level(manifest: Manifest) -> Level:
    """Return how far the stored split is known to hold: a TrafficSplit has no status."""
    del manifest
    return "written"


def change(old: Manifest | None, new: Manifest, fence: str) -> Change | None:
    """Return the write from `old` to `new`; None when there is nothing to write."""
    del fence
    return CreateObject(new) if old is None else merge_change(old, new)


def release(manifest: Manifest, fence: Fence, router: RouterConfig | None) -> Manifest:
    """Return the object with all traffic on the stable Service and without the fence."""
    del router
    spec = manifest.get("spec") or {}
    lowered = all_to_stable(fence.split)
    if lowered and observe(manifest, lowered) != lowered:
        version = str(manifest.get("apiVersion", "")).rpartition("/")[2]
        spec = {**spec, **_spec(str(spec.get("service", "")), lowered, version)}
        manifest = {**manifest, "spec": spec}
    return unstamp(manifest, fence.uid)


def release_orphan(manifest: Manifest, fence: Fence) -> Manifest:
    """Return the object after its Rollout is gone.

    The garbage collector deletes what the Rollout owned; anything else only loses the fence.
    """
    return manifest if _is_controlled_by(manifest, fence.uid) else unstamp(manifest, fence.uid)


def release_succeeded(manifest: Manifest, fence: Fence) -> Manifest:
    """Return the object after another Rollout of the fence's name has written its split."""
    return unstamp(manifest, fence.uid)


@lru_cache(maxsize=_CONFIGURATIONS_KEPT)
def _configuration(text: str) -> SmiTrafficRouting:
    return SmiTrafficRouting.model_validate_json(text)


def _spec(root: str, wanted: Split, version: str) -> dict[str, Any]:
    backends = [
        {
            "service": share.service,
            "weight": str(share.weight) if version == "v1alpha1" else share.weight,
        }
        for share in wanted
    ]
    return {"service": root, "backends": backends}


def _new(document: RouteDocument, ref: ObjectRef, spec: dict[str, Any]) -> Manifest:
    owner = controller_reference(
        document.api_version, ROLLOUTS.kind, document.rollout, document.uid
    )
    return {
        "apiVersion": ref.resource.api_version,
        "kind": ref.resource.kind,
        "metadata": {"name": ref.name, "namespace": ref.namespace, "ownerReferences": [owner]},
        "spec": spec,
    }


def _is_controlled_by(manifest: Manifest, uid: str) -> bool:
    owners = manifest["metadata"].get("ownerReferences") or ()
    return any(owner.get("controller") and owner.get("uid") == uid for owner in owners)


def _weight(value: object) -> int:
    """Return a weight in whole numbers; a text that is none equals no rendered weight."""
    if isinstance(value, int):
        return value
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        return _UNREADABLE
    number = int(match[1])
    if match[2] == "m":
        return number // 1000 if number % 1000 == 0 else _UNREADABLE
    return number * {"k": 1000, "M": 1_000_000}.get(match[2] or "", 1)
