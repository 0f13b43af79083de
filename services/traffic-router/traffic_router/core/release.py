"""Objects that a Rollout leaves: those it no longer names, and those of a Rollout that is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from headrace.ids import fence_key
from headrace.kubernetes.resources import Manifest
from headrace.model.route import Fence, RouteDocument
from headrace.routes import (
    ObjectRef,
    RenderError,
    Router,
    Sighting,
    read_fence,
    read_fences,
    router_of,
    router_of_object,
)
from traffic_router.core.observed import Orphan, RouterSight
from traffic_router.core.plan import Purpose, Write


def withdrawals(
    document: RouteDocument, withdrawn: Iterable[RouterSight], kept: frozenset[ObjectRef]
) -> Iterator[Write]:
    """Yield the writes that take the Rollout's share out of objects it no longer names.

    Args:
        document: The newest request; an object with a newer fence is not touched.
        withdrawn: The routers to withdraw, with their objects.
        kept: Objects that the document still names by another router.
    """
    for sight in withdrawn:
        router = router_of(sight.router)
        if isinstance(router, RenderError):
            continue
        for sighting in sight.sightings:
            if sighting.manifest is None or sighting.ref in kept:
                continue
            fence = read_fence(sighting.manifest, document.uid)
            if fence is None or fence.epoch > document.epoch:
                continue
            desired = router.release(sighting.manifest, fence, sight.router)
            yield from _write(router, sighting, desired, fence, Purpose.WITHDRAW)


def releases(orphans: Sequence[Orphan]) -> Iterator[Write]:
    """Yield the writes that clean what a Rollout that is gone left behind."""
    gone = frozenset(orphan.fence.uid for orphan in orphans)
    for orphan in orphans:
        sighting, fence = orphan.sighting, orphan.fence
        if sighting.manifest is None:
            continue
        router = router_of_object(sighting.ref.resource)
        fences = read_fences(sighting.manifest)
        living = (each for each in fences if each.uid not in gone)
        if orphan.is_name_foreign or any(each.rollout == fence.rollout for each in living):
            desired = router.release_succeeded(sighting.manifest, fence)
        else:
            desired = router.release_orphan(sighting.manifest, fence)
        yield from _write(router, sighting, desired, fence, Purpose.RELEASE)


def _write(
    router: Router, sighting: Sighting, desired: Manifest, fence: Fence, purpose: Purpose
) -> Iterator[Write]:
    change = router.change(sighting.manifest, desired, fence_key(fence.uid))
    if change is not None:
        yield Write(sighting.ref, purpose, change, previous=sighting.manifest, desired=desired)
