"""The Bus port: ordered, audited event streams beside the durable objects.

Two adapters pass the same contract tests: `bus_kafka` and `bus_memory`. Nothing rests on the
bus: losing it costs latency, never correctness (architecture, section 2). Publishing is never
awaited by a reconcile: `publish` puts into a bounded queue and returns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.events.envelope import Event
from headrace.events.topics import Topic


@dataclass(frozen=True, slots=True)
class Record:
    """One message as consumed: raw, undecoded.

    Attributes:
        topic: Full topic name.
        partition: 0 to partitions - 1.
        offset: Position in the partition.
        key: `<namespace>/<rollout>`.
        headers: Lower-case header names to text.
        value: Payload bytes.
    """

    topic: str
    partition: int
    offset: int
    key: str
    headers: dict[str, str]
    value: bytes


class Consumer(Protocol):
    """Reads assigned partitions; offsets are committed under the service's group."""

    async def assign(self, partitions: frozenset[int]) -> None:
        """Read exactly these partitions of all its topics from now on.

        A partition that was assigned before goes on where it is; a new one begins at the
        group's committed offset, and at the oldest retained record where there is none.
        """
        ...

    async def poll(self, timeout_seconds: float) -> Sequence[Record]:
        """Return the next records, () after the timeout or while the broker is away."""
        ...

    async def commit(self, partitions: frozenset[int]) -> None:
        """Commit what was polled so far on these partitions, as far as they are assigned.

        Raises:
            Unavailable: The broker did not take it; what was polled comes again after a restart.
        """
        ...

    async def close(self) -> None:
        """Stop reading."""
        ...


class BusObserver(Protocol):
    """Who is told what becomes of events; the metrics implement it."""

    def published(self, topic: str) -> None:
        """Note a message that the broker acknowledged."""
        ...

    def refused(self, topic: str) -> None:
        """Note a message that found the queue full."""
        ...


class SilentObserver:
    """Tells nobody."""

    def published(self, topic: str) -> None:
        """Do nothing."""

    def refused(self, topic: str) -> None:
        """Do nothing."""


class Bus(Protocol):
    """One connection of one service to the broker."""

    def publish(
        self,
        topic: Topic,
        event: Event,
        *,
        is_request: bool = False,
        on_delivered: Callable[[Event], None] | None = None,
    ) -> bool:
        """Queue an event; never blocks.

        Requests are coalesced per (topic, key, type): a newer one replaces the one that waits.
        Facts are never dropped silently: returns False when the queue is full, and the outbox
        (status.headrace.history) publishes it again later. `on_delivered` runs on the event
        loop after the broker's acknowledgement (with a memory bus before `publish` returns); it
        must not raise, and is not called for a request that a newer one replaced.
        """
        ...

    def bury(self, topic: Topic, record: Record, reason: str) -> bool:
        """Queue a record of `topic` for its dead letters, as it came, with the reason in headers.

        Returns False when the queue is full; the consumer tries again before it reads on.
        """
        ...

    def consumer(self, topics: Sequence[Topic]) -> Consumer:
        """Return a consumer of these topics; nothing is read before `assign`."""
        ...

    @property
    def is_up(self) -> bool:
        """True while the broker answers."""
        ...

    @property
    def queued(self) -> int:
        """How many messages wait for the broker."""
        ...

    def observe(self, observer: BusObserver) -> None:
        """Tell `observer` from now on what becomes of events."""
        ...

    def watch(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(is_up)` on the event loop whenever the broker goes or comes back.

        Who has an outbox says again what it shows when the bus is up again.
        """
        ...

    async def start(self) -> None:
        """Connect in the background; returns at once even when the broker is away."""
        ...

    async def close(self) -> None:
        """Flush within the adapter's grace time and disconnect."""
        ...
