"""Reading: assigned partitions, offsets under the group, without the group protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError

from headrace.errors import Unavailable
from headrace.events.topics import Topic
from headrace.runtime.bus import Record
from headrace.runtime.bus_kafka.cancellation import client_cancels
from headrace.runtime.bus_kafka.complaints import Complaint
from headrace.runtime.bus_kafka.settings import CLIENT_ERRORS, KafkaSettings, connection
from headrace.runtime.clock import Clock

log = structlog.get_logger(__name__)

_POLL_RECORDS_MAX: Final = 500

_FETCH_RATIO: Final = 0.8
"""How long the broker holds a fetch while nothing comes, by what a request may take: all of it
would make a broker that is only idle one that does not answer. A record ends the wait at once."""


class KafkaConsumer:
    """Reads partitions of some topics; connects when it has any."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[Topic],
        topics_exist: asyncio.Event,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._topics_exist = topics_exist
        self._clock = clock
        self._client: AIOKafkaConsumer | None = None
        self._places: list[TopicPartition] = []
        self._positions: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._complaint = Complaint()

    async def assign(self, partitions: frozenset[int]) -> None:
        """Read exactly these partitions of all its topics from now on."""
        numbers = sorted(partitions)
        self._places = [TopicPartition(topic.name, n) for topic in self._topics for n in numbers]
        kept = set(self._places)
        self._positions = {place: at for place, at in self._positions.items() if place in kept}
        self._committed = {place: at for place, at in self._committed.items() if place in kept}
        # The next poll connects anew: the client's background task does not survive another
        # assignment while it looks for its coordinator, and would end with an AssertionError.
        await self._disconnect()

    async def poll(self, timeout_seconds: float) -> Sequence[Record]:
        """Return the next records, () after the timeout or while the broker is away."""
        if not self._places:
            await self._clock.sleep(timeout_seconds)
            return ()
        if not await self._wait_for_topics(timeout_seconds):
            return ()
        try:
            with client_cancels():
                client = self._client or await self._connect()
                found = await client.getmany(
                    timeout_ms=int(timeout_seconds * 1000), max_records=_POLL_RECORDS_MAX
                )
        except ConsumerStoppedError:
            return ()  # assigned anew meanwhile
        except CLIENT_ERRORS as error:
            self._complaint.is_new(error)
            await self._disconnect()
            await self._clock.sleep(timeout_seconds)
            return ()
        self._complaint.clear()
        return [record for place, batch in found.items() for record in self._taken(place, batch)]

    async def commit(self, partitions: frozenset[int]) -> None:
        """Commit what was polled so far on these partitions."""
        offsets = {
            place: at
            for place, at in self._positions.items()
            if place.partition in partitions and self._committed.get(place) != at
        }
        if not offsets:
            return
        if self._client is None:
            raise Unavailable("not connected to the broker")
        try:
            with client_cancels():
                async with asyncio.timeout(self._settings.request_seconds):
                    await self._client.commit(offsets)
        except CLIENT_ERRORS as error:
            raise Unavailable(f"offsets not committed: {error}") from error
        self._committed.update(offsets)

    async def close(self) -> None:
        """Stop reading."""
        self._places = []
        await self._disconnect()

    async def _wait_for_topics(self, timeout_seconds: float) -> bool:
        if self._topics_exist.is_set():
            return True
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._topics_exist.wait()
        except TimeoutError:
            return False

    async def _connect(self) -> AIOKafkaConsumer:
        client = AIOKafkaConsumer(
            **connection(self._settings),
            group_id=self._settings.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=int(self._settings.request_seconds * _FETCH_RATIO * 1000),
        )
        places = self._places
        client.assign(places)
        try:
            async with asyncio.timeout(self._settings.request_seconds):
                await client.start()
            if places is not self._places:
                raise ConsumerStoppedError
        except BaseException:
            await client.stop()
            raise
        for place, position in self._positions.items():
            client.seek(place, position)  # go on where this consumer was
        self._client = client
        return client

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            with client_cancels():
                await client.stop()
        except CLIENT_ERRORS as error:
            log.debug("consumer did not stop cleanly", error=str(error))

    def _taken(
        self, place: TopicPartition, batch: Iterable[ConsumerRecord[Any, Any]]
    ) -> Iterable[Record]:
        for message in batch:
            if message.offset < self._positions.get(place, 0):
                continue
            self._positions[place] = message.offset + 1
            yield record_of(message)


def record_of(message: ConsumerRecord[Any, Any]) -> Record:
    """Return a message of the library as the port has it."""
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=_text(message.key),
        headers={name.lower(): _text(value) for name, value in message.headers},
        value=message.value or b"",
    )


def _text(raw: bytes | None) -> str:
    return "" if raw is None else raw.decode(errors="replace")
