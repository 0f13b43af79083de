"""From records of the bus to events of a service: decode, refuse, handle, commit.

One loop per topic, so that a topic full of rubbish stops alone. A service gives the handler
(`wake.py`: an event becomes a fact and wakes a key) and says which partitions it may read: those
of the shards whose Lease it holds.

Order of checks per record: the Lease of its partition; types of a later version, ignored so that
services can be updated one after the other; decoding, else the dead letters; a foreign partition,
a foreign cluster or a type of another topic, whose writers are others, ignored and counted; then
the handler. Offsets are committed after the handler and only while the Lease is held; whatever
comes twice is handled twice, handlers are idempotent.

Source: architecture, "Ownership" and "Topics and events".
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import structlog

from headrace.backoff import CONNECTION, Backoff
from headrace.errors import Conflict, LostOwnership, TransientError, UnknownEvent
from headrace.events.catalog import CATALOG
from headrace.events.envelope import Event, decode
from headrace.events.topics import Topic
from headrace.runtime.bus import Bus, Consumer, Record
from headrace.runtime.clock import Clock

log = structlog.get_logger(__name__)

Handler = Callable[[Event], Awaitable[None]]

IgnoredBecause = Literal["foreign key", "foreign cluster", "foreign topic", "later type"]

_TYPE_PREFIX: Final = "headrace."


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """How a consumer reads.

    Attributes:
        cluster: UID of the kube-system namespace; events of another source are ignored.
        poll_seconds: Longest wait for records, > 0; also how late a new assignment is noticed.
        commit_seconds: Offsets are committed at most this often; what was handled since comes
            again after a crash.
        ratio_max: Part of the last `window` records that may be undecodable, 0 to 1.
        window: How many records the ratio looks at; with fewer it is not judged.
        consecutive_max: Undecodable records in a row that are too many.
        retry: Delays between tries of a handler that failed for now.
        types: Event types that the handler wants; the others are passed by undecoded. Empty for
            all. Records without a type then go to the dead letters of another reader.
    """

    cluster: str
    poll_seconds: float = 0.5
    commit_seconds: float = 1.0
    ratio_max: float = 0.1
    window: int = 200
    consecutive_max: int = 20
    retry: Backoff = CONNECTION
    types: frozenset[str] = frozenset()


class ConsumerObserver(Protocol):
    """Who is told what becomes of records; the metrics implement it."""

    def handled(self, topic: str, event_type: str) -> None:
        """Note an event that its handler took."""
        ...

    def ignored(self, topic: str, because: IgnoredBecause) -> None:
        """Note a record that is none of this service's business."""
        ...

    def buried(self, topic: str) -> None:
        """Note a record that went to the dead letters."""
        ...

    def stopped(self, topic: str) -> None:
        """Note that a topic is not read any more: too many dead letters. An alert."""
        ...


class SilentObserver:
    """Tells nobody."""

    def handled(self, topic: str, event_type: str) -> None:
        """Do nothing."""

    def ignored(self, topic: str, because: IgnoredBecause) -> None:
        """Do nothing."""

    def buried(self, topic: str) -> None:
        """Do nothing."""

    def stopped(self, topic: str) -> None:
        """Do nothing."""


@dataclass(slots=True)
class DeadLetterCount:
    """How many of the last records of a topic were undecodable. Pure.

    A dead-letter topic that swallows everything is itself an incident.
    Source: arroyo's DlqLimit (max_invalid_ratio, max_consecutive_count).
    """

    settings: ConsumerSettings
    _recent: deque[bool] = field(default_factory=deque)
    _dead: int = 0
    _consecutive: int = 0

    def note(self, *, is_dead: bool) -> None:
        """Count one record."""
        self._recent.append(is_dead)
        self._dead += is_dead
        self._consecutive = self._consecutive + 1 if is_dead else 0
        if len(self._recent) > self.settings.window:
            self._dead -= self._recent.popleft()

    @property
    def is_exceeded(self) -> bool:
        """Whether the topic must not be read on."""
        if self._consecutive > self.settings.consecutive_max:
            return True
        is_full = len(self._recent) >= self.settings.window
        return is_full and self._dead > self.settings.ratio_max * len(self._recent)


class EventConsumer:
    """Feeds the events of some topics to a handler.

    Args:
        bus: Connection of this service.
        topics: Topics to read.
        handle: Takes one event; called for one event of a topic at a time. A TransientError or
            Conflict is tried again; any other error buries the record.
        may_commit: True while the Lease of the partition's shard is held.
        clock: For the pace of commits and retries.
        settings: How to read.
    """

    def __init__(
        self,
        bus: Bus,
        topics: Sequence[Topic],
        handle: Handler,
        may_commit: Callable[[int], bool],
        clock: Clock,
        settings: ConsumerSettings,
    ) -> None:
        self._bus = bus
        self._topics = tuple(topics)
        self._handle = handle
        self._may_commit = may_commit
        self._clock = clock
        self._settings = settings
        self._observer: ConsumerObserver = SilentObserver()
        self._partitions: frozenset[int] = frozenset()
        self._stopped: set[str] = set()

    @property
    def stopped_topics(self) -> frozenset[str]:
        """Topics that are not read any more because of too many dead letters."""
        return frozenset(self._stopped)

    def observe(self, observer: ConsumerObserver) -> None:
        """Tell `observer` from now on what becomes of records."""
        self._observer = observer

    def assign(self, partitions: frozenset[int]) -> None:
        """Read these partitions from now on; called when Leases come and go."""
        self._partitions = partitions

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as group:
            for topic in self._topics:
                group.create_task(self._read(topic))

    async def _read(self, topic: Topic) -> None:
        reader = _Reader(self._bus.consumer([topic]), self._clock, self._settings.commit_seconds)
        count = DeadLetterCount(self._settings)
        try:
            while not count.is_exceeded:
                await reader.assign(self._held())
                records = await reader.poll(self._settings.poll_seconds)
                lapsed = await self._take(topic, records, count)
                await reader.settle(lapsed)
                await reader.commit(self._held())
            self._stop(topic)
        finally:
            await reader.close(self._held())

    def _held(self) -> frozenset[int]:
        return frozenset(number for number in self._partitions if self._may_commit(number))

    def _stop(self, topic: Topic) -> None:
        self._stopped.add(topic.name)
        self._observer.stopped(topic.name)
        log.error(
            "too many dead letters, topic is not read any more",
            topic=topic.name,
            dead_letters=topic.dead_letters.name,
        )

    async def _take(
        self, topic: Topic, records: Sequence[Record], count: DeadLetterCount
    ) -> frozenset[int]:
        """Take records in order; return partitions whose Lease was lost meanwhile."""
        lapsed: set[int] = set()
        for record in records:
            if record.partition in lapsed:
                continue
            may_take = self._may_commit(record.partition) and not count.is_exceeded
            if not may_take or not await self._take_one(topic, record, count):
                lapsed.add(record.partition)
        return frozenset(lapsed)

    async def _take_one(self, topic: Topic, record: Record, count: DeadLetterCount) -> bool:
        """Take one record; False when its Lease was lost and it is left for the next holder."""
        if self._settings.types and record.headers.get("ce_type") not in self._settings.types:
            return True
        if _is_later_type(record):
            self._ignore(record, "later type")
            return True
        try:
            event = decode(record.key, record.headers, record.value)
            because = self._why_foreign(topic, record, event)
            if because is not None:
                self._ignore(record, because)
            elif not await self._hand_over(topic, record, event):
                return False
        except UnknownEvent as error:
            count.note(is_dead=True)
            await self._bury(topic, record, str(error))
        except Exception as error:  # the boundary: one event must not stop the others
            count.note(is_dead=True)
            log.exception("handler crashed", topic=topic.name, key=record.key)
            await self._bury(topic, record, f"handler: {type(error).__name__}: {error}")
        else:
            count.note(is_dead=False)
        return True

    def _why_foreign(self, topic: Topic, record: Record, event: Event) -> IgnoredBecause | None:
        if topic.partition(record.key) != record.partition:
            return "foreign key"
        if event.source != self._settings.cluster:
            return "foreign cluster"
        if CATALOG[event.type].topic != topic.kind:
            return "foreign topic"
        return None

    async def _hand_over(self, topic: Topic, record: Record, event: Event) -> bool:
        failures = 0
        while self._may_commit(record.partition):
            try:
                await self._handle(event)
            except (TransientError, Conflict, LostOwnership) as error:
                failures += 1
                log.info(
                    "event waits, its handler failed for now",
                    topic=topic.name,
                    key=event.key,
                    type=event.type,
                    error=str(error),
                )
                await self._clock.sleep(self._settings.retry.delay_seconds(failures))
            else:
                self._observer.handled(topic.name, event.type)
                return True
        return False

    async def _bury(self, topic: Topic, record: Record, reason: str) -> None:
        log.warning(
            "record goes to the dead letters",
            topic=topic.name,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
        )
        failures = 0
        while not self._bus.bury(topic, record, reason):
            failures += 1
            await self._clock.sleep(self._settings.retry.delay_seconds(failures))
        self._observer.buried(topic.name)

    def _ignore(self, record: Record, because: IgnoredBecause) -> None:
        self._observer.ignored(record.topic, because)
        log.debug(
            "record ignored",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            because=because,
        )


def _is_later_type(record: Record) -> bool:
    event_type = record.headers.get("ce_type", "")
    return event_type.startswith(_TYPE_PREFIX) and event_type not in CATALOG


class _Reader:
    """A consumer of the port that knows its assignment and when it committed last."""

    def __init__(self, consumer: Consumer, clock: Clock, commit_seconds: float) -> None:
        self._consumer = consumer
        self._clock = clock
        self._commit_seconds = commit_seconds
        self._assigned: frozenset[int] = frozenset()
        self._in_hand: frozenset[int] = frozenset()
        self._handled: set[int] = set()
        self._committed_at = clock.monotonic()

    async def assign(self, partitions: frozenset[int]) -> None:
        if partitions == self._assigned:
            return
        log.info("partitions assigned", partitions=sorted(partitions))
        self._handled &= partitions
        self._assigned = partitions
        await self._consumer.assign(partitions)

    async def poll(self, timeout_seconds: float) -> Sequence[Record]:
        records = await self._consumer.poll(timeout_seconds)
        self._in_hand = frozenset(record.partition for record in records)
        return records

    async def settle(self, lapsed: frozenset[int]) -> None:
        """Note that the polled records are handled, but for those of the lapsed partitions.

        These are given up, and read again from the committed offset when their Lease comes back.
        """
        self._handled |= self._in_hand
        self._in_hand = frozenset()
        if lapsed:
            await self.assign(self._assigned - lapsed)

    async def commit(self, partitions: frozenset[int], *, at_once: bool = False) -> None:
        due = at_once or self._clock.monotonic() - self._committed_at >= self._commit_seconds
        wanted = (partitions & self._handled) - self._in_hand
        if not due or not wanted:
            return
        self._committed_at = self._clock.monotonic()
        try:
            await self._consumer.commit(wanted)
        except TransientError as error:
            log.info("offsets not committed", error=str(error))
        else:
            self._handled -= wanted

    async def close(self, partitions: frozenset[int]) -> None:
        """Commit what was handled and stop reading; a batch in hand comes again."""
        try:
            await self.commit(partitions, at_once=True)
        finally:
            await self._consumer.close()
