"""Reads and writes topics the quick way, for tests that look at many of them.

`console.py` reads them as somebody who knows nothing of Headrace; this is for everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from headrace_lab.errors import LabError

POLL_MS = 500
READ_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic; text is UTF-8."""

    topic: str
    partition: int
    offset: int
    key: str
    headers: Mapping[str, str]
    value: bytes

    @property
    def type(self) -> str:
        """The event's type, "" for what is no event."""
        return self.headers.get("ce_type", "")

    @property
    def id(self) -> str:
        """The event's id."""
        return self.headers.get("ce_id", "")

    @property
    def payload(self) -> dict[str, Any]:
        """The value, decoded."""
        decoded: dict[str, Any] = orjson.loads(self.value)
        return decoded


def read(bootstrap_servers: str, topics: Sequence[str], key: str | None = None) -> list[Record]:
    """Return what is on some topics now, oldest first within a partition.

    Args:
        bootstrap_servers: The broker.
        topics: Names; they must exist.
        key: Only records of this key.

    Raises:
        LabError: The broker did not answer in time.
    """
    try:
        records = asyncio.run(asyncio.wait_for(_read(bootstrap_servers, topics), READ_SECONDS))
    except TimeoutError as error:
        raise LabError(f"topics {', '.join(topics)} could not be read") from error
    return [record for record in records if key is None or record.key == key]


def write(
    bootstrap_servers: str,
    topic: str,
    value: bytes,
    *,
    key: str = "",
    headers: Mapping[str, str] | None = None,
) -> None:
    """Append one record to a topic."""
    asyncio.run(_write(bootstrap_servers, topic, value, key, headers or {}))


async def _read(bootstrap_servers: str, topics: Sequence[str]) -> list[Record]:
    # Without a group every partition is read, from wherever the consumer says.
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        partitions = sorted(consumer.assignment())
        if missing := set(topics) - {each.topic for each in partitions}:
            raise LabError(f"no such topics: {', '.join(sorted(missing))}")
        ends = await consumer.end_offsets(partitions)
        records: list[Record] = []
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            batches = await consumer.getmany(timeout_ms=POLL_MS)
            for batch in batches.values():
                records += [_record(message) for message in batch]
        return records
    finally:
        await consumer.stop()


def _record(message: Any) -> Record:
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=(message.key or b"").decode(errors="replace"),
        headers={name: value.decode(errors="replace") for name, value in message.headers},
        value=message.value or b"",
    )


async def _write(
    bootstrap_servers: str, topic: str, value: bytes, key: str, headers: Mapping[str, str]
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    try:
        await producer.send_and_wait(
            topic,
            value,
            key=key.encode(),
            headers=[(name, text.encode()) for name, text in headers.items()],
        )
    finally:
        await producer.stop()
