from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from headrace.errors import Unavailable
from headrace.kubernetes.resources import CONFIG_MAPS, LEASES
from headrace.model.quantities import Instant
from headrace.runtime.clock import LoopClock
from headrace.runtime.cluster_memory.cluster import MemoryCluster
from headrace.runtime.feeder import QueueFeeder
from headrace.runtime.lease import LeaseMismatch
from headrace.runtime.ownership import Layout, Membership, Ownership
from headrace.runtime.reconciler import Reconciler
from headrace.runtime.service import Part, PartEnded, Service, ownership_part, queue_part
from headrace.runtime.workqueue import WorkQueue

pytestmark = pytest.mark.looptime


class Story:
    """Parts that write down what happens to them."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def hook(self, text: str, seconds: float = 0.0) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await asyncio.sleep(seconds)
            self.log.append(text)

        return run

    def part(self, name: str, *, stop_seconds: float = 0.0, close_seconds: float = 0.0) -> Part:
        async def run() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.log.append(f"{name} ended")

        return Part(
            name,
            start=self.hook(f"{name} started"),
            run=run,
            stop=self.hook(f"{name} stopped", stop_seconds),
            close=self.hook(f"{name} closed", close_seconds),
        )


async def start(service: Service) -> asyncio.Task[None]:
    task = asyncio.create_task(service.run())
    async with asyncio.timeout(60):
        while service.missing() and not task.done():
            await asyncio.sleep(0.1)
    return task


async def test_starts_in_order_and_ends_in_the_opposite_order() -> None:
    story = Story()
    service = Service("x", base=[story.part("bus")], parts=[story.part("a"), story.part("b")])
    task = await start(service)
    assert story.log == ["bus started", "a started", "b started"]
    story.log.clear()
    service.stop()
    await task
    assert story.log == [
        *("b stopped", "b ended", "b closed"),
        *("a stopped", "a ended", "a closed"),
        *("bus stopped", "bus ended", "bus closed"),
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_ends_on_a_signal(number: signal.Signals) -> None:
    story = Story()
    task = await start(Service("x", parts=[story.part("a")]))
    os.kill(os.getpid(), number)
    await task
    assert story.log[-1] == "a closed"


async def test_is_not_ready_before_every_part_is() -> None:
    warm = asyncio.Event()

    async def ready() -> None:
        await warm.wait()

    story = Story()
    service = Service("x", parts=[Part("caches", ready=ready), story.part("work")])
    task = asyncio.create_task(service.run())
    await asyncio.sleep(1)
    assert service.missing() == ["caches", "work"]
    assert story.log == [], "work begins on warm caches only"
    warm.set()
    await asyncio.sleep(1)
    assert service.missing() == []
    service.stop()
    assert service.missing(), "nobody is sent here while it ends"
    await task


async def test_checks_hold_the_work_back_and_say_why() -> None:
    answers = iter(["CustomResourceDefinitions: run kubectl apply -f deploy/crds", "same", ""])

    async def check() -> str:
        return next(answers)

    story = Story()
    service = Service("x", base=[story.part("http")], parts=[story.part("a")], checks=[check])
    task = asyncio.create_task(service.run())
    await asyncio.sleep(0.1)
    assert "kubectl apply" in service.missing()[0]
    assert story.log == ["http started"]
    await asyncio.sleep(60)
    assert service.missing() == []
    service.stop()
    await task


async def test_a_check_without_an_answer_is_asked_again() -> None:
    answers = iter([Unavailable("connection refused"), None])

    async def check() -> str:
        answer = next(answers)
        if answer is not None:
            raise answer
        return ""

    service = Service("x", checks=[check])
    task = asyncio.create_task(service.run())
    await asyncio.sleep(0.1)
    assert "connection refused" in service.missing()[0]
    await asyncio.sleep(60)
    assert service.missing() == []
    service.stop()
    await task


async def test_can_be_stopped_while_it_waits_for_a_check() -> None:
    async def check() -> str:
        return "something that never comes"

    story = Story()
    service = Service("x", base=[story.part("http")], parts=[story.part("a")], checks=[check])
    task = asyncio.create_task(service.run())
    await asyncio.sleep(5)
    service.stop()
    await task
    assert "a started" not in story.log
    assert story.log[-1] == "http closed"


async def test_a_failing_part_ends_the_others_in_order() -> None:
    async def fail() -> None:
        await asyncio.sleep(5)
        raise RuntimeError("broken")

    story = Story()
    service = Service("x", parts=[story.part("a"), Part("bad", run=fail), story.part("b")])
    with pytest.raises(RuntimeError, match="broken"):
        await service.run()
    assert story.log[-6:] == [
        *("b stopped", "b ended", "b closed"),
        *("a stopped", "a ended", "a closed"),
    ]


async def test_a_part_that_ends_by_itself_is_a_failure() -> None:
    async def leave() -> None:
        await asyncio.sleep(1)

    with pytest.raises(PartEnded, match="workers"):
        await Service("x", parts=[Part("workers", run=leave)]).run()


async def test_what_was_started_is_closed_when_a_later_part_cannot_start() -> None:
    async def fail() -> None:
        raise OSError("address in use")

    story = Story()
    service = Service("x", parts=[story.part("a"), Part("http", start=fail)])
    with pytest.raises(OSError, match="address in use"):
        await service.run()
    assert story.log[-1] == "a closed"


async def test_the_grace_period_bounds_the_end() -> None:
    loop = asyncio.get_running_loop()
    story = Story()
    parts = [story.part("bus"), story.part("slow", stop_seconds=1000)]
    service = Service("x", parts=parts, grace_seconds=20)
    task = await start(service)
    service.stop()
    began = loop.time()
    await task
    assert loop.time() - began == pytest.approx(15, abs=0.1)
    assert "slow stopped" not in story.log
    assert "slow closed" in story.log
    assert story.log[-1] == "bus closed"


async def test_a_second_signal_ends_the_patience() -> None:
    loop = asyncio.get_running_loop()
    story = Story()
    service = Service("x", parts=[story.part("slow", stop_seconds=1000)], grace_seconds=600)
    task = await start(service)
    service.stop()
    await asyncio.sleep(1)
    began = loop.time()
    service.stop()
    await task
    assert loop.time() - began < 1


@dataclass(frozen=True, slots=True)
class Nothing:
    wake_at: Instant | None = None


class SlowShell:
    """Acts for five seconds, then writes."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def gather(self, key: str, now: Instant) -> str | None:
        return key

    def decide(self, observed: str, *, now: Instant, last: Nothing | None) -> Nothing:
        return Nothing()

    def check(self, observed: str, plan: Nothing) -> None:
        pass

    def freeze(self, observed: str, violation: str, *, now: Instant) -> Nothing | None:
        return None

    async def act(self, observed: str, plan: Nothing, *, now: Instant) -> bool:
        await asyncio.sleep(5)
        port = self.world.ownership.guard(self.world.cluster.client("us"), observed)
        name = observed.partition("/")[2]
        await port.create(CONFIG_MAPS, {"metadata": {"namespace": "default", "name": name}})
        return False


class World:
    """A service with a queue and Leases on the memory cluster."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        self.cluster = MemoryCluster(self.clock)
        membership = Membership("x", "default", "us")
        self.ownership = Ownership(self.cluster.client("us"), self.clock, membership)
        self.queue = WorkQueue(self.clock)
        self.keys: list[str] = []
        self.feeder = QueueFeeder(self.queue, self.ownership, lambda: self.keys, self.clock)
        reconciler = Reconciler(SlowShell(self), self.clock, self.ownership.may_act)
        self.service = Service(
            "x",
            parts=[
                Part("feeder", start=self._begin),
                ownership_part(self.ownership),
                queue_part("reconciler", reconciler, self.queue, 4),
            ],
        )

    async def _begin(self) -> None:
        self.feeder.begin()


async def test_a_running_reconcile_finishes_before_the_leases_are_released() -> None:
    world = World()
    world.keys = ["default/first"]
    task = await start(world.service)
    await asyncio.sleep(1)
    world.service.stop()
    world.feeder.wake("default/late")
    await task
    requests = [request for request in world.cluster.requests if request.identity == "us"]
    created = [request.name for request in requests if request.resource == "configmaps"]
    assert created == ["first"]
    write = next(i for i, request in enumerate(requests) if request.resource == "configmaps")
    releases = [
        index
        for index, request in enumerate(requests)
        if request.resource == "leases"
        and request.verb == "patch"
        and request.body["spec"].get("holderIdentity", "") is None
    ]
    assert len(releases) == 4
    assert min(releases) > write
    leases = await world.cluster.client("test").list(LEASES)
    assert not any(lease["spec"].get("holderIdentity") for lease in leases.items)


async def test_a_service_beside_replicas_of_another_layout_does_not_start() -> None:
    world = World()
    membership = Membership("x", "default", "other", layout=Layout(12, 6))
    running = Ownership(world.cluster.client("other"), world.clock, membership)
    task = asyncio.create_task(running.run())
    await asyncio.sleep(1)
    with pytest.raises(LeaseMismatch):
        await world.service.run()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
