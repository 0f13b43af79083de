"""What the memory bus has beyond the contract of every bus."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from headrace.errors import Unavailable
from headrace.events.envelope import Event
from headrace.events.rollout import StepEntered
from headrace.events.topics import Topic
from headrace.model.quantities import Instant
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus

TOPIC = Topic("headrace.test.steps", partitions=1)
ALL = frozenset({0})


def fact(ordinal: int) -> Event:
    payload = StepEntered(namespace="shop", rollout="web", uid="u", ordinal=ordinal)
    return Event.of(payload, source="cluster", time=Instant(0.0))


async def started(broker: MemoryBroker, group: str = "router") -> MemoryBus:
    bus = MemoryBus(broker, group)
    await bus.start()
    return bus


def without_a_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that must not suspend."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


def test_never_suspends_so_that_a_simulator_can_drive_it() -> None:
    broker = MemoryBroker()
    bus = MemoryBus(broker, "router")
    without_a_loop(bus.start())
    bus.publish(TOPIC, fact(1))
    consumer = bus.consumer([TOPIC])
    without_a_loop(consumer.assign(ALL))
    assert len(without_a_loop(consumer.poll(0))) == 1
    assert without_a_loop(consumer.poll(0)) == []
    without_a_loop(consumer.commit(ALL))
    without_a_loop(consumer.close())
    without_a_loop(bus.close())


async def test_delivers_before_publish_returns() -> None:
    bus = await started(MemoryBroker())
    delivered: list[Event] = []
    bus.publish(TOPIC, fact(1), on_delivered=delivered.append)
    assert delivered == [fact(1)]


async def test_keeps_what_is_published_while_the_broker_is_away() -> None:
    broker = MemoryBroker()
    bus = await started(broker)
    changes: list[bool] = []
    delivered: list[Event] = []
    bus.watch(changes.append)
    broker.is_up = False
    assert not bus.is_up
    for number in range(5000):
        assert bus.publish(TOPIC, fact(number), on_delivered=delivered.append)
    assert broker.records(TOPIC.name) == ()
    assert bus.queued == 5000
    broker.is_up = True
    assert delivered == [fact(number) for number in range(5000)]
    assert [record.offset for record in broker.records(TOPIC.name)] == list(range(5000))
    assert changes == [False, True]
    assert bus.queued == 0


async def test_who_hears_of_a_delivery_may_publish() -> None:
    broker = MemoryBroker()
    bus = await started(broker)

    def follow(event: Event) -> None:
        bus.publish(TOPIC, fact(2))

    bus.publish(TOPIC, fact(1), on_delivered=follow)
    assert len(broker.records(TOPIC.name)) == 2


async def test_reads_and_commits_nothing_while_the_broker_is_away() -> None:
    broker = MemoryBroker()
    bus = await started(broker)
    bus.publish(TOPIC, fact(1))
    consumer = bus.consumer([TOPIC])
    await consumer.assign(ALL)
    broker.is_up = False
    assert list(await consumer.poll(0.01)) == []
    with pytest.raises(Unavailable):
        await consumer.commit(ALL)
    broker.is_up = True
    assert len(await consumer.poll(0.01)) == 1


async def test_forgets_the_oldest_records() -> None:
    broker = MemoryBroker(records_max=3)
    bus = await started(broker)
    early = bus.consumer([TOPIC])
    await early.assign(ALL)
    for number in range(10):
        bus.publish(TOPIC, fact(number))
    assert [record.offset for record in await early.poll(0)] == [7, 8, 9]
    bus.publish(TOPIC, fact(10))
    assert [record.offset for record in await early.poll(0)] == [10]


async def test_a_closed_consumer_reads_nothing() -> None:
    bus = await started(MemoryBroker())
    consumer = bus.consumer([TOPIC])
    await consumer.assign(ALL)
    await consumer.close()
    await consumer.close()
    bus.publish(TOPIC, fact(1))
    assert list(await consumer.poll(0.01)) == []


async def test_starting_and_closing_twice_is_as_good_as_once() -> None:
    broker = MemoryBroker()
    bus = await started(broker)
    await bus.start()
    await bus.close()
    await bus.close()
    assert not bus.is_up
