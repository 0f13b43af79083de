"""Sending: one task owns the producer.

It makes sure of the topics, connects, takes what waits in the queue, awaits the acknowledgements
and asks who the brokers are once a second, so that a dead one is noticed without traffic. When
anything fails, the producer is given up: what is not acknowledged goes back to the queue, and a
new producer sends it after a back-off. So a message may come twice, in order and with the same
id; none is lost, and no state of a broken producer survives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.protocol.metadata import MetadataRequest

from headrace.backoff import CONNECTION, Rng
from headrace.errors import Unavailable
from headrace.events.envelope import Event
from headrace.events.topics import Topic
from headrace.runtime.bus import BusObserver, Record
from headrace.runtime.bus_kafka.cancellation import client_cancels
from headrace.runtime.bus_kafka.complaints import ClientVoice, Complaint
from headrace.runtime.bus_kafka.consumer import KafkaConsumer
from headrace.runtime.bus_kafka.settings import CLIENT_ERRORS, KafkaSettings, connection
from headrace.runtime.bus_kafka.topics import ensure_topics
from headrace.runtime.bus_queue import Outgoing, PublishQueue, dead_letter, outgoing_event
from headrace.runtime.clock import Clock

log = structlog.get_logger(__name__)

_REFUSED: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
"""Messages that no broker takes, however often they are sent."""

_BATCH_MESSAGES_MAX: Final = 500
_BATCH_BYTES_MAX: Final = 256 * 1024

_LINGER_MILLISECONDS: Final = 5
"""How long a message waits for others of its burst."""

_PACE_SECONDS: Final = 0.5
"""Pause after a batch: what comes meanwhile goes together, which costs the broker and every reader
less; one message alone does not wait."""


class KafkaBus:
    """One service's connection to Kafka.

    Args:
        settings: Where and how.
        topics: Topics that this service sends to or reads; they and their dead letters must
            exist, with these numbers of partitions, before the bus is up.
        clock: For back-off.
        rng: For the jitter of back-off.
    """

    def __init__(
        self, settings: KafkaSettings, topics: Sequence[Topic], clock: Clock, rng: Rng
    ) -> None:
        self._settings = settings
        self._topics = (*topics, *(topic.dead_letters for topic in topics))
        self._clock = clock
        self._rng = rng
        self._queue = PublishQueue(settings.queue_size_max)
        self._has_work = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._topics_exist = asyncio.Event()
        self._in_flight: list[tuple[Outgoing, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._is_up = False
        self._watchers: list[Callable[[bool], None]] = []
        self._complaint = Complaint()

    def publish(
        self,
        topic: Topic,
        event: Event,
        *,
        is_request: bool = False,
        on_delivered: Callable[[Event], None] | None = None,
    ) -> bool:
        """Queue an event; never blocks."""
        return self._put(
            outgoing_event(topic, event, is_request=is_request, on_delivered=on_delivered)
        )

    def bury(self, topic: Topic, record: Record, reason: str) -> bool:
        """Queue a record for the dead letters of its topic."""
        return self._put(dead_letter(topic, record, reason))

    def consumer(self, topics: Sequence[Topic]) -> KafkaConsumer:
        """Return a consumer of these topics."""
        return KafkaConsumer(self._settings, topics, self._topics_exist, self._clock)

    @property
    def is_up(self) -> bool:
        """True while the broker answers and the topics exist."""
        return self._is_up

    @property
    def queued(self) -> int:
        """How many messages wait for the broker."""
        return len(self._queue) + len(self._in_flight)

    def observe(self, observer: BusObserver) -> None:
        """Tell `observer` from now on what becomes of events."""
        self._queue.observe(observer)

    def watch(self, listener: Callable[[bool], None]) -> None:
        """Call `listener(is_up)` on each change."""
        self._watchers.append(listener)

    async def start(self) -> None:
        """Connect in the background."""
        ClientVoice.listen()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="bus-kafka")
            self._task.add_done_callback(_tell_crash)

    async def close(self) -> None:
        """Wait for what is queued, within the grace time, and disconnect."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._is_up:
            await self._flush()
        if self.queued:
            log.warning("messages not sent before the end", messages=self.queued)
        task.cancel()
        await asyncio.wait([task])
        if self._leaving is not None:
            await asyncio.wait([self._leaving])

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(self._settings.grace_seconds):
                await self._is_idle.wait()
        except TimeoutError:
            log.warning("broker too slow for the grace time")

    def _put(self, message: Outgoing) -> bool:
        is_accepted = self._queue.put(message)
        self._has_work.set()
        self._is_idle.clear()
        return is_accepted

    def _set_up(self, is_up: bool) -> None:
        if is_up == self._is_up:
            return
        self._is_up = is_up
        for watcher in self._watchers:
            watcher(is_up)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                with client_cancels():
                    await self._session()
            except (*CLIENT_ERRORS, Unavailable) as error:
                failures = 1 if self._complaint.is_new(error) else failures + 1
            await self._clock.sleep(CONNECTION.delay_seconds(failures, self._rng))

    async def _session(self) -> None:
        """Serve with one producer until something fails."""
        await ensure_topics(self._settings, self._topics)
        self._topics_exist.set()
        producer = AIOKafkaProducer(
            **connection(self._settings),
            enable_idempotence=True,
            acks="all",
            max_batch_size=_BATCH_BYTES_MAX,
            linger_ms=_LINGER_MILLISECONDS,
        )
        try:
            async with asyncio.timeout(self._settings.request_seconds):
                await producer.start()
                for topic in self._topics:
                    await producer.partitions_for(topic.name)
            log.info("bus is up", servers=self._settings.bootstrap_servers)
            self._complaint.clear()
            self._set_up(True)
            await self._serve(producer)
        finally:
            self._set_up(False)
            await self._leave(producer)
            self._settle()

    async def _leave(self, producer: AIOKafkaProducer) -> None:
        """Stop a producer without waiting for what it has not delivered.

        Shielded, since half stopped it would leave its tasks behind.
        """
        self._leaving = asyncio.create_task(_stop_at_once(producer))
        try:
            await asyncio.shield(self._leaving)
        except CLIENT_ERRORS as error:
            log.debug("producer did not stop cleanly", error=str(error))

    async def _serve(self, producer: AIOKafkaProducer) -> None:
        while True:
            batch = self._queue.take(_BATCH_MESSAGES_MAX)
            if batch:
                await self._send(producer, batch)
                await self._clock.sleep(_PACE_SECONDS)
                continue
            self._has_work.clear()
            self._is_idle.set()
            try:
                async with asyncio.timeout(self._settings.probe_seconds):
                    await self._has_work.wait()
            except TimeoutError:
                await self._probe(producer)

    async def _send(self, producer: AIOKafkaProducer, batch: list[Outgoing]) -> None:
        """Send messages in order and wait until the broker has them all."""
        unsent = batch[::-1]
        try:
            async with asyncio.timeout(self._settings.request_seconds):
                while unsent:
                    await self._send_one(producer, unsent[-1])
                    unsent.pop()
        finally:
            self._queue.give_back(unsent[::-1])
        async with asyncio.timeout(self._settings.delivery_seconds):
            await self._await_acknowledgements(producer)
        error = self._settle()
        if error is not None:
            raise Unavailable(str(error)) from error

    async def _await_acknowledgements(self, producer: AIOKafkaProducer) -> None:
        waiting = {future for _, future in self._in_flight}
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=self._settings.probe_seconds)
            if waiting:
                await self._probe(producer)

    async def _send_one(self, producer: AIOKafkaProducer, message: Outgoing) -> None:
        try:
            future = await producer.send(
                message.topic,
                value=message.value,
                key=message.key.encode(),
                partition=message.partition,
                headers=[(name, text.encode()) for name, text in message.headers.items()],
            )
        except _REFUSED as error:
            _drop(message, error)
        else:
            self._in_flight.append((message, future))

    def _settle(self) -> BaseException | None:
        """Say what became of the messages in flight; return the first error of those given back.

        What the broker has is acknowledged to its sender, the rest waits again.
        """
        in_flight, self._in_flight = self._in_flight, []
        failed: list[Outgoing] = []
        first_error: BaseException | None = None
        for message, future in in_flight:
            error = future.exception() if _has_result(future) else Unavailable("not acknowledged")
            if error is None:
                self._queue.acknowledged(message)
            elif isinstance(error, _REFUSED):
                _drop(message, error)
            else:
                failed.append(message)
                first_error = first_error or error
        self._queue.give_back(failed)
        return first_error

    async def _probe(self, producer: AIOKafkaProducer) -> None:
        """Ask for the list of brokers, whoever answers. Raises Unavailable."""
        # Not `force_metadata_update`: every partition of every topic, each second, cost more
        # than all else that an idle service does.
        client = producer.client
        async with asyncio.timeout(self._settings.request_seconds):
            for broker in client.cluster.brokers():
                try:
                    await client.send(broker.nodeId, MetadataRequest([]))
                except KafkaError as error:
                    log.debug("broker does not answer", broker=broker.nodeId, error=str(error))
                else:
                    return
        raise Unavailable("the broker does not answer")


def _tell_crash(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        log.error("bus crashed, the durable path goes on alone", exc_info=error)


async def _stop_at_once(producer: AIOKafkaProducer) -> None:
    # Its public `stop` waits until all is delivered, and an idempotent producer tries that for
    # ever; so its parts are stopped one by one. Seen with aiokafka 0.14.
    producer._closed = True
    await producer._sender.close()
    await producer.client.close()


def _has_result(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled()


def _drop(message: Outgoing, error: BaseException) -> None:
    log.error(
        "message dropped, no broker takes it",
        topic=message.topic,
        key=message.key,
        type=message.headers.get("ce_type"),
        size_bytes=len(message.value),
        error=str(error),
    )
