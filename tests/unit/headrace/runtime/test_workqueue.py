from __future__ import annotations

import asyncio

import pytest

from headrace.backoff import Backoff
from headrace.model.quantities import Instant
from headrace.runtime.clock import LoopClock
from headrace.runtime.workqueue import KeyedQueue, Lane, WorkQueue, background_workers

T0 = Instant(1_700_000_000.0)


def at(seconds: float) -> Instant:
    return Instant(T0 + seconds)


def popped(queue: KeyedQueue, now: Instant = T0) -> str | None:
    result = queue.pop(now)
    return result[0] if result else None


def test_hands_out_a_key_once_however_often_it_was_added() -> None:
    queue = KeyedQueue()
    assert queue.add("ns/a", T0)
    assert not queue.add("ns/a", T0)
    assert popped(queue) == "ns/a"
    assert popped(queue) is None


def test_runs_a_key_once_more_when_it_was_added_while_processing() -> None:
    queue = KeyedQueue()
    queue.add("ns/a", T0)
    popped(queue)
    queue.add("ns/a", T0)
    queue.add("ns/a", T0, Lane.ABORT)
    assert popped(queue) is None, "a key is never processed twice at the same time"
    queue.add("ns/b", T0)
    queue.done("ns/a")
    assert popped(queue) == "ns/a", "the better lane of the two additions counts"
    queue.done("ns/a")
    assert popped(queue) == "ns/b"
    assert popped(queue) is None


def test_is_ready_only_for_a_worker_that_would_get_a_key() -> None:
    queue = KeyedQueue(background_max=1)
    assert not queue.is_ready
    queue.add("ns/a", T0)
    assert queue.is_ready
    popped(queue)
    queue.add("ns/a", T0)
    assert not queue.is_ready, "a key is never processed twice at the same time"
    queue.add("ns/b", T0)
    assert not queue.is_ready, "the background has no more room"
    queue.add("ns/c", T0, Lane.USER)
    assert queue.is_ready


def test_what_was_said_before_a_pass_looks_needs_no_pass_of_its_own() -> None:
    queue = KeyedQueue()
    queue.add("ns/a", T0)
    popped(queue)
    queue.add("ns/a", T0)
    queue.saw("ns/a")
    queue.done("ns/a")
    assert popped(queue) is None


def test_what_is_said_after_a_pass_looked_runs_the_key_once_more() -> None:
    queue = KeyedQueue()
    queue.add("ns/a", T0)
    popped(queue)
    queue.saw("ns/a")
    queue.add("ns/a", T0)
    queue.done("ns/a")
    assert popped(queue) == "ns/a"


def test_tells_how_long_a_key_waited() -> None:
    queue = KeyedQueue()
    queue.add("ns/a", T0)
    queue.add("ns/a", at(1), Lane.ABORT)
    assert queue.pop(at(3)) == ("ns/a", 3.0)


def test_an_earlier_due_time_wins_and_a_later_one_does_not_delay() -> None:
    queue = KeyedQueue()
    queue.add_at("ns/a", at(10))
    queue.add_at("ns/a", at(5))
    queue.add_at("ns/a", at(20))
    assert queue.next_at() == at(5)
    assert popped(queue, at(4.9)) is None
    assert popped(queue, at(5)) == "ns/a"
    assert queue.next_at() is None


def test_keeps_a_due_time_that_comes_while_the_key_is_processing() -> None:
    queue = KeyedQueue()
    queue.add("ns/a", T0)
    popped(queue)
    queue.add_at("ns/a", at(1))
    assert popped(queue, at(2)) is None
    queue.done("ns/a", wake_at=at(100))
    assert popped(queue, at(2)) == "ns/a"
    assert queue.next_at() == at(100)


def test_keeps_a_due_time_over_a_pass_that_ran_before_it() -> None:
    queue = KeyedQueue()
    queue.add_at("ns/a", at(5))
    queue.add("ns/a", T0)
    popped(queue)
    queue.done("ns/a")
    assert popped(queue, at(5)) == "ns/a"


def test_each_pass_replaces_the_time_that_the_last_one_planned() -> None:
    queue = KeyedQueue()
    for planned in (at(5), at(60), None):
        queue.add("ns/a", T0)
        popped(queue)
        queue.done("ns/a", wake_at=planned)
        assert queue.next_at() == planned


def test_keeps_workers_free_for_what_is_urgent() -> None:
    queue = KeyedQueue(background_max=2)
    for number in range(3):
        queue.add(f"ns/fact-{number}", T0, Lane.FACT)
    assert [popped(queue), popped(queue), popped(queue)] == ["ns/fact-0", "ns/fact-1", None]
    queue.add("ns/abort", T0, Lane.ABORT)
    queue.add("ns/user", T0, Lane.USER)
    assert queue.is_urgent
    assert [popped(queue), popped(queue), popped(queue)] == ["ns/abort", "ns/user", None]
    assert not queue.is_urgent
    for key in ("ns/abort", "ns/user", "ns/fact-1"):
        queue.done(key)
    assert popped(queue) == "ns/fact-2"


def test_the_background_has_one_worker_while_something_urgent_is_about() -> None:
    queue = KeyedQueue(background_max=3)
    queue.add("ns/user", T0, Lane.USER)
    for number in range(4):
        queue.add(f"ns/fact-{number}", T0, Lane.FACT)
    assert [popped(queue), popped(queue), popped(queue)] == ["ns/user", "ns/fact-0", None]
    queue.done("ns/user")
    assert [popped(queue), popped(queue), popped(queue)] == ["ns/fact-1", "ns/fact-2", None]
    queue.add("ns/user", T0, Lane.USER)
    queue.done("ns/fact-0")
    assert [popped(queue), popped(queue)] == ["ns/user", None]
    queue.done("ns/fact-1")
    queue.done("ns/fact-2")
    assert popped(queue) == "ns/fact-3"


def test_serves_the_background_with_one_worker_too() -> None:
    assert [background_workers(count) for count in (1, 2, 10, 40, 80)] == [1, 2, 4, 4, 8]


def test_backs_off_only_on_errors_and_forgets_them_on_success() -> None:
    queue = KeyedQueue(backoff=Backoff(first_seconds=1.0, seconds_max=3.0))
    delays = []
    now = T0
    queue.add("ns/a", now)
    for _ in range(4):
        popped(queue, now)
        delays.append(queue.retry("ns/a", now))
        now = Instant(now + delays[-1])
    assert delays == [1.0, 2.0, 3.0, 3.0]
    popped(queue, now)
    queue.done("ns/a")
    queue.add("ns/a", now)
    popped(queue, now)
    assert queue.retry("ns/a", now) == 1.0


def test_waits_as_long_as_the_other_side_asked_for() -> None:
    queue = KeyedQueue()
    queue.add("ns/a", T0)
    popped(queue)
    assert queue.retry("ns/a", T0, after_seconds=7.0) == 7.0
    assert queue.next_at() == at(7)


def test_an_event_does_not_wait_for_the_back_off() -> None:
    queue = KeyedQueue(backoff=Backoff(first_seconds=10.0))
    queue.add("ns/a", T0)
    popped(queue)
    queue.retry("ns/a", T0)
    queue.add("ns/a", T0, Lane.USER)
    assert popped(queue) == "ns/a"


def test_serves_the_more_urgent_lane_first() -> None:
    queue = KeyedQueue()
    for key, lane in (("d", Lane.REST), ("c", Lane.FACT), ("b", Lane.USER), ("a", Lane.ABORT)):
        queue.add(key, T0, lane)
    assert [popped(queue) for _ in range(4)] == ["a", "b", "c", "d"]


def test_moves_a_waiting_key_to_the_more_urgent_lane_and_never_back() -> None:
    queue = KeyedQueue()
    queue.add("a", T0, Lane.USER)
    queue.add("b", T0)
    queue.add("b", T0, Lane.ABORT)
    queue.add("b", T0, Lane.REST)
    assert [popped(queue), popped(queue), popped(queue)] == ["b", "a", None]


def test_does_not_starve_the_slow_lane() -> None:
    queue = KeyedQueue()
    queue.add("slow", T0)
    for number in range(100):
        queue.add(f"abort-{number}", at(1), Lane.ABORT)
    order = [popped(queue, at(2)) for _ in range(20)]
    assert order[0] == "abort-0"
    assert "slow" in order


def test_drop_forgets_everything_about_a_key() -> None:
    queue = KeyedQueue()
    queue.add("ns/ready", T0)
    queue.add_at("ns/later", at(5))
    queue.add("other/kept", T0)
    assert queue.drop(lambda key: key.startswith("ns/")) == 2
    assert popped(queue) == "other/kept"
    queue.done("other/kept")
    assert queue.next_at() is None


def test_what_a_dropped_pass_wants_next_is_forgotten() -> None:
    queue = KeyedQueue()
    queue.add("ns/a", T0)
    popped(queue)
    queue.add("ns/a", T0)
    queue.drop(lambda _: True)
    queue.done("ns/a", wake_at=at(5))
    assert popped(queue, at(10)) is None


def test_a_key_that_came_back_during_its_dropped_pass_runs_again() -> None:
    queue = KeyedQueue()
    queue.add("ns/a", T0)
    popped(queue)
    queue.drop(lambda _: True)
    queue.add("ns/a", T0)
    queue.retry("ns/a", T0)
    assert popped(queue) == "ns/a"


def test_outdated_timers_do_not_pile_up() -> None:
    queue = KeyedQueue()
    for number in range(10_000):
        queue.add("ns/a", T0)
        popped(queue)
        queue.done("ns/a", wake_at=at(1000 - number / 100))
    assert len(queue._timers._heap) < 200


class Counts:
    def __init__(self) -> None:
        self.adds = self.retries = 0
        self.waited: list[float] = []
        self.worked: list[float] = []

    def added(self) -> None:
        self.adds += 1

    def started(self, waited_seconds: float) -> None:
        self.waited.append(waited_seconds)

    def finished(self, worked_seconds: float) -> None:
        self.worked.append(worked_seconds)

    def retried(self) -> None:
        self.retries += 1


@pytest.mark.looptime
async def test_a_worker_waits_for_a_key() -> None:
    queue = WorkQueue(LoopClock())
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(5)
    queue.add("ns/a")
    assert await getting == "ns/a"
    queue.done("ns/a")


@pytest.mark.looptime
async def test_a_worker_wakes_at_the_due_time_and_not_before() -> None:
    clock = LoopClock()
    queue = WorkQueue(clock)
    queue.add("ns/late", at=Instant(clock.now() + 3600))
    getting = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    queue.add("ns/early", at=Instant(clock.now() + 60))
    assert await getting == "ns/early"
    assert asyncio.get_running_loop().time() == pytest.approx(61, abs=0.1)
    queue.done("ns/early")
    assert await queue.get() == "ns/late"
    assert asyncio.get_running_loop().time() == pytest.approx(3600, abs=0.1)
    queue.done("ns/late")


@pytest.mark.looptime
async def test_keys_that_are_due_together_wake_as_many_workers() -> None:
    clock = LoopClock()
    queue = WorkQueue(clock)
    due = Instant(clock.now() + 10)
    for key in ("a", "b", "c"):
        queue.add(key, at=due)
    async with asyncio.timeout(11):
        keys = await asyncio.gather(queue.get(), queue.get(), queue.get())
    assert sorted(key for key in keys if key) == ["a", "b", "c"]


@pytest.mark.looptime
async def test_a_cancelled_worker_passes_its_wake_up_on() -> None:
    queue = WorkQueue(LoopClock())
    first = asyncio.create_task(queue.get())
    second = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("ns/a")
    first.cancel()
    async with asyncio.timeout(1):
        assert await second == "ns/a"
    assert first.cancelled()


@pytest.mark.looptime
async def test_a_closed_queue_sends_the_workers_home_and_drains() -> None:
    queue = WorkQueue(LoopClock())
    queue.add("ns/a")
    assert await queue.get() == "ns/a"
    waiting = asyncio.create_task(queue.get())
    draining = asyncio.create_task(queue.drained())
    await asyncio.sleep(1)
    queue.close()
    assert await waiting is None
    await asyncio.sleep(1)
    assert not draining.done()
    queue.done("ns/a", wake_at=T0)
    await draining
    queue.add("ns/b")
    assert await queue.get() is None


@pytest.mark.looptime
async def test_the_observer_hears_of_depth_and_latency() -> None:
    clock = LoopClock()
    counts = Counts()
    queue = WorkQueue(clock, observer=counts)
    queue.add("ns/a")
    queue.add("ns/a")
    assert queue.depth == 1
    await asyncio.sleep(2)
    await queue.get()
    await asyncio.sleep(3)
    assert queue.working_seconds() == [pytest.approx(3, abs=0.01)]
    queue.retry("ns/a", after_seconds=1)
    assert await queue.get() == "ns/a"
    queue.done("ns/a")
    assert (counts.adds, counts.retries) == (2, 1)
    assert counts.waited[0] == pytest.approx(2, abs=0.01)
    assert counts.worked[0] == pytest.approx(3, abs=0.01)
