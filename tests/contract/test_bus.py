"""What every Bus promises, run on the memory bus and on Kafka."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headrace.events.envelope import Event, decode
from headrace.events.rollout import RouteRequested, StepEntered
from headrace.events.topics import Topic, Topics, TopicSettings, group_name, topics
from headrace.model.quantities import Instant
from headrace.model.route import Hashes, RouteDocument, Services, Weights
from headrace.runtime.bus import Bus, Consumer, Record
from headrace.runtime.bus_kafka import KafkaBus, KafkaSettings
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import SystemClock
from headrace_lab.lab import Lab

PARTITIONS = 3
ALL = frozenset(range(PARTITIONS))
DEADLINE_SECONDS = 20.0
QUIET_SECONDS = 0.3

_numbers = itertools.count(1)


@dataclass
class Notes:
    """What the observer was told."""

    topics: list[str] = field(default_factory=list)

    def published(self, topic: str) -> None:
        self.topics.append(topic)

    def refused(self, topic: str) -> None:
        raise AssertionError(topic)


@dataclass
class World:
    """Topics of one test, and how to connect a service to them."""

    topics: Topics
    connect: Callable[[str], Bus]
    open: list[Bus | Consumer] = field(default_factory=list)

    def bus(self, service: str = "router") -> Bus:
        bus = self.connect(service)
        self.open.append(bus)
        return bus

    async def started(self, service: str = "router") -> Bus:
        bus = self.bus(service)
        await bus.start()
        await until(lambda: bus.is_up)
        return bus

    async def reader(self, bus: Bus, partitions: frozenset[int] = ALL, *more: Topic) -> Consumer:
        consumer = bus.consumer(more or [self.topics.steps])
        self.open.append(consumer)
        await consumer.assign(partitions)
        return consumer

    async def close(self) -> None:
        for opened in reversed(self.open):
            await opened.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def read(consumer: Consumer, count: int) -> list[Record]:
    """Return the next `count` records, and fail when there are more at once."""
    found: list[Record] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(found) < count:
            found += await consumer.poll(0.5)
    assert len(found) == count
    return found


async def read_nothing(consumer: Consumer) -> None:
    assert list(await consumer.poll(QUIET_SECONDS)) == []


def fact(ordinal: int, rollout: str = "web") -> Event:
    payload = StepEntered(namespace="shop", rollout=rollout, uid="u-1", ordinal=ordinal, step=0)
    return Event.of(payload, source="cluster", time=Instant(1_700_000_000.25))


def request(epoch: int, rollout: str = "web") -> Event:
    document = RouteDocument(
        cluster="cluster",
        namespace="shop",
        rollout=rollout,
        uid="u-1",
        epoch=epoch,
        generation=1,
        decided_at="2026-11-23T10:00:00Z",
        routers=(),
        services=Services(),
        hashes=Hashes(),
        weights=Weights(canary=10, stable=90),
    )
    payload = RouteRequested(
        namespace="shop", rollout=rollout, uid="u-1", epoch=epoch, route=document
    )
    return Event.of(payload, source="cluster", time=Instant(1_700_000_000.0))


def events(records: list[Record]) -> list[Event]:
    return [decode(record.key, record.headers, record.value) for record in records]


def rollout_in(topic: Topic, partition: int) -> str:
    """Return a name of a Rollout whose key lies in `partition`."""
    names = (f"web-{number}" for number in itertools.count())
    return next(name for name in names if topic.partition(f"shop/{name}") == partition)


class BusContract:
    """Inherited by one class per adapter, which gives the `world`."""

    async def test_carries_events_unchanged_and_in_order(self, world: World) -> None:
        bus = await world.started()
        said = [fact(number) for number in range(1, 51)]
        for event in said:
            assert bus.publish(world.topics.steps, event)
        consumer = await world.reader(bus)
        assert events(await read(consumer, 50)) == said

    async def test_puts_a_key_into_its_partition(self, world: World) -> None:
        bus = await world.started()
        for partition in ALL:
            bus.publish(world.topics.steps, fact(1, rollout_in(world.topics.steps, partition)))
        consumer = await world.reader(bus)
        for record in await read(consumer, PARTITIONS):
            assert record.partition == world.topics.steps.partition(record.key)
            assert record.topic == world.topics.steps.name
            assert record.offset == 0

    async def test_sends_what_was_published_before_the_broker_was_there(self, world: World) -> None:
        bus = world.bus()
        assert not bus.is_up
        assert bus.publish(world.topics.steps, fact(1))
        await bus.start()
        consumer = await world.reader(bus)
        assert events(await read(consumer, 1)) == [fact(1)]

    async def test_a_newer_request_replaces_the_one_that_waits(self, world: World) -> None:
        bus = world.bus()
        for event in (request(1), fact(1), request(2, "other"), request(3)):
            bus.publish(world.topics.steps, event, is_request=event.is_request)
        await bus.start()
        consumer = await world.reader(bus)
        found = events(await read(consumer, 3))
        assert [event for event in found if event.key == "shop/web"] == [fact(1), request(3)]
        assert [event for event in found if event.key == "shop/other"] == [request(2, "other")]

    async def test_refuses_facts_when_the_queue_is_full(self, world: World) -> None:
        bus = world.bus("tiny")
        said = itertools.takewhile(
            lambda event: bus.publish(world.topics.steps, event),
            (fact(number) for number in itertools.count(1)),
        )
        accepted = len(list(said))
        assert 0 < accepted < 100
        await bus.start()
        consumer = await world.reader(bus)
        assert len(await read(consumer, accepted)) == accepted
        assert bus.publish(world.topics.steps, fact(1000))

    async def test_tells_the_delivery_of_each_event_once(self, world: World) -> None:
        bus = world.bus()
        delivered: list[Event] = []
        for event in (request(1), request(2), fact(1), fact(2)):
            bus.publish(
                world.topics.steps,
                event,
                is_request=event.is_request,
                on_delivered=delivered.append,
            )
        assert delivered == []
        await bus.start()
        await until(lambda: len(delivered) >= 3)
        consumer = await world.reader(bus)
        await read(consumer, 3)
        assert delivered == [request(2), fact(1), fact(2)]

    async def test_each_group_reads_everything(self, world: World) -> None:
        router = await world.started("router")
        notifier = await world.started("notifier")
        router.publish(world.topics.steps, fact(1))
        for bus in (router, notifier):
            consumer = await world.reader(bus)
            assert len(await read(consumer, 1)) == 1

    async def test_goes_on_behind_the_committed_offset(self, world: World) -> None:
        bus = await world.started()
        bus.publish(world.topics.steps, fact(1))
        first = await world.reader(bus)
        await read(first, 1)
        await first.commit(ALL)
        bus.publish(world.topics.steps, fact(2))
        await read(first, 1)
        await first.close()
        second = await world.reader(bus)
        assert events(await read(second, 1)) == [fact(2)]

    async def test_commits_only_the_partitions_that_are_named(self, world: World) -> None:
        bus = await world.started()
        names = [rollout_in(world.topics.steps, partition) for partition in (0, 1)]
        for name in names:
            bus.publish(world.topics.steps, fact(1, name))
        first = await world.reader(bus)
        await read(first, 2)
        await first.commit(frozenset({0}))
        await first.close()
        second = await world.reader(bus)
        assert [record.partition for record in await read(second, 1)] == [1]

    async def test_reads_only_assigned_partitions(self, world: World) -> None:
        bus = await world.started()
        for partition in ALL:
            bus.publish(world.topics.steps, fact(1, rollout_in(world.topics.steps, partition)))
        consumer = await world.reader(bus, frozenset({1}))
        assert [record.partition for record in await read(consumer, 1)] == [1]
        await read_nothing(consumer)

    async def test_reads_nothing_before_an_assignment(self, world: World) -> None:
        bus = await world.started()
        bus.publish(world.topics.steps, fact(1))
        consumer = await world.reader(bus, frozenset())
        await read_nothing(consumer)
        await consumer.assign(ALL)
        assert len(await read(consumer, 1)) == 1
        await consumer.assign(frozenset())
        bus.publish(world.topics.steps, fact(2))
        await read_nothing(consumer)

    async def test_a_kept_partition_goes_on_and_a_regained_one_begins_at_the_commit(
        self, world: World
    ) -> None:
        bus = await world.started()
        names = [rollout_in(world.topics.steps, partition) for partition in (0, 1)]
        for name in names:
            bus.publish(world.topics.steps, fact(1, name))
        consumer = await world.reader(bus, frozenset({0, 1}))
        await read(consumer, 2)
        await consumer.assign(frozenset({0}))
        await read_nothing(consumer)
        await consumer.assign(frozenset({0, 1, 2}))
        assert [record.key for record in await read(consumer, 1)] == [f"shop/{names[1]}"]
        await read_nothing(consumer)

    async def test_reads_what_is_assigned_while_it_begins_to_read(self, world: World) -> None:
        bus = await world.started()
        for partition in ALL:
            bus.publish(world.topics.steps, fact(1, rollout_in(world.topics.steps, partition)))
        for moment in (0.0, 0.005, 0.02, 0.05, 0.2):
            consumer = await world.reader(bus, frozenset({0}))
            async with asyncio.TaskGroup() as group:
                group.create_task(consumer.poll(0.5))
                await asyncio.sleep(moment)
                await consumer.assign(frozenset({1}))
            assert [record.partition for record in await read(consumer, 1)] == [1]
            await consumer.close()

    async def test_reads_several_topics(self, world: World) -> None:
        bus = await world.started()
        bus.publish(world.topics.steps, fact(1))
        bus.publish(world.topics.traffic, fact(2))
        consumer = await world.reader(bus, ALL, world.topics.steps, world.topics.traffic)
        found = {record.topic for record in await read(consumer, 2)}
        assert found == {world.topics.steps.name, world.topics.traffic.name}

    async def test_wakes_a_reader_that_waits(self, world: World) -> None:
        bus = await world.started()
        consumer = await world.reader(bus)
        await read_nothing(consumer)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(consumer.poll(DEADLINE_SECONDS / 2))
            await asyncio.sleep(0.05)
            bus.publish(world.topics.steps, fact(1))
        assert len(reading.result()) == 1

    async def test_buries_a_record_as_it_came(self, world: World) -> None:
        bus = await world.started()
        bus.publish(world.topics.steps, fact(1))
        consumer = await world.reader(bus)
        (record,) = await read(consumer, 1)
        assert bus.bury(world.topics.steps, record, "no reason at all")
        grave = await world.reader(bus, ALL, world.topics.steps.dead_letters)
        (buried,) = await read(grave, 1)
        assert (buried.key, buried.value) == (record.key, record.value)
        assert buried.headers == {
            **record.headers,
            "headrace_dead_reason": "no reason at all",
            "headrace_dead_topic": world.topics.steps.name,
            "headrace_dead_partition": str(record.partition),
            "headrace_dead_offset": "0",
        }

    async def test_tells_its_observer_what_arrived(self, world: World) -> None:
        bus = world.bus()
        notes = Notes()
        bus.observe(notes)
        bus.publish(world.topics.steps, fact(1))
        assert (bus.queued, notes.topics) == (1, [])
        await bus.start()
        await until(lambda: bus.queued == 0)
        assert notes.topics == [world.topics.steps.name]

    async def test_says_when_it_is_up(self, world: World) -> None:
        bus = world.bus()
        seen: list[bool] = []
        bus.watch(seen.append)
        assert not bus.is_up
        await bus.start()
        await until(lambda: bus.is_up)
        await bus.close()
        assert not bus.is_up
        assert seen == [True, False]

    async def test_closing_sends_what_waits(self, world: World) -> None:
        bus = await world.started()
        for number in range(200):
            bus.publish(world.topics.steps, fact(number))
        await bus.close()
        reader = await world.reader(await world.started())
        assert len(await read(reader, 200)) == 200


class TestMemoryBus(BusContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        names = topics(TopicSettings(cluster="test", partitions=PARTITIONS))
        broker = MemoryBroker()

        def connect(service: str) -> Bus:
            return MemoryBus(broker, service, queue_size_max=10 if service == "tiny" else 1000)

        world = World(names, connect)
        yield world
        await world.close()


@pytest.fixture(scope="module")
def bootstrap_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    running = os.environ.get("HEADRACE_LAB_DIR")
    if running is not None:
        yield Lab.attach(Path(running)).bootstrap_servers
        return
    lab = Lab.start(tmp_path_factory.mktemp("lab"), parts=["kafka"])
    yield lab.bootstrap_servers
    lab.stop()


@pytest.mark.lab
@pytest.mark.timeout(120)
class TestKafkaBus(BusContract):
    @pytest.fixture
    async def world(self, bootstrap_servers: str) -> AsyncIterator[World]:
        scope = TopicSettings(cluster=f"bus-{os.getpid()}-{next(_numbers)}", partitions=PARTITIONS)
        names = topics(scope)

        def connect(service: str) -> Bus:
            settings = KafkaSettings(
                bootstrap_servers=bootstrap_servers,
                group=group_name(service, scope),
                queue_size_max=10 if service == "tiny" else 1000,
            )
            return KafkaBus(settings, names.all(), SystemClock(), random.Random(1))

        world = World(names, connect)
        yield world
        await world.close()
