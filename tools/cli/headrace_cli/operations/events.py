"""`events`: what happened to Rollouts, from the bus or, without one, from the objects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from headrace.errors import RolloutError, Unavailable, UnknownEvent
from headrace.events.envelope import decode
from headrace.kubernetes.resources import EVENTS, ROLLOUTS, Manifest
from headrace.model.quantities import Instant
from headrace.runtime.bus import Record
from headrace.runtime.bus_kafka import KafkaReader
from headrace.runtime.cluster import Selection
from headrace_cli.bus_options import BusOptions
from headrace_cli.failures import Failure, about
from headrace_cli.operations import bus
from headrace_cli.operations.following import follow
from headrace_cli.operations.naming import read
from headrace_cli.session import Session
from headrace_cli.views.events import (
    Entry,
    EventLog,
    bus_entry,
    kubernetes_entry,
    object_entries,
)

_POLL_SECONDS: Final = 0.2
_SETTLE_SECONDS: Final = 0.3
"""How long what comes is collected before it is shown, causes before effects."""


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events.

    Attributes:
        name: Of one Rollout; empty for all.
        is_everywhere: Of all namespaces.
        since: Nothing older than this, seconds since the epoch.
        is_followed: Go on until the user ends it.
        is_json: One JSON document per line instead of lines for people.
    """

    name: str = ""
    is_everywhere: bool = False
    since: float = 0.0
    is_followed: bool = False
    is_json: bool = False

    @property
    def is_of_one(self) -> bool:
        """Whether one Rollout is meant: a name in all namespaces may be that of several."""
        return bool(self.name) and not self.is_everywhere

    def namespace(self, session: Session) -> str | None:
        """Return the namespace, None for all."""
        return None if self.is_everywhere else session.namespace


async def show_events(session: Session, query: EventQuery, options: BusOptions) -> None:
    """Print events, and with `is_followed` each new one. Raises Failure."""
    printer = _Printer(session, query)
    if options.bootstrap_servers:
        await _show_bus(session, query, options, printer)
    else:
        await _show_objects(session, query, printer)


class _Printer:
    """Prints the entries that a query wants."""

    def __init__(self, session: Session, query: EventQuery) -> None:
        self._terminal = session.terminal
        self._query = query
        self._log = EventLog(
            with_key=not query.is_of_one,
            zone=local_zone(session),
            palette=session.terminal.palette(),
        )

    def print(self, entries: Iterable[Entry]) -> None:
        """Print what is new."""
        wanted = [entry for entry in entries if entry.at >= self._query.since]
        log = self._log
        lines = log.json_lines(wanted) if self._query.is_json else log.lines(wanted)
        self._terminal.print(*lines)
        if not lines and not self._query.is_followed:
            self._terminal.complain("No events found.")


def local_zone(session: Session) -> tzinfo:
    """Return the time zone of the user."""
    return datetime.fromtimestamp(session.clock.now(), UTC).astimezone().tzinfo or UTC


# From the bus


async def _show_bus(
    session: Session, query: EventQuery, options: BusOptions, printer: _Printer
) -> None:
    rollout = await _labelled(session, query.name) if query.name else None
    settings, topics = bus.connect(options, rollout)
    bus.silence_logs()
    key = f"{session.namespace}/{query.name}"
    partitions = {topics.steps.partition(key)} if query.is_of_one else None
    try:
        reader = await KafkaReader.open(
            settings, topics.all(), since=Instant(query.since), partitions=partitions
        )
        try:
            entries: list[Entry] = []
            while not await reader.is_at_end():
                entries += _wanted(session, query, await reader.poll(_POLL_SECONDS))
            printer.print(entries)
            while query.is_followed:
                first = await reader.poll(_POLL_SECONDS)
                if first:
                    # An effect may be read before its cause, which comes by another topic.
                    await session.clock.sleep(_SETTLE_SECONDS)
                    rest = await reader.poll(_POLL_SECONDS)
                    printer.print(_wanted(session, query, [*first, *rest]))
        finally:
            await reader.close()
    except Unavailable as error:
        raise Failure(
            f"Kafka at {settings.bootstrap_servers}: {error}\n"
            "Are --bootstrap-servers, --cluster-name and --instance-id those of the services?"
        ) from error


async def _labelled(session: Session, name: str) -> Manifest | None:
    """Return the Rollout for its label; its events may be told after its end, too."""
    try:
        return await session.cluster.get(ROLLOUTS, session.namespace, name)
    except RolloutError:
        return None


def _wanted(session: Session, query: EventQuery, records: Iterable[Record]) -> list[Entry]:
    entries = []
    namespace = query.namespace(session)
    for record in records:
        in_namespace, _, name = record.key.partition("/")
        if namespace not in (None, in_namespace) or query.name not in ("", name):
            continue
        try:
            entries.append(bus_entry(decode(record.key, record.headers, record.value)))
        except UnknownEvent as error:
            place = f"{record.topic}, partition {record.partition}, offset {record.offset}"
            session.terminal.complain(f"not readable: {place}: {error}")
    return entries


# From the objects


async def _show_objects(session: Session, query: EventQuery, printer: _Printer) -> None:
    if query.is_of_one:
        await read(session, ROLLOUTS, query.name)
    namespace = query.namespace(session)
    involved = "involvedObject.kind=Rollout"
    selections = {
        ROLLOUTS: Selection(namespace, fields=f"metadata.name={query.name}" if query.name else ""),
        EVENTS: Selection(
            namespace,
            fields=f"{involved},involvedObject.name={query.name}" if query.name else involved,
        ),
    }
    if not query.is_followed:
        with about("events"):
            rollouts = await session.cluster.list(ROLLOUTS, selections[ROLLOUTS])
            events = await session.cluster.list(EVENTS, selections[EVENTS])
        printer.print(_entries(rollouts.items, events.items))
        return
    async with follow(session.cluster, selections) as followed:
        while True:
            printer.print(_entries(followed.all(ROLLOUTS), followed.all(EVENTS)))
            await followed.wait()
            await session.clock.sleep(_SETTLE_SECONDS)


def _entries(rollouts: Iterable[Manifest], events: Iterable[Manifest]) -> list[Entry]:
    remembered = [entry for rollout in rollouts for entry in object_entries(rollout)]
    return [*remembered, *(kubernetes_entry(event) for event in events)]
