"""Topics are made, or asked for, before anybody uses them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from headrace.errors import Unavailable
from headrace.events.topics import Topic
from headrace.runtime.bus_kafka.settings import KafkaSettings, connection

_BROKER_DEFAULT: Final = -1
_APPEAR_SECONDS: Final = 0.05
_APPEAR_TRIES: Final = 40


async def ensure_topics(settings: KafkaSettings, topics: Sequence[Topic]) -> None:
    """Return when all topics exist as defined; create what is missing where that is allowed.

    They must exist before a client names them: a broker may else make them itself, with another
    number of partitions.

    Raises:
        Unavailable: With the definitions of what is missing or different.
    """
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        async with asyncio.timeout(settings.request_seconds * 2):
            await admin.start()
            missing = await _missing(admin, topics)
            if missing and settings.may_create_topics:
                await _create(admin, missing, settings.replication_factor)
                missing = await _missing_for_long(admin, missing)
    finally:
        await admin.close()
    if missing:
        raise Unavailable(f"topics are missing: {_definitions(missing)}")


async def _missing_for_long(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> list[Topic]:
    """Return topics that do not appear soon after they were made."""
    missing = await _missing(admin, topics)
    for _ in range(_APPEAR_TRIES):
        if not missing:
            break
        await asyncio.sleep(_APPEAR_SECONDS)
        missing = await _missing(admin, topics)
    return missing


async def _missing(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> list[Topic]:
    """Return topics that do not exist.

    Raises:
        Unavailable: One has another number of partitions.
    """
    # Asking for all topics never creates one; asking for one by name may.
    found = {
        str(description["topic"]): len(description["partitions"])
        for description in await admin.describe_topics(None)
        if description["error_code"] == 0
    }
    for topic in topics:
        partitions = found.get(topic.name, topic.partitions)
        if partitions != topic.partitions:
            raise Unavailable(
                f"topic {topic.name} has {partitions} partitions and must have {topic.partitions}"
            )
    return [topic for topic in topics if topic.name not in found]


async def _create(
    admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication_factor: int | None
) -> None:
    response = await admin.create_topics(
        [
            NewTopic(
                topic.name,
                topic.partitions,
                replication_factor or _BROKER_DEFAULT,
                # The library wants either a factor or a placement; an empty one is the default.
                None if replication_factor else {},
                {"retention.ms": str(topic.retention_seconds * 1000)},
            )
            for topic in topics
        ]
    )
    refused: dict[str, str] = {}
    for answer in response.to_object()["topic_errors"]:
        error = for_code(answer["error_code"])
        if error not in (NoError, TopicAlreadyExistsError):
            refused[answer["topic"]] = f"{error.__name__} {answer.get('error_message') or ''}"
    if refused:
        missing = [topic for topic in topics if topic.name in refused]
        why = "; ".join(sorted(set(refused.values())))
        raise Unavailable(f"topics cannot be created ({why}): {_definitions(missing)}")


def _definitions(topics: Sequence[Topic]) -> str:
    return "\n".join(["create them with", *(topic.definition() for topic in topics)])
