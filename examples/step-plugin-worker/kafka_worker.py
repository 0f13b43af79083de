"""The same worker on Kafka: hears calls on the topic `steps`, and answers on `answers`.

Needs `pip install aiokafka`. Calls and answers are CloudEvents in binary mode; an answer goes to
the partition of its call, under the same key. Several copies may run: each call is taken by one.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from worker import answer

SERVERS: Final = os.environ["BOOTSTRAP_SERVERS"]
TOPICS: Final = os.environ.get("TOPICS", "headrace.default")
PLUGIN: Final = os.environ.get("PLUGIN", "example/approval")
REQUESTED: Final = "headrace.plugin.requested.v1"
ANSWERED: Final = "headrace.plugin.answered.v1"


def is_ours(call: dict[str, Any], now: datetime) -> bool:
    """Say whether a call is one of our plugin that somebody still waits for."""
    return call["plugin"] == PLUGIN and datetime.fromisoformat(call["expiresAt"]) > now


def answered(call: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """Return the payload of an answer."""
    told = {name: call[name] for name in ("namespace", "rollout", "uid", "call")}
    return {**told, "answer": said}


def attributes(call: dict[str, Any], source: str, now: datetime) -> dict[str, str]:
    """Return the headers of an answer; it has the same id when it is given again."""
    return {
        "ce_specversion": "1.0",
        "ce_id": str(uuid5(UUID(call["call"]), "answer")),
        "ce_type": ANSWERED,
        "ce_source": source,
        "ce_time": now.isoformat(),
        "content-type": "application/json",
    }


async def take(producer: AIOKafkaProducer, record: Any) -> None:
    """Answer one record, if it is a call of ours."""
    headers = {name: value.decode() for name, value in record.headers}
    if headers.get("ce_type") != REQUESTED:
        return  # not even looked into: the topic has other events, and perhaps rubbish
    call = json.loads(record.value)
    now = datetime.now(UTC)  # noqa: TID251 - an example stands alone
    if is_ours(call, now):
        told = attributes(call, headers["ce_source"], now)
        await producer.send_and_wait(
            f"{TOPICS}.answers",
            json.dumps(answered(call, answer(call))).encode(),
            key=record.key,
            partition=record.partition,
            headers=[(name, value.encode()) for name, value in told.items()],
        )


async def main() -> None:
    """Answer calls until the process is ended."""
    consumer = AIOKafkaConsumer(
        f"{TOPICS}.steps",
        bootstrap_servers=SERVERS,
        group_id=f"step-plugin-{PLUGIN.replace('/', '-')}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with AIOKafkaProducer(bootstrap_servers=SERVERS) as producer, consumer:
        async for record in consumer:
            await take(producer, record)
            await consumer.commit()  # only now: a call that a crash cut off is taken again


if __name__ == "__main__":
    asyncio.run(main())
