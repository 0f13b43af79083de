"""Reading along: from a time on, with no group, no offsets kept and nothing written.

For people and tools that look at the stream; services read with a `KafkaConsumer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from headrace.errors import Unavailable
from headrace.events.topics import Topic
from headrace.model.quantities import Instant
from headrace.runtime.bus import Record
from headrace.runtime.bus_kafka.consumer import record_of
from headrace.runtime.bus_kafka.settings import CLIENT_ERRORS, KafkaSettings, connection
from headrace.runtime.bus_kafka.topics import ensure_topics

_POLL_RECORDS_MAX: Final = 500


class KafkaReader:
    """Reads some topics from a time on; made by `KafkaReader.open`."""

    def __init__(
        self, client: AIOKafkaConsumer, settings: KafkaSettings, places: Sequence[TopicPartition]
    ) -> None:
        self._client = client
        self._settings = settings
        self._places = places
        self._ends: dict[TopicPartition, int] = {}

    @classmethod
    async def open(
        cls,
        settings: KafkaSettings,
        topics: Sequence[Topic],
        *,
        since: Instant,
        partitions: Collection[int] | None = None,
    ) -> Self:
        """Connect and go to the first record that is not older than `since`.

        Args:
            settings: Where; topics are never created, whatever they allow.
            topics: Which.
            since: Seconds since the epoch.
            partitions: Only these of each topic; None for all.

        Raises:
            Unavailable: The broker does not answer, or topics are missing.
        """
        places = [
            TopicPartition(topic.name, number)
            for topic in topics
            for number in sorted(range(topic.partitions) if partitions is None else partitions)
        ]
        try:
            await ensure_topics(replace(settings, may_create_topics=False), topics)
            client = AIOKafkaConsumer(
                **connection(settings), enable_auto_commit=False, auto_offset_reset="earliest"
            )
            client.assign(places)
            reader = cls(client, settings, places)
            await reader._start(since)
        except CLIENT_ERRORS as error:
            raise Unavailable(f"{settings.bootstrap_servers}: {error}") from error
        return reader

    async def poll(self, timeout_seconds: float) -> Sequence[Record]:
        """Return the next records, () after the timeout. Raises Unavailable."""
        try:
            found = await self._client.getmany(
                timeout_ms=int(timeout_seconds * 1000), max_records=_POLL_RECORDS_MAX
            )
        except CLIENT_ERRORS as error:
            raise Unavailable(f"{self._settings.bootstrap_servers}: {error}") from error
        return [record_of(message) for batch in found.values() for message in batch]

    async def is_at_end(self) -> bool:
        """Return whether all that was there at the beginning has been read."""
        try:
            for place, end in [*self._ends.items()]:
                if await self._client.position(place) >= end:
                    del self._ends[place]
        except CLIENT_ERRORS as error:
            raise Unavailable(f"{self._settings.bootstrap_servers}: {error}") from error
        return not self._ends

    async def close(self) -> None:
        """Disconnect."""
        await self._client.stop()

    async def _start(self, since: Instant) -> None:
        try:
            async with asyncio.timeout(self._settings.request_seconds * 2):
                await self._client.start()
                milliseconds = max(int(since * 1000), 0)
                times = dict.fromkeys(self._places, milliseconds)
                starts = await self._client.offsets_for_times(times)
                self._ends = await self._client.end_offsets(self._places)
                for place in self._places:
                    found = starts.get(place)
                    self._client.seek(place, self._ends[place] if found is None else found.offset)
        except BaseException:
            await self._client.stop()
            raise
