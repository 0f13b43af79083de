"""The Bus port in memory: an in-process broker that several buses share.

For the all-in-one, the demo, tests and simulators. It keeps the promises of the port (order per
partition, offsets per group, coalesced requests, a bounded queue while the broker is away)
without suspending: what is published is stored and acknowledged before `publish` returns, and
`poll(0)` never yields, so that a simulator can drive it without an event loop.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Final

from headrace.errors import Unavailable
from headrace.events.envelope import Event
from headrace.events.topics import Topic
from headrace.runtime.bus import BusObserver, Record
from headrace.runtime.bus_queue import (
    QUEUE_SIZE_MAX,
    Outgoing,
    PublishQueue,
    dead_letter,
    outgoing_event,
)

RECORDS_MAX: Final = 10_000
"""Records that a partition retains."""

POLL_RECORDS_MAX: Final = 500
"""Records that one poll returns."""

_Place = tuple[str, int]  # topic, partition


class MemoryBroker:
    """The logs and committed offsets that buses share.

    Args:
        records_max: Records retained per partition, >= 1; older ones are forgotten.
    """

    def __init__(self, records_max: int = RECORDS_MAX) -> None:
        self._records_max = records_max
        self._logs: defaultdict[_Place, deque[Record]] = defaultdict(deque)
        self._ends: defaultdict[_Place, int] = defaultdict(int)
        self._committed: dict[tuple[str, str, int], int] = {}
        self._buses: list[Callable[[], None]] = []
        self._readers: list[Callable[[], None]] = []
        self._is_up = True

    @property
    def is_up(self) -> bool:
        """True while the broker answers."""
        return self._is_up

    @is_up.setter
    def is_up(self, is_up: bool) -> None:
        if is_up != self._is_up:
            self._is_up = is_up
            _call(self._buses)
            _call(self._readers)

    def append(self, message: Outgoing) -> None:
        """Store a message at the end of its partition."""
        place = (message.topic, message.partition)
        offset = self._ends[place]
        self._ends[place] = offset + 1
        log = self._logs[place]
        log.append(
            Record(
                topic=message.topic,
                partition=message.partition,
                offset=offset,
                key=message.key,
                headers=dict(message.headers),
                value=message.value,
            )
        )
        if len(log) > self._records_max:
            log.popleft()
        _call(self._readers)

    def records(self, topic: str) -> tuple[Record, ...]:
        """Return what is retained of a topic, partition by partition."""
        places = sorted(place for place in self._logs if place[0] == topic)
        return tuple(record for place in places for record in self._logs[place])

    def read(self, topic: str, partition: int, offset: int, count: int) -> tuple[Record, ...]:
        """Return up to `count` records from `offset` on, or from the oldest retained."""
        log = self._logs[(topic, partition)]
        if not log:
            return ()
        first = max(offset - log[0].offset, 0)
        return tuple(log[index] for index in range(first, min(first + count, len(log))))

    def committed(self, group: str, topic: str, partition: int) -> int:
        """Return the offset that a group reads next, 0 where it committed nothing."""
        return self._committed.get((group, topic, partition), 0)

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Remember the offset that a group reads next."""
        self._committed[(group, topic, partition)] = offset

    def connect(self, on_change: Callable[[], None]) -> None:
        """Call `on_change` whenever the broker goes or comes back."""
        self._buses.append(on_change)

    def disconnect(self, on_change: Callable[[], None]) -> None:
        """Stop calling `on_change`."""
        self._buses.remove(on_change)

    def add_reader(self, wake: Callable[[], None]) -> None:
        """Call `wake` whenever there may be something to read."""
        self._readers.append(wake)

    def remove_reader(self, wake: Callable[[], None]) -> None:
        """Stop calling `wake`."""
        if wake in self._readers:
            self._readers.remove(wake)


def _call(listeners: Sequence[Callable[[], None]]) -> None:
    for listener in tuple(listeners):
        listener()


class MemoryBus:
    """One service's connection to a `MemoryBroker`.

    Args:
        broker: Shared by all services of the process.
        group: Under which this service commits.
        queue_size_max: Messages that may wait while the broker is away.
    """

    def __init__(
        self, broker: MemoryBroker, group: str, *, queue_size_max: int = QUEUE_SIZE_MAX
    ) -> None:
        self._broker = broker
        self._group = group
        self._queue = PublishQueue(queue_size_max)
        self._is_started = False
        self._was_up = False
        self._watchers: list[Callable[[bool], None]] = []

    def publish(
        self,
        topic: Topic,
        event: Event,
        *,
        is_request: bool = False,
        on_delivered: Callable[[Event], None] | None = None,
    ) -> bool:
        """Store an event, or queue it while the broker is away."""
        return self._send(
            outgoing_event(topic, event, is_request=is_request, on_delivered=on_delivered)
        )

    def bury(self, topic: Topic, record: Record, reason: str) -> bool:
        """Store a record among the dead letters of its topic."""
        return self._send(dead_letter(topic, record, reason))

    def consumer(self, topics: Sequence[Topic]) -> MemoryConsumer:
        """Return a consumer of these topics."""
        return MemoryConsumer(self._broker, self._group, topics)

    @property
    def is_up(self) -> bool:
        """True between start and close while the broker is up."""
        return self._is_started and self._broker.is_up

    @property
    def queued(self) -> int:
        """How many messages wait for the broker."""
        return len(self._queue)

    def observe(self, observer: BusObserver) -> None:
        """Tell `observer` from now on what becomes of events."""
        self._queue.observe(observer)

    def watch(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(is_up)` on each change."""
        self._watchers.append(listener)

    async def start(self) -> None:
        """Connect and send what was published before."""
        if not self._is_started:
            self._is_started = True
            self._broker.connect(self._broker_changed)
            self._broker_changed()

    async def close(self) -> None:
        """Disconnect; what still waits for the broker is lost, as with any process that ends."""
        if self._is_started:
            self._is_started = False
            self._broker.disconnect(self._broker_changed)
            self._tell()

    def _send(self, message: Outgoing) -> bool:
        is_accepted = self._queue.put(message)
        self._flush()
        return is_accepted

    def _broker_changed(self) -> None:
        self._tell()
        self._flush()

    def _tell(self) -> None:
        if self.is_up == self._was_up:
            return
        self._was_up = self.is_up
        for watcher in self._watchers:
            watcher(self._was_up)

    def _flush(self) -> None:
        while self.is_up and len(self._queue):
            for message in self._queue.take(1):
                self._broker.append(message)
                self._queue.acknowledged(message)


class MemoryConsumer:
    """Reads partitions of a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[Topic]) -> None:
        self._broker = broker
        self._group = group
        self._topics = tuple(topics)
        self._positions: dict[_Place, int] = {}
        self._wake = asyncio.Event()
        self._is_closed = False
        broker.add_reader(self._wake.set)

    async def assign(self, partitions: frozenset[int]) -> None:
        """Read exactly these partitions of all its topics from now on."""
        places = [(topic.name, number) for topic in self._topics for number in sorted(partitions)]
        self._positions = {
            place: self._positions.get(place, self._broker.committed(self._group, *place))
            for place in places
        }
        self._wake.set()

    async def poll(self, timeout_seconds: float) -> Sequence[Record]:
        """Return the next records, () after the timeout or while the broker is away."""
        records = self._read()
        if records or timeout_seconds <= 0:
            return records
        try:
            async with asyncio.timeout(timeout_seconds):
                while not records:
                    self._wake.clear()
                    await self._wake.wait()
                    records = self._read()
        except TimeoutError:
            return ()
        return records

    async def commit(self, partitions: frozenset[int]) -> None:
        """Commit what was polled so far on these partitions."""
        if not self._broker.is_up:
            raise Unavailable("the broker is away")
        for (topic, partition), offset in self._positions.items():
            if partition in partitions:
                self._broker.commit(self._group, topic, partition, offset)

    async def close(self) -> None:
        """Stop reading."""
        self._is_closed = True
        self._broker.remove_reader(self._wake.set)
        self._wake.set()

    def _read(self) -> list[Record]:
        if self._is_closed or not self._broker.is_up:
            return []
        found: list[Record] = []
        for place, offset in self._positions.items():
            records = self._broker.read(*place, offset, POLL_RECORDS_MAX - len(found))
            if records:
                found += records
                self._positions[place] = records[-1].offset + 1
        return found
