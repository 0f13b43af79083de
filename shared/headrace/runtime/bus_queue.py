"""The bounded queue between `publish` and the broker; both bus adapters use it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.events.envelope import Event, encode
from headrace.events.topics import Topic
from headrace.runtime.bus import BusObserver, Record, SilentObserver

QUEUE_SIZE_MAX: Final = 10_000
"""Messages that may wait for the broker; at about 1 KB each, some 10 MB."""

DEAD_HEADER_PREFIX: Final = "headrace_dead_"
"""Headers of a dead letter that say why and from where."""

_REASON_LENGTH_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that waits for the broker.

    Attributes:
        topic: Full name.
        partition: Where it goes.
        key: Of the message.
        headers: Of the message.
        value: Of the message.
        slot: Messages with the same slot replace each other; None keeps them all.
        acknowledge: Called after the broker's acknowledgement.
    """

    topic: str
    partition: int
    key: str
    headers: dict[str, str]
    value: bytes
    slot: Hashable | None = None
    acknowledge: Callable[[], None] | None = None


def outgoing_event(
    topic: Topic,
    event: Event,
    *,
    is_request: bool,
    on_delivered: Callable[[Event], None] | None,
) -> Outgoing:
    """Return the message of an event; requests of one (topic, key, type) share a slot."""
    key, headers, value = encode(event)
    return Outgoing(
        topic=topic.name,
        partition=topic.partition(key),
        key=key,
        headers=headers,
        value=value,
        slot=(topic.name, key, event.type) if is_request else None,
        acknowledge=None if on_delivered is None else lambda: on_delivered(event),
    )


def dead_letter(topic: Topic, record: Record, reason: str) -> Outgoing:
    """Return the message that buries a record: as it came, with reason and origin in headers."""
    return Outgoing(
        topic=topic.dead_letters.name,
        partition=record.partition,
        key=record.key,
        headers={
            **record.headers,
            f"{DEAD_HEADER_PREFIX}reason": reason[:_REASON_LENGTH_MAX],
            f"{DEAD_HEADER_PREFIX}topic": record.topic,
            f"{DEAD_HEADER_PREFIX}partition": str(record.partition),
            f"{DEAD_HEADER_PREFIX}offset": str(record.offset),
        },
        value=record.value,
    )


class PublishQueue:
    """First in, first out, bounded; of the messages of one slot only the newest waits."""

    def __init__(self, size_max: int = QUEUE_SIZE_MAX) -> None:
        self._size_max = size_max
        self._waiting: OrderedDict[Hashable, Outgoing] = OrderedDict()
        self._numbered = 0
        self._observer: BusObserver = SilentObserver()

    def __len__(self) -> int:
        return len(self._waiting)

    def observe(self, observer: BusObserver) -> None:
        """Tell `observer` from now on what becomes of messages."""
        self._observer = observer

    def put(self, message: Outgoing) -> bool:
        """Append a message; False when there is no room.

        A message that replaces another of its slot takes a place at the end: what its sender
        said before it stays before it.
        """
        if message.slot is not None:
            self._waiting.pop(message.slot, None)
        if len(self._waiting) >= self._size_max:
            self._observer.refused(message.topic)
            return False
        self._waiting[self._place(message)] = message
        return True

    def take(self, count: int) -> list[Outgoing]:
        """Remove and return up to `count` messages, oldest first."""
        taken = min(count, len(self._waiting))
        return [self._waiting.popitem(last=False)[1] for _ in range(taken)]

    def give_back(self, messages: Sequence[Outgoing]) -> None:
        """Put taken messages back to the front, in their order.

        A request whose successor waits by now is forgotten. The bound does not hold here:
        what was accepted is kept.
        """
        for message in reversed(messages):
            if message.slot is not None and message.slot in self._waiting:
                continue
            place = self._place(message)
            self._waiting[place] = message
            self._waiting.move_to_end(place, last=False)

    def acknowledged(self, message: Outgoing) -> None:
        """Note that the broker has a message that was taken, and tell its sender."""
        self._observer.published(message.topic)
        if message.acknowledge is not None:
            message.acknowledge()

    def _place(self, message: Outgoing) -> Hashable:
        if message.slot is not None:
            return message.slot
        self._numbered += 1
        return self._numbered
