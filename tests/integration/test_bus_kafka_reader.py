"""Reading along on a real broker, as the command line does."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

import pytest

from headrace.errors import Unavailable
from headrace.events.envelope import Event, decode
from headrace.events.rollout import StepEntered
from headrace.events.topics import Topics, TopicSettings, topics
from headrace.model.quantities import Instant
from headrace.runtime.bus_kafka import KafkaBus, KafkaReader, KafkaSettings
from headrace.runtime.clock import SystemClock
from headrace_lab.borrow import borrowed_lab
from headrace_lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(60)]

EVERYTHING = Instant(0.0)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with borrowed_lab(tmp_path_factory.mktemp("lab"), parts=["kafka"]) as borrowed:
        yield borrowed


@pytest.fixture
def settings(lab: Lab) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=lab.bootstrap_servers, group="unused")


@pytest.fixture
def names() -> Topics:
    return topics(TopicSettings(cluster=f"reader-{os.getpid()}-{time.time_ns()}", partitions=3))


@pytest.fixture
async def bus(settings: KafkaSettings, names: Topics) -> AsyncIterator[KafkaBus]:
    bus = KafkaBus(settings, names.all(), SystemClock(), random.Random(1))
    await bus.start()
    async with asyncio.timeout(20):
        while not bus.is_up:
            await asyncio.sleep(0.01)
    yield bus
    await bus.close()


def fact(ordinal: int, rollout: str = "web") -> Event:
    payload = StepEntered(namespace="shop", rollout=rollout, uid="u-1", ordinal=ordinal)
    return Event.of(payload, source="c1", time=Instant(time.time()))  # noqa: TID251


async def say(bus: KafkaBus, names: Topics, *events: Event) -> None:
    for event in events:
        bus.publish(names.steps, event)
    async with asyncio.timeout(20):
        while bus.queued:
            await asyncio.sleep(0.01)


async def read_to_end(reader: KafkaReader) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(20):
        while not await reader.is_at_end():
            found += [
                decode(record.key, record.headers, record.value).id
                for record in await reader.poll(0.2)
            ]
    return found


def ids(events: Sequence[Event]) -> list[str]:
    return [event.id for event in events]


async def test_reads_what_is_there_and_then_what_comes(
    bus: KafkaBus, settings: KafkaSettings, names: Topics
) -> None:
    before, after = [fact(1), fact(2), fact(3)], [fact(4)]
    await say(bus, names, *before)
    reader = await KafkaReader.open(settings, names.all(), since=EVERYTHING)
    assert await read_to_end(reader) == ids(before)
    await say(bus, names, *after)
    async with asyncio.timeout(20):
        while not (records := await reader.poll(0.2)):
            pass
    assert [record.headers["ce_id"] for record in records] == ids(after)
    await reader.close()


async def test_begins_at_a_time(bus: KafkaBus, settings: KafkaSettings, names: Topics) -> None:
    await say(bus, names, fact(1))
    await asyncio.sleep(0.05)
    middle = Instant(time.time())  # noqa: TID251
    await say(bus, names, fact(2))
    reader = await KafkaReader.open(settings, names.all(), since=middle)
    assert await read_to_end(reader) == ids([fact(2)])
    await reader.close()


async def test_nothing_since_then_is_an_end_at_once(
    bus: KafkaBus, settings: KafkaSettings, names: Topics
) -> None:
    await say(bus, names, fact(1))
    future = Instant(time.time() + 60)  # noqa: TID251
    reader = await KafkaReader.open(settings, names.all(), since=future)
    assert await reader.is_at_end()
    await reader.close()


async def test_reads_only_the_partitions_that_are_wanted(
    bus: KafkaBus, settings: KafkaSettings, names: Topics
) -> None:
    events = [fact(1, f"web-{number}") for number in range(12)]
    await say(bus, names, *events)
    wanted = {names.steps.partition("shop/web-0")}
    reader = await KafkaReader.open(settings, names.all(), since=EVERYTHING, partitions=wanted)
    found = await read_to_end(reader)
    assert found == ids([e for e in events if names.steps.partition(e.key) in wanted])
    assert 0 < len(found) < len(events)
    await reader.close()


async def test_topics_are_asked_for_and_never_made(settings: KafkaSettings, names: Topics) -> None:
    for _ in range(2):
        with pytest.raises(Unavailable, match="topics are missing"):
            await KafkaReader.open(settings, names.all(), since=EVERYTHING)


async def test_a_broker_that_is_not_there_is_named(settings: KafkaSettings, names: Topics) -> None:
    away = replace(settings, bootstrap_servers="127.0.0.1:1", request_seconds=1.0)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        await KafkaReader.open(away, names.all(), since=EVERYTHING)
