"""Where the traffic of a route lives: the objects a router configuration names.

Routers answer with these values; the shells read the objects (by name from a cache or live, by
selector with a list) and hand them back as `Sighting`s. Nothing here reads anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headrace.kubernetes.resources import Manifest, Resource
from headrace.model.meta import LabelSelector


@dataclass(frozen=True, slots=True)
class RenderError:
    """Why a router cannot carry the document; the text reaches the user as it is."""

    message: str


@dataclass(frozen=True, slots=True)
class ApiVersions:
    """API versions that the operator or the API server chooses.

    Attributes:
        traffic_split: Version of split.smi-spec.io (traffic-routing 5).
    """

    traffic_split: str = "v1alpha1"


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One traffic object by name."""

    resource: Resource
    namespace: str
    name: str

    @property
    def label(self) -> str:
        """`<Kind>/<name>`, as answers name it."""
        return f"{self.resource.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class ObjectSelector:
    """All traffic objects of a kind and namespace that carry certain labels."""

    resource: Resource
    namespace: str
    selector: LabelSelector


@dataclass(frozen=True, slots=True)
class Targets:
    """What one router configuration names, in the order in which it is applied.

    Attributes:
        refs: Named objects; they come first.
        selectors: What they find is added behind, without those named already.
        error: Why nothing is named; then both lists are empty.
    """

    refs: tuple[ObjectRef, ...] = ()
    selectors: tuple[ObjectSelector, ...] = ()
    error: RenderError | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A traffic object as last read; `manifest` None means that it does not exist."""

    ref: ObjectRef
    manifest: Manifest | None


def resolve(
    targets: Targets,
    named: Mapping[ObjectRef, Manifest | None],
    selected: Sequence[Sequence[Manifest]] = (),
) -> tuple[Sighting, ...]:
    """Return the sightings of all targets, each object once, in the order of application.

    Args:
        targets: As the router named them.
        named: What was read for `targets.refs`; an absent key counts as not existing.
        selected: What was listed for each of `targets.selectors`, in their order; the labels
            are matched here, so that a caller may pass every object of the namespace.
    """
    sightings = {ref: Sighting(ref, named.get(ref)) for ref in targets.refs}
    for selector, listed in zip(targets.selectors, selected, strict=False):
        for manifest in _matching(selector, listed):
            name = manifest["metadata"]["name"]
            ref = ObjectRef(selector.resource, selector.namespace, name)
            sightings.setdefault(ref, Sighting(ref, manifest))
    return tuple(sightings.values())


def _matching(selector: ObjectSelector, manifests: Iterable[Manifest]) -> list[Manifest]:
    found = [
        manifest
        for manifest in manifests
        if selector.selector.matches(manifest["metadata"].get("labels") or {})
    ]
    return sorted(found, key=lambda manifest: str(manifest["metadata"]["name"]))
