"""`events`: what happened, as lines that show what caused what, or as JSON.

Facts of the bus carry the id of their cause: an event, or a change of an object
(`k8s:<uid>/<resourceVersion>`). A line stands below and one step to the right of its cause, so
the way from a command to the traffic can be read from left to right.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from headrace.events.analysis import AnalysisJudged, AnalysisMeasured
from headrace.events.commands import RolloutCommanded
from headrace.events.envelope import SPEC_VERSION, Event
from headrace.events.payload import Payload
from headrace.events.rollout import RouteRequested
from headrace.events.traffic import RouteApplied, RouteDrifted, RouteFact
from headrace.ids import event_id
from headrace.kubernetes.resources import Manifest
from headrace.model.headrace_status import HeadraceStatus, Transition
from headrace.model.meta import format_micro_time
from headrace.model.route import BackendShare
from headrace_cli.output import PLAIN, Colour, Palette
from headrace_cli.views.objects import count, section, text, time_of

_OBJECT_CAUSE: Final = "k8s:"
_PREFIX: Final = "headrace."
_TYPE_WIDTH: Final = 26
_DEPTH_MAX: Final = 6
_COLOURS: Final[Mapping[str, Colour]] = {
    "rollout.commanded": Colour.BLUE,
    "command.accepted": Colour.BLUE,
    "command.rejected": Colour.RED,
    "rollout.aborted": Colour.RED,
    "rollout.rejected": Colour.RED,
    "rollout.stuck": Colour.RED,
    "rollout.paused": Colour.YELLOW,
    "rollout.completed": Colour.GREEN,
    "rollout.promoted": Colour.GREEN,
    "route.applied": Colour.GREEN,
    "route.refused": Colour.RED,
    "route.drifted": Colour.YELLOW,
    "event": Colour.DIM,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    Attributes:
        id: Of the event; equal ones are one fact.
        at: Seconds since the epoch.
        kind: Event type without prefix and version, `event` for a Kubernetes Event.
        key: `<namespace>/<rollout>`.
        text: For people.
        cause: What caused it: an event's id or `k8s:…`; empty when not known.
        actor: Who, where known.
        document: The whole of it, for JSON.
    """

    id: str
    at: float
    kind: str
    key: str
    text: str
    cause: str = ""
    actor: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)


# From the bus


def bus_entry(event: Event) -> Entry:
    """Return an event of the bus."""
    document: dict[str, Any] = {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "subject": event.subject,
        "time": format_micro_time(event.time),
        "partitionkey": event.key,
        "epoch": event.epoch,
        "causationid": event.causation_id,
        "actor": event.actor,
        "traceparent": event.traceparent,
        "datacontenttype": "application/json",
        "data": event.payload.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    return Entry(
        id=event.id,
        at=event.time,
        kind=_short(event.type),
        key=event.key,
        text=describe(event.payload),
        cause=event.causation_id,
        actor=event.actor or "",
        document={name: value for name, value in document.items() if value not in (None, "")},
    )


def describe(payload: Payload) -> str:
    """Return what an event says, in a line."""
    match payload:
        case RolloutCommanded():
            return f"{payload.action} wanted"
        case RouteRequested(route=route):
            weights = route.weights
            return f"epoch {payload.epoch}: canary {weights.canary}, stable {weights.stable}"
        case RouteDrifted():
            return f"{payload.object} was changed: {_splits(payload) or payload.message}"
        case RouteFact():
            parts = [f"epoch {payload.epoch}", payload.level or "", _splits(payload)]
            return ": ".join(part for part in (" ".join(parts[:2]).strip(), parts[2]) if part) + (
                f" ({payload.message})" if payload.message and not payload.level else ""
            )
        case AnalysisMeasured():
            value = f" {payload.value}" if payload.value else ""
            return f"{payload.run}: {payload.metric} #{payload.index}{value} {payload.phase}"
        case AnalysisJudged():
            words = f": {payload.message}" if payload.message else ""
            return f"{payload.run}: {payload.phase}{words}"
        case _:
            return payload.message or payload.reason


def _splits(fact: RouteFact) -> str:
    """Return the splits that were read back."""
    return "; ".join(_split(answer.observed) for answer in fact.answers if answer.observed)


def _split(shares: Iterable[BackendShare]) -> str:
    return ", ".join(f"{share.service} {share.weight}" for share in shares)


# From the objects


def object_entries(rollout: Manifest) -> list[Entry]:
    """Return what a Rollout itself remembers: its last transitions and its newest route."""
    status = HeadraceStatus.remembered(section(rollout, "status", "headrace"))
    entries = [entry for each in status.history for entry in _history_entries(rollout, each)]
    if status.route is not None:
        entries += _route_entries(rollout, status)
    return entries


def _history_entries(rollout: Manifest, transition: Transition) -> Iterator[Entry]:
    uid = text(rollout, "metadata", "uid")
    if transition.command is not None:
        # The answer to a command remembers the command, too: by its id and its sender.
        yield Entry(
            id=transition.causation,
            at=time_of(transition.at) or 0.0,
            kind=_short(RolloutCommanded.EVENT_TYPE),
            key=_key(rollout),
            text=f"command {transition.command}",
            actor=transition.actor or "",
            document={"type": RolloutCommanded.EVENT_TYPE, "subject": _key(rollout)},
        )
    yield Entry(
        id=event_id(uid, transition.epoch, transition.type, transition.ordinal),
        at=time_of(transition.at) or 0.0,
        kind=_short(transition.type),
        key=_key(rollout),
        text=transition.message or transition.reason,
        cause=transition.causation,
        actor=transition.actor or "",
        document={"type": transition.type, "subject": _key(rollout), "data": transition.dump()},
    )


def _route_entries(rollout: Manifest, status: HeadraceStatus) -> Iterator[Entry]:
    route, acknowledged = status.route, status.acknowledged
    assert route is not None
    kind = RouteRequested.EVENT_TYPE
    requested = event_id(route.uid, route.epoch, kind, route.renewal)
    weights = route.weights
    yield Entry(
        id=requested,
        at=time_of(route.decided_at) or 0.0,
        kind=_short(kind),
        key=_key(rollout),
        text=f"epoch {route.epoch}: canary {weights.canary}, stable {weights.stable}",
        cause=route.causation,
        actor=route.actor or "",
        document={"type": kind, "subject": _key(rollout), "data": {"route": route.dump()}},
    )
    if acknowledged is None or acknowledged.at is None or acknowledged.epoch != route.epoch:
        return
    yield Entry(
        id=event_id(route.uid, route.epoch, RouteApplied.EVENT_TYPE, acknowledged.level),
        at=max(time_of(acknowledged.at) or 0.0, time_of(route.decided_at) or 0.0),
        kind="route.applied",
        key=_key(rollout),
        text=f"epoch {acknowledged.epoch} {acknowledged.level}: canary {acknowledged.canary}",
        cause=requested,
        document={
            "type": RouteApplied.EVENT_TYPE,
            "subject": _key(rollout),
            "data": acknowledged.dump(),
        },
    )


def kubernetes_entry(event: Manifest) -> Entry:
    """Return a Kubernetes Event."""
    involved = section(event, "involvedObject")
    at = text(event, "lastTimestamp") or text(event, "eventTime") or text(event, "firstTimestamp")
    times = count(event, "count")
    repeated = f" (x{times})" if times > 1 else ""
    return Entry(
        id=f"{text(event, 'metadata', 'uid')}/{times}",
        at=_event_time(event) or time_of(at) or 0.0,
        kind="event",
        key=f"{involved.get('namespace', '')}/{involved.get('name', '')}",
        text=f"{event.get('reason', '')}: {event.get('message', '')}{repeated}",
        document={
            "type": "kubernetes.event",
            "subject": f"{involved.get('namespace', '')}/{involved.get('name', '')}",
            "data": {name: event.get(name) for name in ("type", "reason", "message", "count")},
        },
    )


def _event_time(event: Manifest) -> float | None:
    """Return the time in the Event's name, which is finer than its timestamps."""
    _, _, suffix = text(event, "metadata", "name").rpartition(".")
    stamp = time_of(text(event, "lastTimestamp"))
    try:
        seconds = int(suffix, 16) / 1e9
    except ValueError:
        return None
    return seconds if stamp is not None and abs(seconds - stamp) < 2 else None


def _key(rollout: Manifest) -> str:
    return f"{text(rollout, 'metadata', 'namespace')}/{text(rollout, 'metadata', 'name')}"


def _short(event_type: str) -> str:
    return event_type.removeprefix(_PREFIX).rpartition(".")[0]


# As lines


@dataclass(slots=True)
class EventLog:
    """Turns entries into lines, in the order in which they happened, each once.

    Attributes:
        with_key: Lead with the Rollout.
        zone: Of the times.
        palette: For the colours.
    """

    with_key: bool = False
    zone: tzinfo = UTC
    palette: Palette = PLAIN
    _depths: dict[str, int] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def new(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the entries that were not there before, oldest first; causes before effects."""
        fresh = {entry.id: entry for entry in entries if entry.id not in self._seen}
        self._seen.update(fresh)
        ordered: dict[str, Entry] = {}
        for entry in sorted(fresh.values(), key=lambda entry: entry.at):
            for each in _with_causes(entry, fresh):
                ordered.setdefault(each.id, each)
        return [*ordered.values()]

    def lines(self, entries: Iterable[Entry]) -> list[str]:
        """Return new entries as lines."""
        return [line for entry in self.new(entries) for line in self._lines(entry)]

    def json_lines(self, entries: Iterable[Entry]) -> list[str]:
        """Return new entries as one JSON document each."""
        return [
            json.dumps(document, ensure_ascii=False, separators=(",", ":"))
            for document in self.documents(entries)
        ]

    def documents(self, entries: Iterable[Entry]) -> list[dict[str, Any]]:
        """Return new entries as JSON objects."""
        return [_document(entry) for entry in self.new(entries)]

    def _lines(self, entry: Entry) -> Iterator[str]:
        if entry.cause.startswith(_OBJECT_CAUSE) and entry.cause not in self._depths:
            self._depths[entry.cause] = 0
            version = entry.cause.rpartition("/")[2]
            actor = entry.actor
            yield self._line(entry, 0, "object changed", f"resourceVersion {version}", actor=actor)
        depth = self._depths[entry.cause] + 1 if entry.cause in self._depths else 0
        self._depths[entry.id] = depth
        actor = "" if entry.cause in self._depths else entry.actor
        yield self._line(entry, depth, entry.kind, entry.text, actor=actor)

    def _line(self, entry: Entry, depth: int, kind: str, words: str, *, actor: str) -> str:
        moment = datetime.fromtimestamp(entry.at, self.zone)
        clock = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
        key = f"  {entry.key}" if self.with_key else ""
        arrow = "   " * (min(depth, _DEPTH_MAX) - 1) + "└▸ " if depth else ""
        name = self.palette.paint(kind, _COLOURS.get(kind))
        blanks = " " * max(_TYPE_WIDTH - len(arrow) - len(kind), 2)
        by = f" (by {actor})" if actor else ""
        time_text = self.palette.paint(clock, Colour.DIM)
        said = " ".join(words.splitlines())
        return f"{time_text}{key}  {arrow}{name}{blanks}{said}{by}".rstrip()


def _with_causes(entry: Entry, fresh: Mapping[str, Entry]) -> list[Entry]:
    """Return an entry after those of its causes that are new, too: clocks differ a little."""
    chain = [entry]
    while chain[-1].cause in fresh and len(chain) <= len(fresh):
        chain.append(fresh[chain[-1].cause])
    return chain[::-1]


def _document(entry: Entry) -> dict[str, Any]:
    document = dict(entry.document)
    document.setdefault("id", entry.id)
    document.setdefault("time", format_micro_time(entry.at))
    if entry.cause:
        document.setdefault("causationid", entry.cause)
    if entry.actor:
        document.setdefault("actor", entry.actor)
    return document
