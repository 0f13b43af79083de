"""One traffic object compared with one request: the facts that writer and reader share."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.model.route import Fence, Level, RouteDocument
from headrace.routes.fence import is_confirmed, read_fence
from headrace.routes.router import Router
from headrace.routes.splits import Split
from headrace.routes.targets import Sighting


@dataclass(frozen=True, slots=True)
class Reading:
    """What a stored object says about a request.

    Attributes:
        fence: The Rollout's fence on it; None when there is none to be read.
        observed: The stored split; empty when the object does not exist.
        level: How far the request is confirmed; None when it is not.
        is_drifted: The stored split is not the one that was rendered last.
    """

    fence: Fence | None
    observed: Split
    level: Level | None
    is_drifted: bool


def read_object(router: Router, document: RouteDocument, sighting: Sighting, acked: int) -> Reading:
    """Return what one object says about the request.

    Args:
        router: Module of the object's router.
        document: The request.
        sighting: The object as read.
        acked: `status.headrace.acknowledged.epoch`, 0 for none.
    """
    rendered = router.split(document)
    is_acknowledged = acked >= document.epoch
    manifest = sighting.manifest
    if manifest is None:
        return Reading(None, (), None, is_drifted=is_acknowledged)
    fence = read_fence(manifest, document.uid)
    observed = router.observe(manifest, rendered, document.managed.names)
    is_held = observed == rendered and is_confirmed(fence, document, rendered, acked)
    level = fence.level if fence is not None and is_held else None
    if fence is not None:
        seen = router.observe(manifest, fence.split, document.managed.names)
        is_drifted = seen != fence.split
    else:
        is_drifted = is_acknowledged and observed != rendered
    return Reading(fence, observed, level, is_drifted)
