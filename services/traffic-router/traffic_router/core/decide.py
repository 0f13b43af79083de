"""`decide`: what one pass over one Rollout's route shall do.

Routers are applied in the order of the document; the first that halts stops the rest, whose
answers are absent (canary 5). A pass either writes or answers: what was written is judged again
from the stored objects in the next pass, which is the read-back, and only that is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from headrace.events.payload import Payload
from headrace.events.traffic import RouteApplied, RouteRefused, RouteVerified
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant
from headrace.model.route import Level, RouteDocument, RouterAnswer
from headrace.routes import RenderError, rank, read_back, router_of
from traffic_router.core.objects import Halt, Request, judge, wanted_level
from traffic_router.core.observed import Observed, RolloutView, RouterSight, Said
from traffic_router.core.plan import Plan, Reason, Write
from traffic_router.core.release import releases, withdrawals

_OFFSET_RETRY_SECONDS = 1.0
"""When to look again for the API server's time, which every answer brings."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one router needs or says."""

    answer: RouterAnswer
    writes: tuple[Write, ...] = ()
    halt: Halt | None = None


def decide(observed: Observed, *, now: Instant) -> Plan:
    """Return the plan for one snapshot.

    Args:
        observed: Everything known about the Rollout's route.
        now: Own time; the API server's is `now` plus the snapshot's offset.
    """
    orphaned = tuple(releases(observed.orphans))
    rollout, document = observed.rollout, observed.document
    if rollout is None:
        return Plan(Reason.ROLLOUT_GONE, writes=orphaned)
    if rollout.is_deleting:
        return Plan(Reason.ROLLOUT_DELETING, writes=orphaned)
    facts = tuple(_verified(observed, rollout))
    if document is None:
        return Plan(Reason.NO_ROUTE, writes=orphaned, facts=facts)
    request = Request(document, rollout, now, _server_now(observed, now), observed.memory)
    outcomes = tuple(_outcomes(observed, request))
    halt = next((outcome.halt for outcome in outcomes if outcome.halt), None)
    writes = [write for outcome in outcomes for write in outcome.writes]
    if halt is None:
        kept = frozenset(each.ref for sight in observed.routers for each in sight.sightings)
        writes += withdrawals(document, observed.withdrawn, kept)
    # What a predecessor left goes first: its destinations beside our split would be too much.
    left = frozenset(write.ref for write in orphaned)
    writes = [*orphaned, *(write for write in writes if write.ref not in left)]
    if writes:
        return Plan(Reason.ROUTE_APPLYING, writes=tuple(writes), facts=facts)
    answer = _answer(observed, request, outcomes, halt)
    said = _said(answer, halt) if answer is not None else None
    is_due = said is not None and (observed.memory.is_asked or said != observed.memory.said)
    return Plan(
        reason=halt.reason if halt else Reason.ROUTE_APPLIED,
        message=halt.message if halt else "",
        facts=(*facts, answer) if answer is not None and is_due else facts,
        said=said if is_due else None,
        wake_at=_wake_at(observed, request, outcomes, now),
    )


def _server_now(observed: Observed, now: Instant) -> Instant | None:
    offset = observed.server_offset_seconds
    return None if offset is None else Instant(now + offset)


def _outcomes(observed: Observed, request: Request) -> Iterator[_Outcome]:
    for sight in observed.routers:
        outcome = _outcome(observed, request, sight)
        yield outcome
        if outcome.halt is not None:
            return


def _outcome(observed: Observed, request: Request, sight: RouterSight) -> _Outcome:
    read = read_back(
        sight.router,
        request.document,
        sight.targets,
        sight.sightings,
        request.rollout.acknowledged_epoch,
    )
    answer, unserved = read.answer, _unserved(observed, sight)
    router = router_of(sight.router)
    if isinstance(router, RenderError) or answer.error is not None or unserved is not None:
        return _halted(answer, (), Halt(Reason.ROUTER_ERROR, unserved or answer.error or ""))
    writes: list[Write] = []
    for sighting, reading in zip(sight.sightings, read.readings, strict=True):
        verdict = judge(router, sight.router, request, (sighting, reading))
        if isinstance(verdict, Halt):
            return _halted(answer, tuple(writes), verdict)
        if verdict is not None:
            writes.append(verdict)
    return _Outcome(answer, tuple(writes))


def _halted(answer: RouterAnswer, writes: tuple[Write, ...], halt: Halt) -> _Outcome:
    return _Outcome(answer.model_copy(update={"error": halt.message, "level": None}), writes, halt)


def _unserved(observed: Observed, sight: RouterSight) -> str | None:
    resources = [ref.resource for ref in sight.targets.refs]
    resources += [selector.resource for selector in sight.targets.selectors]
    names = (f"{resource.plural}.{resource.group}" for resource in resources)
    missing = next((name for name in names if name in observed.unserved), None)
    return f"the API server does not serve {missing}" if missing else None


def _answer(
    observed: Observed, request: Request, outcomes: tuple[_Outcome, ...], halt: Halt | None
) -> RouteApplied | RouteRefused | None:
    """The answer to the request; None while others have their hands on status or object."""
    if halt is not None and halt.reason in (Reason.FOREIGN_WEIGHTS, Reason.DRIFTS_AGAIN):
        return None
    document, answers = request.document, tuple(outcome.answer for outcome in outcomes)
    fields = {
        "namespace": document.namespace,
        "rollout": document.rollout,
        "uid": document.uid,
        "generation": document.generation,
        "revision": request.rollout.revision,
        "pod_hash": document.hashes.canary,
        "epoch": document.epoch,
        "message": halt.message if halt else "",
        "requested": document.weights,
        "renewal": document.renewal,
        "answers": answers,
        "resource_versions": _resource_versions(observed),
    }
    if halt is None:
        return RouteApplied(**fields, reason=Reason.ROUTE_APPLIED, level=_weakest(answers))
    found = max((each.found_epoch or 0 for each in answers), default=0)
    return RouteRefused(**fields, reason=halt.reason, found_epoch=found or None)


def _weakest(answers: tuple[RouterAnswer, ...]) -> Level | None:
    """The weakest level of all routers; a document without routers holds as it is written."""
    return min((each.level for each in answers), key=rank, default="written")


def _resource_versions(observed: Observed) -> dict[str, str]:
    return {
        each.ref.label: each.manifest["metadata"].get("resourceVersion", "")
        for sight in observed.routers
        for each in sight.sightings
        if each.manifest is not None
    }


def _said(answer: RouteApplied | RouteRefused, halt: Halt | None) -> Said:
    text = halt.message if halt else str(answer.level)
    kind: Literal["applied", "refused"] = "refused" if halt else "applied"
    return Said(kind, answer.uid, answer.epoch, answer.renewal, text)


def _verified(observed: Observed, rollout: RolloutView) -> Iterator[Payload]:
    """The answer to a check that is no route: no router of ours can tell (T 0, B 6)."""
    asked = observed.memory.verify
    if asked is None or asked.uid != rollout.uid:
        return
    answers = []
    for config in asked.routers:
        router = router_of(config)
        error = router.message if isinstance(router, RenderError) else None
        answers.append(RouterAnswer(kind=config.kind, plugin=config.plugin, error=error))
    yield RouteVerified(
        namespace=asked.namespace,
        rollout=asked.rollout,
        uid=asked.uid,
        generation=asked.generation,
        revision=asked.revision,
        pod_hash=asked.pod_hash,
        epoch=asked.epoch,
        reason=Reason.ROUTE_VERIFIED,
        check=asked.check,
        answers=tuple(answers),
    )


def _wake_at(
    observed: Observed, request: Request, outcomes: tuple[_Outcome, ...], now: Instant
) -> Instant | None:
    if request.server_now is None:
        return Instant(now + _OFFSET_RETRY_SECONDS)
    halts = (outcome.halt for outcome in outcomes if outcome.halt is not None)
    if until := next((halt.until for halt in halts if halt.until is not None), None):
        return until
    document = request.document
    if not document.verify.wanted or _is_past(document, request.server_now):
        return None
    for sight, outcome in zip(observed.routers, outcomes, strict=False):
        router = router_of(sight.router)
        if isinstance(router, RenderError) or outcome.halt is not None:
            return None
        reachable = min(wanted_level(document), router.LEVEL_MAX, key=rank)
        if rank(outcome.answer.level) < rank(reachable):
            return Instant(now + observed.reverify_seconds)
    return None


def _is_past(document: RouteDocument, server_now: Instant) -> bool:
    deadline = document.verify.deadline
    if deadline is None:
        return False
    try:
        return server_now > parse_time(deadline)
    except ValueError:
        return True
