"""The controller's outbox: `status.headrace.history` as events.

A transition is written with the change that it tells, before anything is published; what lies
above `published` is said again until the broker has it. So a fact survives a crash of the
controller and an outage of the broker, and keeps its id.

Source: architecture, "Outbox".
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from headrace.events import rollout
from headrace.events.catalog import CATALOG
from headrace.events.envelope import Event
from headrace.model.headrace_status import HeadraceStatus, Transition
from headrace.model.meta import parse_time

HISTORY_LENGTH: Final = 10
"""How many transitions the status keeps."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Whom the facts are about, and where they come from.

    Attributes:
        cluster: UID of the kube-system namespace; the source of the events.
        namespace: Of the Rollout.
        name: Of the Rollout.
        uid: Of the Rollout.
    """

    cluster: str
    namespace: str
    name: str
    uid: str


def event_from_transition(transition: Transition, teller: Teller) -> Event:
    """Return the event that tells a transition; its id is of (uid, epoch, type, ordinal).

    Raises:
        KeyError: `transition.type` is no fact of a Rollout's history; a bug of the writer.
    """
    model = CATALOG[transition.type].model
    if not issubclass(model, rollout.RolloutFact):
        raise KeyError(transition.type)
    fields = {
        "namespace": teller.namespace,
        "rollout": teller.name,
        "uid": teller.uid,
        "generation": transition.generation,
        "revision": transition.revision,
        "pod_hash": transition.pod_hash,
        "epoch": transition.epoch,
        "reason": transition.reason,
        "message": transition.message,
        "ordinal": transition.ordinal,
        "step": transition.step,
    }
    if issubclass(model, rollout.CommandAnswer):
        fields["command"] = transition.command or ""
    if issubclass(model, rollout.AnalysisTerminated):
        fields["run"] = transition.run or ""
    return _tell(model.model_validate(fields), transition, teller)


def unpublished(status: HeadraceStatus, teller: Teller) -> tuple[Event, ...]:
    """Return the events above `published`, oldest first.

    Transitions that left the history unpublished are told as one `history.truncated`. Those of a
    later version, which was here before, are left out: this one cannot tell them.
    """
    known = [item for item in status.history if _is_known(item)]
    waiting = [item for item in known if item.ordinal > status.published]
    if not waiting:
        return ()
    events = [event_from_transition(item, teller) for item in waiting]
    oldest = status.history[0]
    if oldest.ordinal > status.published + 1:
        events.insert(0, _truncated(status.published + 1, oldest, teller))
    return tuple(events)


def _is_known(transition: Transition) -> bool:
    entry = CATALOG.get(transition.type)
    return entry is not None and issubclass(entry.model, rollout.RolloutFact)


def published(status: HeadraceStatus, acknowledged: Collection[int]) -> int:
    """Return the highest ordinal below which the broker has acknowledged all.

    Args:
        status: As stored.
        acknowledged: Ordinals that the broker has acknowledged since; that of a
            `history.truncated` counts for all that it tells of.
    """
    untold = (item.ordinal for item in status.history if not _is_known(item))
    done = frozenset((*acknowledged, *untold))
    highest = status.published
    if status.history and status.history[0].ordinal - 1 in done:
        highest = max(highest, status.history[0].ordinal - 1)
    while highest + 1 in done:
        highest += 1
    return highest


def _truncated(first_lost: int, oldest: Transition, teller: Teller) -> Event:
    last_lost = oldest.ordinal - 1
    payload = rollout.HistoryTruncated(
        namespace=teller.namespace,
        rollout=teller.name,
        uid=teller.uid,
        generation=oldest.generation,
        revision=oldest.revision,
        pod_hash=oldest.pod_hash,
        epoch=oldest.epoch,
        reason="HistoryTruncated",
        message=f"transitions {first_lost} to {last_lost} left the history before they were told",
        ordinal=last_lost,
        first_lost=first_lost,
    )
    return _tell(payload, oldest, teller)


def _tell(payload: rollout.RolloutFact, transition: Transition, teller: Teller) -> Event:
    return Event.of(
        payload,
        source=teller.cluster,
        time=parse_time(transition.at),
        causation_id=transition.causation,
        actor=transition.actor,
    )
