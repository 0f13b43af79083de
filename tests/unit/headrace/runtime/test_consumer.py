from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from headrace.backoff import Backoff
from headrace.errors import Conflict, LostOwnership, NotFound, Unavailable
from headrace.events.envelope import Event, encode
from headrace.events.rollout import StepEntered
from headrace.events.topics import Topic
from headrace.events.traffic import RouteDrifted
from headrace.model.quantities import Instant
from headrace.runtime.bus import Record
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.bus_queue import Outgoing
from headrace.runtime.clock import SystemClock
from headrace.runtime.consumer import (
    ConsumerSettings,
    DeadLetterCount,
    EventConsumer,
    IgnoredBecause,
)

STEPS = Topic("headrace.test.steps", partitions=2)
TRAFFIC = Topic("headrace.test.traffic", partitions=2)
SETTINGS = ConsumerSettings(
    cluster="cluster",
    poll_seconds=0.02,
    commit_seconds=0.0,
    window=10,
    ratio_max=0.5,
    consecutive_max=3,
    retry=Backoff(first_seconds=0.001, seconds_max=0.01),
)
KEYS = {STEPS.partition(f"shop/web-{n}"): f"web-{n}" for n in range(10)}


def fact(ordinal: int, partition: int = 0, source: str = "cluster") -> Event:
    payload = StepEntered(namespace="shop", rollout=KEYS[partition], uid="u", ordinal=ordinal)
    return Event.of(payload, source=source, time=Instant(0.0))


def drift(number: int) -> Event:
    payload = RouteDrifted(
        namespace="shop",
        rollout=KEYS[0],
        uid="u",
        object="TrafficSplit/web",
        resource_version=str(number),
    )
    return Event.of(payload, source="cluster", time=Instant(0.0))


def ordinals(events: list[Event]) -> list[int]:
    return [int(event.payload.id_ordinal()) for event in events]


@dataclass
class Notes:
    """What the observer was told."""

    handled_types: list[str] = field(default_factory=list)
    ignored_because: list[IgnoredBecause] = field(default_factory=list)
    buried_topics: list[str] = field(default_factory=list)
    stopped_topics: list[str] = field(default_factory=list)

    def handled(self, topic: str, event_type: str) -> None:
        self.handled_types.append(event_type)

    def ignored(self, topic: str, because: IgnoredBecause) -> None:
        self.ignored_because.append(because)

    def buried(self, topic: str) -> None:
        self.buried_topics.append(topic)

    def stopped(self, topic: str) -> None:
        self.stopped_topics.append(topic)


class Stage:
    """A broker, a service's bus, and what its handler got."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.bus = MemoryBus(self.broker, "router")
        self.got: list[Event] = []
        self.held = {0, 1}
        self.notes = Notes()
        self.handle: Callable[[Event], Awaitable[None]] = self.take

    async def take(self, event: Event) -> None:
        self.got.append(event)

    def consumer(self, settings: ConsumerSettings = SETTINGS) -> EventConsumer:
        consumer = EventConsumer(
            self.bus,
            [STEPS, TRAFFIC],
            lambda event: self.handle(event),
            lambda partition: partition in self.held,
            SystemClock(),
            settings,
        )
        consumer.observe(self.notes)
        consumer.assign(frozenset({0, 1}))
        return consumer

    @asynccontextmanager
    async def running(self, settings: ConsumerSettings = SETTINGS) -> AsyncIterator[EventConsumer]:
        consumer = self.consumer(settings)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(consumer.run())
            yield consumer
            task.cancel()

    def raw(
        self,
        value: bytes = b"hello",
        *,
        key: str = "shop/web",
        partition: int = 0,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.broker.append(Outgoing(STEPS.name, partition, key, headers or {}, value))

    def dead(self) -> tuple[Record, ...]:
        return self.broker.records(STEPS.dead_letters.name)

    def committed(self, partition: int = 0) -> int:
        return self.broker.committed("router", STEPS.name, partition)


@pytest.fixture
async def stage() -> Stage:
    stage = Stage()
    await stage.bus.start()
    return stage


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def test_hands_events_over_in_order_and_commits_behind_them(stage: Stage) -> None:
    for number in range(1, 4):
        stage.bus.publish(STEPS, fact(number))
    async with stage.running():
        await until(lambda: stage.committed() == 3)
    assert ordinals(stage.got) == [1, 2, 3]
    assert stage.notes.handled_types == ["headrace.step.entered.v1"] * 3


async def test_reads_all_its_topics(stage: Stage) -> None:
    stage.bus.publish(STEPS, fact(1))
    stage.bus.publish(TRAFFIC, drift(2))
    async with stage.running():
        await until(lambda: len(stage.got) == 2)


async def test_commits_the_rest_when_it_ends(stage: Stage) -> None:
    stage.bus.publish(STEPS, fact(1))
    async with stage.running(replace(SETTINGS, commit_seconds=3600.0)):
        await until(lambda: len(stage.got) == 1)
        await asyncio.sleep(SETTINGS.poll_seconds)
        assert stage.committed() == 0
    assert stage.committed() == 1


async def test_what_was_in_hand_at_the_end_comes_again(stage: Stage) -> None:
    started = asyncio.Event()

    async def hang(event: Event) -> None:
        if event.payload.id_ordinal() == "2":
            started.set()
            await asyncio.Event().wait()
        stage.got.append(event)

    stage.handle = hang
    for number in (1, 2, 3):
        stage.bus.publish(STEPS, fact(number))
    async with stage.running():
        await started.wait()
    assert stage.committed() == 0
    stage.handle = stage.take
    async with stage.running():
        await until(lambda: len(stage.got) == 4)
    assert ordinals(stage.got) == [1, 1, 2, 3]


async def test_an_undecodable_message_goes_to_the_dead_letters(stage: Stage) -> None:
    stage.raw(b"hello", headers={"x": "y"})
    stage.bus.publish(STEPS, fact(1))
    async with stage.running():
        await until(lambda: len(stage.got) == 1)
    (record,) = stage.dead()
    assert record.value == b"hello"
    assert record.headers["x"] == "y"
    assert record.headers["headrace_dead_reason"] == "no CloudEvent 1.0 in binary mode"
    assert stage.notes.buried_topics == [STEPS.name]


async def test_waits_while_there_is_no_room_for_a_dead_letter(stage: Stage) -> None:
    stage.bus = MemoryBus(stage.broker, "router", queue_size_max=1)
    await stage.bus.start()
    stage.raw()
    stage.raw()
    stage.broker.is_up = False
    async with stage.running():
        stage.broker.is_up = True
        await until(lambda: len(stage.dead()) == 2)


async def test_an_event_of_a_later_version_is_ignored_and_no_dead_letter(stage: Stage) -> None:
    key, headers, value = encode(fact(1))
    stage.raw(value, key=key, headers={**headers, "ce_type": "headrace.step.skipped.v1"})
    stage.bus.publish(STEPS, fact(2))
    async with stage.running():
        await until(lambda: len(stage.got) == 1)
    assert stage.notes.ignored_because == ["later type"]
    assert stage.dead() == ()


async def test_a_key_in_a_foreign_partition_is_ignored_and_counted(stage: Stage) -> None:
    key, headers, value = encode(fact(1, partition=0))
    stage.raw(value, key=key, headers=headers, partition=1)
    async with stage.running():
        await until(lambda: stage.committed(1) == 1)
    assert stage.notes.ignored_because == ["foreign key"]
    assert stage.got == []


async def test_an_event_on_a_topic_that_its_writer_does_not_own_is_ignored_and_counted(
    stage: Stage,
) -> None:
    stage.bus.publish(STEPS, drift(1))
    stage.bus.publish(STEPS, fact(2))
    async with stage.running():
        await until(lambda: stage.committed() == 2)
    assert stage.notes.ignored_because == ["foreign topic"]
    assert ordinals(stage.got) == [2]


async def test_an_event_of_another_cluster_is_ignored_and_counted(stage: Stage) -> None:
    stage.bus.publish(STEPS, fact(1, source="elsewhere"))
    async with stage.running():
        await until(lambda: stage.committed() == 1)
    assert stage.notes.ignored_because == ["foreign cluster"]
    assert stage.got == []


@pytest.mark.parametrize(
    "error", [Unavailable("away"), Conflict("changed"), LostOwnership("another's now")]
)
async def test_a_handler_that_fails_for_now_gets_the_event_again(
    stage: Stage, error: Exception
) -> None:
    tries = 0

    async def fail_twice(event: Event) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise error
        stage.got.append(event)

    stage.handle = fail_twice
    stage.bus.publish(STEPS, fact(1))
    stage.bus.publish(STEPS, fact(2))
    async with stage.running():
        await until(lambda: stage.committed() == 2)
    assert ordinals(stage.got) == [1, 2]
    assert stage.dead() == ()


@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), NotFound("gone")])
async def test_an_event_that_a_handler_cannot_take_is_buried(
    stage: Stage, error: Exception
) -> None:
    async def crash(event: Event) -> None:
        if event.payload.id_ordinal() == "1":
            raise error
        stage.got.append(event)

    stage.handle = crash
    stage.bus.publish(STEPS, fact(1))
    stage.bus.publish(STEPS, fact(2))
    async with stage.running():
        await until(lambda: stage.committed() == 2)
    assert ordinals(stage.got) == [2]
    (record,) = stage.dead()
    assert record.headers["headrace_dead_reason"] == f"handler: {type(error).__name__}: {error}"


async def test_too_many_dead_letters_stop_their_topic_alone(stage: Stage) -> None:
    for _ in range(10):
        stage.raw()
    stage.bus.publish(STEPS, fact(1))
    async with stage.running() as consumer:
        await until(lambda: stage.notes.stopped_topics == [STEPS.name])
        assert consumer.stopped_topics == {STEPS.name}
        stage.bus.publish(TRAFFIC, drift(2))
        await until(lambda: len(stage.got) == 1)
    assert ordinals(stage.got) == [2]
    assert len(stage.dead()) == SETTINGS.consecutive_max + 1
    assert stage.committed() == 0, "what follows is read when somebody has looked"


async def test_reads_only_partitions_whose_lease_is_held(stage: Stage) -> None:
    stage.held = {1}
    stage.bus.publish(STEPS, fact(1, partition=0))
    stage.bus.publish(STEPS, fact(2, partition=1))
    async with stage.running():
        await until(lambda: stage.committed(1) == 1)
        assert ordinals(stage.got) == [2]
        stage.held = {0, 1}
        await until(lambda: stage.committed(0) == 1)
    assert ordinals(stage.got) == [2, 1]


async def test_a_lease_lost_in_the_middle_leaves_the_rest_to_the_next_holder(
    stage: Stage,
) -> None:
    async def lose(event: Event) -> None:
        stage.got.append(event)
        if event.payload.id_ordinal() == "2":
            stage.held = {1}

    stage.handle = lose
    for number in (1, 2, 3):
        stage.bus.publish(STEPS, fact(number, partition=0))
    stage.bus.publish(STEPS, fact(4, partition=1))
    async with stage.running():
        await until(lambda: stage.committed(1) == 1)
        assert ordinals(stage.got) == [1, 2, 4]
        assert stage.committed(0) == 0
        stage.handle = stage.take
        stage.held = {0, 1}
        await until(lambda: stage.committed(0) == 3)
    assert ordinals(stage.got) == [1, 2, 4, 1, 2, 3]


async def test_a_lease_lost_while_a_handler_fails_ends_the_tries(stage: Stage) -> None:
    failed = asyncio.Event()

    async def fail(event: Event) -> None:
        failed.set()
        raise Unavailable("away")

    stage.handle = fail
    stage.bus.publish(STEPS, fact(1))
    async with stage.running():
        await failed.wait()
        stage.held = set()
        await asyncio.sleep(5 * SETTINGS.poll_seconds)
        stage.handle = stage.take
        stage.held = {0, 1}
        await until(lambda: len(stage.got) == 1)


async def test_a_partition_that_is_not_assigned_any_more_is_left_alone(stage: Stage) -> None:
    async with stage.running() as consumer:
        consumer.assign(frozenset({1}))
        await asyncio.sleep(3 * SETTINGS.poll_seconds)
        stage.bus.publish(STEPS, fact(1, partition=0))
        stage.bus.publish(STEPS, fact(2, partition=1))
        await until(lambda: len(stage.got) == 1)
    assert ordinals(stage.got) == [2]


async def test_offsets_that_a_broker_does_not_take_are_committed_later(stage: Stage) -> None:
    async def shut(event: Event) -> None:
        stage.got.append(event)
        stage.broker.is_up = False

    stage.handle = shut
    stage.bus.publish(STEPS, fact(1))
    async with stage.running():
        await until(lambda: len(stage.got) == 1)
        await asyncio.sleep(3 * SETTINGS.poll_seconds)
        stage.broker.is_up = True
        await until(lambda: stage.committed() == 1)


async def test_nobody_needs_to_observe(stage: Stage) -> None:
    quiet = EventConsumer(stage.bus, [STEPS], stage.take, lambda _: True, SystemClock(), SETTINGS)
    quiet.assign(frozenset({0, 1}))
    stage.bus.publish(STEPS, fact(1))
    stage.bus.publish(STEPS, fact(2, source="elsewhere"))
    for _ in range(5):
        stage.raw()
    async with asyncio.TaskGroup() as group:
        group.create_task(quiet.run())
    assert ordinals(stage.got) == [1]
    assert quiet.stopped_topics == {STEPS.name}


def test_the_ratio_is_not_judged_before_the_window_is_full() -> None:
    count = DeadLetterCount(replace(SETTINGS, consecutive_max=100))
    for _ in range(9):
        count.note(is_dead=True)
    assert not count.is_exceeded
    count.note(is_dead=True)
    assert count.is_exceeded


def test_the_ratio_looks_at_the_last_records_only() -> None:
    count = DeadLetterCount(SETTINGS)
    for _ in range(6):
        count.note(is_dead=True)
        count.note(is_dead=False)
    assert not count.is_exceeded
    for _ in range(3):
        count.note(is_dead=True)
    assert count.is_exceeded
    for _ in range(5):
        count.note(is_dead=False)
    assert not count.is_exceeded


async def test_passes_by_types_that_nobody_wants(stage: Stage) -> None:
    stage.bus.publish(STEPS, fact(1))
    stage.raw()
    settings = replace(SETTINGS, types=frozenset({"headrace.step.completed.v1"}))
    async with stage.running(settings):
        await until(lambda: stage.committed() == 2)
    assert (stage.got, stage.dead(), stage.notes.ignored_because) == ([], (), [])
