"""One traffic object compared with one request: the facts that writer and reader share."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.kubernetes.resources import Manifest
from headrace.model.route import Fence, Level, RouteDocument, RouterConfig
from headrace.routes.fence import is_confirmed, read_fence
from headrace.routes.router import Router
from headrace.routes.splits import Split
from headrace.routes.targets import RenderError, Sighting


@dataclass(frozen=True, slots=True)
class Reading:
    """What a stored object says about a request.

    Attributes:
        fence: The Rollout's fence on it; None when there is none to be read.
        observed: The stored split; empty when the object does not exist.
        level: How far the request is confirmed; None when it is not.
        is_drifted: The object is not as it was rendered last.
        rendered: The split that the router can express for the request.
        desired: The object as it shall be, the fence aside; the very one that was read when
            nothing shall change.
    """

    fence: Fence | None
    observed: Split
    level: Level | None
    is_drifted: bool
    rendered: Split
    desired: Manifest | RenderError


def read_object(
    router: Router, config: RouterConfig, document: RouteDocument, sighting: Sighting, acked: int
) -> Reading:
    """Return what one object says about the request.

    An object holds a request when rendering would change nothing: the split alone would not tell
    that somebody removed a header rule.

    Args:
        router: Module of the object's router.
        config: How the Rollout configures it.
        document: The request.
        sighting: The object as read.
        acked: `status.headrace.acknowledged.epoch`, 0 for none.
    """
    rendered = router.split(document)
    is_acknowledged = acked >= document.epoch
    manifest = sighting.manifest
    desired = router.render(config, document, sighting.ref, manifest)
    if manifest is None:
        return Reading(None, (), None, is_acknowledged, rendered, desired)
    fence = read_fence(manifest, document.uid)
    observed = router.observe(manifest, rendered, document.managed.names)
    is_as_rendered = isinstance(desired, RenderError) or desired is manifest
    is_same = observed == rendered and is_as_rendered
    is_held = is_same and is_confirmed(fence, document, rendered, acked)
    level = fence.level if fence is not None and is_held else None
    if fence is not None:
        seen = observed
        if fence.split != rendered:
            seen = router.observe(manifest, fence.split, document.managed.names)
        is_altered = fence.epoch == document.epoch and not is_as_rendered
        is_drifted = seen != fence.split or is_altered
    else:
        is_drifted = is_acknowledged and not is_same
    return Reading(fence, observed, level, is_drifted, rendered, desired)
