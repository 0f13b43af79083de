"""One traffic object of a route: leave it, write it, or halt.

The order of the checks in `judge` is the rule of architecture, "The route document" and
"Fencing":

1. a newer epoch is on the object: refuse, and say which;
2. the router cannot render the document: say why;
3. the object confirms the document: at most raise the level in the fence;
4. the object confirmed it once and differs now: repair, unless `status.canary.weights` tells of
   another controller;
5. the write raises traffic: refuse while the Rollout is aborted, or when the request is too old;
6. it was repaired a moment ago: somebody else writes it, too, and is answered with pauses;
7. the API server has refused this very write: do not repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.events.traffic import RouteDrifted
from headrace.ids import fence_key
from headrace.kubernetes.resources import Manifest
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant
from headrace.model.route import Fence, Level, RouteDocument, RouterAnswer, RouterConfig
from headrace.routes import (
    Reading,
    RenderError,
    Router,
    Sighting,
    Split,
    adds_rules,
    is_expired,
    raises,
    rank,
    stamp,
)
from traffic_router.core.observed import Failure, Memory, RolloutView
from traffic_router.core.plan import Purpose, Reason, Write


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and under which circumstances.

    Attributes:
        document: The newest request.
        rollout: The Rollout as held.
        now: Own time.
        server_now: API server time; None when unknown.
        memory: Writes that the API server refused, and repairs.
    """

    document: RouteDocument
    rollout: RolloutView
    now: Instant
    server_now: Instant | None
    memory: Memory


@dataclass(frozen=True, slots=True)
class Halt:
    """Why an object is left as it is although it does not hold the document.

    Attributes:
        until: When it may be written all the same; None for not by itself.
    """

    reason: Reason
    message: str
    until: Instant | None = None


def judge(
    router: Router, config: RouterConfig, request: Request, found: tuple[Sighting, Reading]
) -> Write | Halt | None:
    """Return the write that the object needs, why it is not written, or None when it holds."""
    document, acked = request.document, request.rollout.acknowledged_epoch
    sighting, reading = found
    if reading.fence is not None and reading.fence.epoch > document.epoch:
        text = f"epoch {document.epoch} is older than epoch {reading.fence.epoch}"
        return Halt(Reason.OLDER_EPOCH, f"{text} found on {sighting.ref.label}")
    desired, rendered = reading.desired, reading.rendered
    if isinstance(desired, RenderError):
        return Halt(Reason.ROUTER_ERROR, desired.message)
    if desired is sighting.manifest and reading.level is not None:
        if _refused_before(request, sighting) is not None:
            return None
        return _raise_level(router, document, sighting, reading)
    purpose = _purpose(reading, document, acked)
    is_raise = raises(rendered, reading.observed, document.services.stable_role) or adds_rules(
        document, sighting.manifest, desired
    )
    halt = _halt(request, sighting, purpose, is_raise=is_raise)
    if halt is not None:
        return halt
    fence = _fence(document, rendered, _level_kept(router, document, sighting, desired))
    stamped = stamp(desired, fence)
    change = router.change(sighting.manifest, stamped, fence_key(document.uid))
    if change is None:
        return None
    return Write(
        ref=sighting.ref,
        purpose=purpose,
        change=change,
        previous=sighting.manifest,
        desired=stamped,
        not_after=_not_after(document, acked) if is_raise else None,
        drift=_drift(config, request, sighting, reading, rendered) if reading.is_drifted else None,
    )


def wanted_level(document: RouteDocument) -> Level:
    """Return the level that the controller waits for."""
    return document.verify.level if document.verify.wanted else "written"


def _purpose(reading: Reading, document: RouteDocument, acked: int) -> Purpose:
    has_held = acked >= document.epoch or (
        reading.fence is not None and reading.fence.epoch == document.epoch
    )
    return Purpose.REPAIR if has_held else Purpose.APPLY


def _halt(request: Request, sighting: Sighting, purpose: Purpose, *, is_raise: bool) -> Halt | None:
    document, rollout = request.document, request.rollout
    if purpose is Purpose.REPAIR and not _weights_agree(document, rollout):
        text = "status.canary.weights differs from the request: another controller was here"
        return Halt(Reason.FOREIGN_WEIGHTS, text)
    if is_raise and rollout.is_aborted and not document.aborted:
        return Halt(Reason.ROLLOUT_IS_ABORTED, "the Rollout is aborted: no traffic is raised")
    if is_raise and is_expired(document, request.server_now, rollout.acknowledged_epoch):
        if request.server_now is None:
            return Halt(Reason.RAISE_EXPIRED, "the time of the API server is not known yet")
        return Halt(Reason.RAISE_EXPIRED, f"the request expired at {document.valid_until}")
    repair = request.memory.repairs.get(sighting.ref)
    if purpose is Purpose.REPAIR and repair is not None:
        until = Instant(repair.at + repair.pause_seconds)
        if request.now < until:
            text = f"{sighting.ref.label} is changed again after its repair"
            return Halt(Reason.DRIFTS_AGAIN, text, until)
    failure = _refused_before(request, sighting)
    return None if failure is None else Halt(Reason.ROUTER_ERROR, failure.message)


def _refused_before(request: Request, sighting: Sighting) -> Failure | None:
    """Return how the API server has refused this very write, None when it has not."""
    failure, document = request.memory.failures.get(sighting.ref), request.document
    seen = sighting.manifest["metadata"]["resourceVersion"] if sighting.manifest else ""
    asked = (document.epoch, document.renewal, seen)
    if failure is None:
        return None
    is_same = asked == (failure.epoch, failure.renewal, failure.resource_version)
    return failure if is_same else None


def _weights_agree(document: RouteDocument, rollout: RolloutView) -> bool:
    """Whether the Rollout's claimed weights leave no doubt that nobody else moved traffic.

    Before the acknowledgement the claim still tells of the epoch acknowledged last, so its
    canary weight is no foreign one either.
    """
    weights, claimed = document.weights, rollout.weights
    if rollout.acknowledged_epoch < document.epoch:
        known = (weights.canary, rollout.acknowledged_canary)
        is_first = claimed is None or rollout.acknowledged_canary is None
        return is_first or (claimed is not None and claimed.canary.weight in known)
    if claimed is None:
        return False
    return (
        claimed.canary.weight == weights.canary
        and claimed.stable.weight == weights.stable
        and [(each.service_name, each.weight) for each in claimed.additional]
        == [(each.service, each.weight) for each in weights.additional]
    )


def _raise_level(
    router: Router, document: RouteDocument, sighting: Sighting, reading: Reading
) -> Write | None:
    manifest = sighting.manifest
    if manifest is None or reading.fence is None:
        return None
    level = min(wanted_level(document), router.level(manifest), key=rank)
    if rank(level) <= rank(reading.level):
        return None
    desired = stamp(manifest, _fence(document, reading.fence.split, level))
    change = router.change(manifest, desired, fence_key(document.uid))
    if change is None:
        return None
    return Write(sighting.ref, Purpose.LEVEL, change, previous=manifest, desired=desired)


def _level_kept(
    router: Router, document: RouteDocument, sighting: Sighting, desired: Manifest
) -> Level:
    """The level right after the write: what the provider accepted holds while the spec stays."""
    manifest = sighting.manifest
    if manifest is None or desired.get("spec") != manifest.get("spec"):
        return "written"
    return min(wanted_level(document), router.level(manifest), key=rank)


def _fence(document: RouteDocument, split: Split, level: Level) -> Fence:
    return Fence(
        uid=document.uid,
        rollout=f"{document.namespace}/{document.rollout}",
        epoch=document.epoch,
        level=level,
        split=split,
        backends=tuple(each.service for each in document.weights.additional),
        rules=tuple(each.name for each in document.managed.header),
    )


def _not_after(document: RouteDocument, acked: int) -> Instant | None:
    if acked >= document.epoch or document.valid_until is None:
        return None
    return parse_time(document.valid_until)


def _drift(
    config: RouterConfig, request: Request, sighting: Sighting, reading: Reading, rendered: Split
) -> RouteDrifted:
    document = request.document
    metadata = (sighting.manifest or {}).get("metadata", {})
    return RouteDrifted(
        namespace=document.namespace,
        rollout=document.rollout,
        uid=document.uid,
        generation=document.generation,
        revision=request.rollout.revision,
        pod_hash=document.hashes.canary,
        epoch=reading.fence.epoch if reading.fence else document.epoch,
        reason=Reason.ROUTE_DRIFTED,
        message=f"{sighting.ref.label} was {'changed' if sighting.manifest else 'deleted'}",
        answers=(
            RouterAnswer(
                kind=config.kind,
                plugin=config.plugin,
                objects=(sighting.ref.label,),
                rendered=reading.fence.split if reading.fence else rendered,
                observed=reading.observed,
            ),
        ),
        object=sighting.ref.label,
        resource_version=metadata.get("resourceVersion", ""),
    )
