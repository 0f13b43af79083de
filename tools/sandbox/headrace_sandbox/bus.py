"""The Bus port over a broker that loses, doubles, delays and reorders, and is away at times.

The broker hands each message to the replica of a service that holds its partition, at a time of
its own: so nothing keeps its order. What nobody can take waits; what was handed over shortly
before a crash comes again, as offsets are committed later than messages are handled.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, Protocol

from headrace.events.envelope import Event
from headrace.events.topics import Topic
from headrace.runtime.bus import BusObserver, Consumer, Record
from headrace.runtime.bus_queue import Outgoing, PublishQueue, dead_letter, outgoing_event
from headrace_sandbox.clock import Suspended
from headrace_sandbox.faults import Kind
from headrace_sandbox.world import World

_LATENCY_SECONDS: Final = 0.005
_DELAY_SECONDS_MAX: Final = 20.0
_COMMIT_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.5
_WAITING_MAX: Final = 1_000
"""Messages that wait for a reader of their partition; older ones have outlived their use."""


class Reader(Protocol):
    """A replica that may read."""

    name: str

    @property
    def is_bus_cut_off(self) -> bool:
        """Whether the broker cannot be reached from here."""
        ...

    def reads(self, topic: str, partition: int) -> bool:
        """Whether it reads a partition of a topic now."""
        ...

    def take(self, record: Record) -> bool:
        """Handle a record; False when it must come again."""
        ...


class Listener(Protocol):
    """Looks on at what is published."""

    def published(self, identity: str, message: Outgoing) -> None:
        """Hear of a message that the broker took."""
        ...


class Broker:
    """Stores nothing but what is under way."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.stream("broker")
        self._services: dict[str, list[Reader]] = {}
        self._waiting: defaultdict[str, deque[Record]] = defaultdict(
            lambda: deque(maxlen=_WAITING_MAX)
        )
        self._recent: defaultdict[str, deque[tuple[float, Record]]] = defaultdict(
            lambda: deque(maxlen=_WAITING_MAX)
        )
        self._buses: list[NodeBus] = []
        self._listeners: list[Listener] = []
        self._offset = 0
        self.down_until = 0.0

    @property
    def is_down(self) -> bool:
        """Whether it answers nobody."""
        return self._world.now < self.down_until

    def listen(self, listener: Listener) -> None:
        """Tell `listener` every message."""
        self._listeners.append(listener)

    def register(self, service: str, readers: Sequence[Reader]) -> None:
        """Let the replicas of a service share its messages."""
        self._services[service] = [*readers]

    def connect(self, bus: NodeBus) -> None:
        """Tell a bus when the broker comes and goes."""
        self._buses.append(bus)

    def disconnect(self, bus: NodeBus) -> None:
        """Forget a bus."""
        if bus in self._buses:
            self._buses.remove(bus)

    def look(self) -> None:
        """Let every bus notice whether the broker can be reached; hand out what waits."""
        for bus in [*self._buses]:
            bus.look()
        for service in self._services:
            self.hand_out(service)

    def append(self, identity: str, message: Outgoing) -> None:
        """Take a message and send it on its way to every service."""
        self._offset += 1
        for listener in self._listeners:
            listener.published(identity, message)
        headers = dict(message.headers)
        record = Record(
            message.topic, message.partition, self._offset, message.key, headers, message.value
        )
        for service in self._services:
            self._send(service, record)

    def crashed(self, service: str, reader: Reader) -> None:
        """Send again what a replica handled after its last commit."""
        recent = self._recent.pop(reader.name, ())
        for at, record in recent:
            if at > self._world.now - _COMMIT_SECONDS:
                self._schedule(service, record, _RETRY_SECONDS)

    def hand_out(self, service: str) -> None:
        """Try again to hand over what waited for a reader."""
        waiting = self._waiting[service]
        for _ in range(len(waiting)):
            self._deliver(service, waiting.popleft())

    def _send(self, service: str, record: Record) -> None:
        strikes = self._world.faults.strikes
        if strikes(Kind.EVENT_LOSS, service) is not None:
            return
        copies = 2 if strikes(Kind.EVENT_DUPLICATE, service) is not None else 1
        for _ in range(copies):
            delay = self._rng.expovariate(1 / _LATENCY_SECONDS)
            if (fault := strikes(Kind.EVENT_DELAY, service)) is not None:
                delay += fault.size**2 * _DELAY_SECONDS_MAX
            self._schedule(service, record, delay)

    def _schedule(self, service: str, record: Record, delay: float) -> None:
        self._world.after(delay, lambda: self._deliver(service, record))

    def _deliver(self, service: str, record: Record) -> None:
        if self.is_down:
            self._waiting[service].append(record)
            return
        for reader in self._services[service]:
            if not reader.is_bus_cut_off and reader.reads(record.topic, record.partition):
                if reader.take(record):
                    self._recent[reader.name].append((self._world.now, record))
                else:
                    self._schedule(service, record, _RETRY_SECONDS)
                return
        if self._is_read(service, record.topic):
            self._waiting[service].append(record)

    def _is_read(self, service: str, topic: str) -> bool:
        """Whether a service reads a topic at all."""
        return any(topic in getattr(r, "topics", ()) for r in self._services[service])


class NodeBus:
    """One process' connection to the broker.

    Args:
        world: For the delays of acknowledgements.
        broker: Of all.
        host: The node.
        later: Calls something later on behalf of the process.
    """

    def __init__(
        self,
        broker: Broker,
        host: Reader,
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._broker = broker
        self._host = host
        self._later = later
        self._queue = PublishQueue()
        self._watchers: list[Callable[[bool], None]] = []
        self._was_up = False
        self._is_started = False

    @property
    def is_up(self) -> bool:
        """True while the broker answers."""
        return self._is_started and not self._broker.is_down and not self._host.is_bus_cut_off

    @property
    def queued(self) -> int:
        """How many messages wait for the broker."""
        return len(self._queue)

    def publish(
        self,
        topic: Topic,
        event: Event,
        *,
        is_request: bool = False,
        on_delivered: Callable[[Event], None] | None = None,
    ) -> bool:
        """Send an event, or keep it while the broker is away."""
        message = outgoing_event(topic, event, is_request=is_request, on_delivered=on_delivered)
        return self._put(message)

    def bury(self, topic: Topic, record: Record, reason: str) -> bool:
        """Send a record to the dead letters."""
        return self._put(dead_letter(topic, record, reason))

    def consumer(self, topics: Sequence[Topic]) -> Consumer:
        """Refuse: records are handed to nodes."""
        raise Suspended("a consumer polls")

    def observe(self, observer: BusObserver) -> None:
        """Tell `observer` from now on what becomes of events."""
        self._queue.observe(observer)

    def watch(self, listener: Callable[[bool], None]) -> None:
        """Call `listener` whenever the broker goes or comes back."""
        self._watchers.append(listener)

    async def start(self) -> None:
        """Connect."""
        self._is_started = True
        self._broker.connect(self)
        self.look()

    async def close(self) -> None:
        """Disconnect; what waits is lost."""
        self.die()

    def die(self) -> None:
        """Lose everything that waits."""
        self._is_started = False
        self._broker.disconnect(self)

    def look(self) -> None:
        """Notice whether the broker can be reached; send what waits when it can."""
        if self.is_up != self._was_up:
            self._was_up = self.is_up
            for watcher in self._watchers:
                watcher(self._was_up)
        self._flush()

    def _put(self, message: Outgoing) -> bool:
        is_accepted = self._queue.put(message)
        self._flush()
        return is_accepted

    def _flush(self) -> None:
        while self.is_up and len(self._queue):
            for message in self._queue.take(1):
                self._broker.append(self._host.name, message)
                self._later(_LATENCY_SECONDS, partial(self._acknowledge, message))

    def _acknowledge(self, message: Outgoing) -> None:
        self._queue.acknowledged(message)


def topics_named(topics: Iterable[Topic]) -> frozenset[str]:
    """Return the names of topics."""
    return frozenset(topic.name for topic in topics)
