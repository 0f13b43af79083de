"""What the Kafka bus does while the broker is dead, frozen, or not as it should be."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs

from headrace.errors import Unavailable
from headrace.events.envelope import Event, decode
from headrace.events.rollout import StepEntered
from headrace.events.topics import Topics, TopicSettings, group_name, topics
from headrace.model.quantities import Instant
from headrace.runtime.bus import Consumer, Record
from headrace.runtime.bus_kafka import KafkaBus, KafkaSettings
from headrace.runtime.clock import SystemClock
from headrace_lab.lab import Lab
from headrace_lab.running import RunningPart

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

PARTITIONS = 3
ALL = frozenset(range(PARTITIONS))
NOTICED_SECONDS = 5.0
BACK_SECONDS = 20.0

_numbers = itertools.count(1)


@dataclass
class Broker:
    """A broker of our own, and the buses of one test."""

    part: RunningPart
    topics: Topics
    settings: KafkaSettings
    buses: list[KafkaBus] = field(default_factory=list)

    def bus(self, settings: KafkaSettings | None = None, names: Topics | None = None) -> KafkaBus:
        bus = KafkaBus(
            settings or self.settings,
            (names or self.topics).all(),
            SystemClock(),
            random.Random(1),
        )
        self.buses.append(bus)
        return bus

    async def started(self) -> KafkaBus:
        bus = self.bus()
        await bus.start()
        await until(lambda: bus.is_up, BACK_SECONDS)
        return bus

    async def revive(self) -> None:
        self.part.start()
        await asyncio.to_thread(self.part.wait_ready)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab.start(tmp_path_factory.mktemp("lab"), parts=["kafka"])
    yield lab
    lab.stop()


@pytest.fixture
async def broker(lab: Lab) -> AsyncIterator[Broker]:
    scope = TopicSettings(cluster=f"faults-{os.getpid()}-{next(_numbers)}", partitions=PARTITIONS)
    part = lab.part("kafka")
    if not part.is_running:
        part.start()
        part.wait_ready()
    settings = KafkaSettings(
        bootstrap_servers=lab.bootstrap_servers,
        group=group_name("router", scope),
        request_seconds=3.0,
        probe_seconds=0.2,
    )
    broker = Broker(part, topics(scope), settings)
    yield broker
    for bus in broker.buses:
        await bus.close()


async def until(condition: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def read(consumer: Consumer, count: int) -> list[Event]:
    found: list[Record] = []
    async with asyncio.timeout(BACK_SECONDS):
        while len(found) < count:
            found += await consumer.poll(0.5)
    return [decode(record.key, record.headers, record.value) for record in found]


def fact(ordinal: int, message: str = "") -> Event:
    payload = StepEntered(
        namespace="shop", rollout="web", uid="u-1", ordinal=ordinal, message=message
    )
    return Event.of(payload, source="cluster", time=Instant(1_700_000_000.0))


async def test_nothing_is_lost_while_the_broker_is_dead(broker: Broker) -> None:
    bus = await broker.started()
    changes: list[bool] = []
    delivered: list[Event] = []
    bus.watch(changes.append)
    consumer = bus.consumer([broker.topics.steps])
    await consumer.assign(ALL)
    said = [fact(number) for number in range(60)]
    for event in said[:20]:
        bus.publish(broker.topics.steps, event, on_delivered=delivered.append)
    assert len(await read(consumer, 20)) == 20

    broker.part.kill()
    for event in said[20:40]:
        assert bus.publish(broker.topics.steps, event, on_delivered=delivered.append)
    await until(lambda: not bus.is_up, NOTICED_SECONDS)
    for event in said[40:]:
        assert bus.publish(broker.topics.steps, event, on_delivered=delivered.append)
    assert list(await consumer.poll(0.5)) == []
    with pytest.raises(Unavailable):
        await consumer.commit(ALL)

    await broker.revive()
    await until(lambda: bus.is_up, BACK_SECONDS)
    found = await read(consumer, 40)
    await until(lambda: len(delivered) == len(said), BACK_SECONDS)
    assert list(dict.fromkeys(found)) == said[20:], "in order, but for repetitions"
    assert delivered == said
    assert changes == [False, True]
    await consumer.commit(ALL)
    await consumer.close()


async def test_notices_a_dead_broker_without_traffic(broker: Broker) -> None:
    bus = await broker.started()
    broker.part.kill()
    await until(lambda: not bus.is_up, NOTICED_SECONDS)
    await broker.revive()
    await until(lambda: bus.is_up, BACK_SECONDS)


async def test_notices_a_frozen_broker(broker: Broker) -> None:
    bus = await broker.started()
    broker.part.suspend()
    try:
        bus.publish(broker.topics.steps, fact(1))
        await until(lambda: not bus.is_up, NOTICED_SECONDS + broker.settings.request_seconds)
    finally:
        broker.part.resume()
    await until(lambda: bus.is_up, BACK_SECONDS)
    consumer = bus.consumer([broker.topics.steps])
    await consumer.assign(ALL)
    assert set(await read(consumer, 1)) == {fact(1)}
    await consumer.close()


async def test_starts_without_a_broker_and_says_so_once(broker: Broker) -> None:
    broker.part.kill()
    with capture_logs() as lines:
        bus = broker.bus()
        await bus.start()
        consumer = bus.consumer([broker.topics.steps])
        await consumer.assign(ALL)
        bus.publish(broker.topics.steps, fact(1))
        assert list(await consumer.poll(2.0)) == []
        assert not bus.is_up
    assert [line["log_level"] for line in lines] == ["warning"]
    await broker.revive()
    assert await read(consumer, 1) == [fact(1)]
    await consumer.close()


async def test_closes_in_time_while_the_broker_is_dead(broker: Broker) -> None:
    bus = await broker.started()
    consumer = bus.consumer([broker.topics.steps])
    await consumer.assign(ALL)
    await consumer.poll(0.1)
    broker.part.kill()
    bus.publish(broker.topics.steps, fact(1))
    await until(lambda: not bus.is_up, NOTICED_SECONDS)
    began = time.monotonic()
    await consumer.close()
    await bus.close()
    assert time.monotonic() - began < 2 * broker.settings.request_seconds + 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_prints_the_definitions_of_topics_that_it_may_not_make(broker: Broker) -> None:
    bus = broker.bus(replace(broker.settings, may_create_topics=False))
    with capture_logs() as lines:
        await bus.start()
        await until(lambda: bool(lines), NOTICED_SECONDS)
    assert not bus.is_up
    (line,) = lines
    for topic in broker.topics.all():
        assert topic.definition() in line["error"]
        assert topic.dead_letters.definition() in line["error"]
    await broker.started()
    await until(lambda: bus.is_up, BACK_SECONDS)


async def test_says_why_topics_cannot_be_created(broker: Broker) -> None:
    bus = broker.bus(replace(broker.settings, replication_factor=3))
    with capture_logs() as lines:
        await bus.start()
        await until(lambda: bool(lines), NOTICED_SECONDS)
    assert "topics cannot be created (InvalidReplicationFactorError" in lines[0]["error"]
    assert broker.topics.steps.definition() in lines[0]["error"]


async def test_refuses_topics_with_another_number_of_partitions(broker: Broker) -> None:
    await broker.started()
    scope = broker.topics.steps.name.split(".")[1]
    bus = broker.bus(names=topics(TopicSettings(cluster=scope, partitions=PARTITIONS + 1)))
    with capture_logs() as lines:
        await bus.start()
        await until(lambda: bool(lines), NOTICED_SECONDS)
    assert not bus.is_up
    assert "has 3 partitions and must have 4" in lines[0]["error"]


async def test_a_message_that_no_broker_takes_does_not_stop_the_others(broker: Broker) -> None:
    bus = await broker.started()
    with capture_logs() as lines:
        bus.publish(broker.topics.steps, fact(1, message="x" * 2_000_000))
        bus.publish(broker.topics.steps, fact(2))
        consumer = bus.consumer([broker.topics.steps])
        await consumer.assign(ALL)
        assert await read(consumer, 1) == [fact(2)]
    assert bus.is_up
    assert [line["event"] for line in lines] == ["message dropped, no broker takes it"]
    await consumer.close()
