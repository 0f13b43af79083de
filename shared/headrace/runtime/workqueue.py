"""The keyed work queue: which key is reconciled next, by how many workers, and when again.

Watches, the bus and timers add keys; workers of the reconciler take them. One key is never
processed twice at the same time, and what is added while it waits or runs is one more pass, not
many. Whatever was scheduled is processed: a due time is not lost when its key is busy.

`KeyedQueue` is the pure part (time is an argument), used alone by simulators; `WorkQueue` adds
waiting on the event loop.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from itertools import count
from typing import Final, Protocol

from headrace.backoff import RECONCILE, Backoff, Rng
from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock, Timer

_TURNS_BEFORE_FAIRNESS: Final = 16
"""After so many keys in a row that passed by a lower lane, the lower lane gets one turn."""

_TIMER_SECONDS_MIN: Final = 0.001
"""Loop time and wall time differ a little: a timer that rang too early must not spin."""

_TIMER_SECONDS_MAX: Final = 30.0
"""A sleep never lasts longer, so that a wall clock that was set is noticed."""


class Lane(IntEnum):
    """How urgent a key is; lower goes first.

    FACT and REST are the background: only some of the workers serve them at once, and only one
    while something urgent waits or is under way, so that the API server has room for what is
    urgent.
    """

    ABORT = 0
    USER = 1
    FACT = 2
    REST = 3


_URGENT: Final = (Lane.ABORT, Lane.USER)


def background_workers(workers: int) -> int:
    """Return how many of so many workers may serve the background at once, >= 1.

    A few keep an API server busy, and the more are under way, the later it answers what is urgent.
    """
    return max(min(workers, 4), workers // 10)


class QueueObserver(Protocol):
    """Who is told what the queue does; the metrics implement it."""

    def added(self) -> None:
        """Note that a key became ready to be processed."""
        ...

    def started(self, waited_seconds: float) -> None:
        """Note that a worker took a key that was ready for `waited_seconds`."""
        ...

    def finished(self, worked_seconds: float) -> None:
        """Note that a worker returned a key after `worked_seconds`."""
        ...

    def retried(self) -> None:
        """Note that a key waits for its back-off."""
        ...


class SilentObserver:
    """Tells nobody."""

    def added(self) -> None:
        """Do nothing."""

    def started(self, waited_seconds: float) -> None:
        """Do nothing."""

    def finished(self, worked_seconds: float) -> None:
        """Do nothing."""

    def retried(self) -> None:
        """Do nothing."""


class _Timers:
    """Due times with at most one per slot: a heap whose outdated entries are skipped."""

    def __init__(self) -> None:
        self._due: dict[tuple[str, str], tuple[Instant, Lane]] = {}
        self._heap: list[tuple[Instant, int, tuple[str, str]]] = []
        self._sequence = count()

    def put(self, slot: tuple[str, str], at: Instant, lane: Lane) -> None:
        self._due[slot] = (at, lane)
        heapq.heappush(self._heap, (at, next(self._sequence), slot))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._due):
            self._heap = [(due, next(self._sequence), slot) for slot, (due, _) in self._due.items()]
            heapq.heapify(self._heap)

    def get(self, slot: tuple[str, str]) -> tuple[Instant, Lane] | None:
        return self._due.get(slot)

    def discard(self, slot: tuple[str, str]) -> None:
        self._due.pop(slot, None)

    def next_at(self) -> Instant | None:
        while self._heap:
            at, _, slot = self._heap[0]
            current = self._due.get(slot)
            if current is not None and current[0] == at:
                return at
            heapq.heappop(self._heap)
        return None

    def pop_due(self, now: Instant) -> tuple[str, Lane] | None:
        """Return key and lane of the first slot that is due, and forget the slot."""
        at = self.next_at()
        if at is None or at > now:
            return None
        slot = heapq.heappop(self._heap)[2]
        return slot[0], self._due.pop(slot)[1]

    def keys(self) -> set[str]:
        return {key for key, _ in self._due}


_ADDED: Final = "added"
_PLANNED: Final = "planned"


class KeyedQueue:
    """The queue without an event loop.

    A key is ready, processing, both (added while processing), waiting for a time, or unknown. At
    most `background_max` keys of the background are processed at once; no further one begins while
    something urgent is about and one of them is under way. Two due times are kept per
    key: the earliest one that somebody added, which is kept until it comes, and the one that the
    last pass planned, which every pass replaces.
    """

    def __init__(
        self,
        *,
        backoff: Backoff = RECONCILE,
        rng: Rng | None = None,
        background_max: int | None = None,
    ) -> None:
        self._backoff = backoff
        self._rng = rng
        self._background_max = background_max
        self._background: set[str] = set()
        # Ordered dictionaries, since the first key of a plain one is slow to find after deletes.
        self._lanes: tuple[OrderedDict[str, Instant], ...] = tuple(OrderedDict() for _ in Lane)
        self._lane_of: dict[str, Lane] = {}
        self._processing: dict[str, Instant] = {}
        self._again: dict[str, tuple[Lane, Instant]] = {}
        self._dropped: set[str] = set()
        self._timers = _Timers()
        self._failures: dict[str, int] = {}
        self._passed_by = 0

    @property
    def depth(self) -> int:
        """Number of keys that are ready or will be as soon as their pass ends."""
        return len(self._lane_of) + len(self._again)

    @property
    def is_ready(self) -> bool:
        """True while a worker that asks gets a key."""
        return any(self._lanes[lane] for lane in self._open_lanes)

    @property
    def is_urgent(self) -> bool:
        """True while an abort or what a person wrote waits for a worker."""
        return any(self._lanes[lane] for lane in _URGENT)

    @property
    def processing(self) -> dict[str, Instant]:
        """Keys that workers hold, and since when."""
        return self._processing

    def next_at(self) -> Instant | None:
        """Return the next due time; None when nothing waits for one."""
        return self._timers.next_at()

    def add(self, key: str, now: Instant, lane: Lane = Lane.REST) -> bool:
        """Make a key ready now; return False when it was already.

        A key that waits in a slower lane moves to `lane`; one that is processing runs once more.
        """
        self._dropped.discard(key)
        if key in self._processing:
            known = self._again.get(key)
            self._again[key] = (min(lane, known[0]), known[1]) if known else (lane, now)
            return known is None
        current = self._lane_of.get(key)
        if current is not None and current <= lane:
            return False
        since = now if current is None else self._lanes[current].pop(key)
        self._lanes[lane][key] = since
        self._lane_of[key] = lane
        return current is None

    def add_at(self, key: str, at: Instant, lane: Lane = Lane.REST) -> None:
        """Make a key ready at a time; an earlier time that is known already stays."""
        self._dropped.discard(key)
        known = self._timers.get((key, _ADDED))
        if known is None:
            self._timers.put((key, _ADDED), at, lane)
        elif at < known[0] or lane < known[1]:
            self._timers.put((key, _ADDED), min(at, known[0]), min(lane, known[1]))

    def move_due(self, now: Instant) -> int:
        """Make ready whatever is due; return how many keys that were not."""
        moved = 0
        while (due := self._timers.pop_due(now)) is not None:
            moved += self.add(due[0], now, due[1])
        return moved

    def pop(self, now: Instant) -> tuple[str, float] | None:
        """Return the next key and how long it was ready, in seconds; None when none may go."""
        self.move_due(now)
        lane = self._choose_lane()
        if lane is None:
            return None
        key, since = self._lanes[lane].popitem(last=False)
        del self._lane_of[key]
        self._processing[key] = now
        if lane not in _URGENT:
            self._background.add(key)
        return key, max(now - since, 0.0)

    def done(self, key: str, *, wake_at: Instant | None = None, lane: Lane = Lane.REST) -> float:
        """End the pass of a key that succeeded; return when it had begun.

        Args:
            key: What `pop` returned.
            wake_at: When the pass wants the next one; replaces what an earlier pass wanted.
            lane: Lane of that next pass.
        """
        self._failures.pop(key, None)
        return self._end(key, wake_at, lane)

    def saw(self, key: str) -> None:
        """Note that a pass over a key begins to look now: what was said before, it sees."""
        self._again.pop(key, None)

    def retry(self, key: str, now: Instant, *, after_seconds: float | None = None) -> float:
        """End the pass of a key that failed; return the delay until the next one, in seconds.

        Args:
            key: What `pop` returned.
            now: The present time.
            after_seconds: What the other side asked for, >= 0; None leaves it to the back-off.
        """
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        delay = self._backoff.delay_seconds(failures, self._rng)
        if after_seconds is not None:
            delay = max(delay, after_seconds)
        self._end(key, Instant(now + delay), Lane.REST)
        return delay

    def drop(self, matches: Callable[[str], bool]) -> int:
        """Forget every key that matches, its due times and failures; return how many.

        A pass that runs ends by itself; what it wants next is forgotten too, unless the key is
        added again meanwhile.
        """
        known = {*self._lane_of, *self._again, *self._timers.keys(), *self._failures}
        dropped = {key for key in {*known, *self._processing} if matches(key)}
        for key in dropped:
            lane = self._lane_of.pop(key, None)
            if lane is not None:
                del self._lanes[lane][key]
            self._again.pop(key, None)
            self._timers.discard((key, _ADDED))
            self._timers.discard((key, _PLANNED))
            self._failures.pop(key, None)
        self._dropped |= dropped & self._processing.keys()
        return len(dropped)

    def _end(self, key: str, wake_at: Instant | None, lane: Lane) -> float:
        began = self._processing.pop(key)
        self._background.discard(key)
        if key in self._dropped:
            self._dropped.discard(key)
            self._failures.pop(key, None)
            return began
        if wake_at is None:
            self._timers.discard((key, _PLANNED))
        else:
            self._timers.put((key, _PLANNED), wake_at, lane)
        again = self._again.pop(key, None)
        if again is not None:
            self.add(key, again[1], again[0])
        return began

    def _choose_lane(self) -> Lane | None:
        waiting = [lane for lane in self._open_lanes if self._lanes[lane]]
        if len(waiting) > 1 and self._passed_by < _TURNS_BEFORE_FAIRNESS:
            self._passed_by += 1
            return waiting[0]
        self._passed_by = 0 if waiting else self._passed_by
        others = waiting[1:] or waiting
        return min(others, key=lambda lane: next(iter(self._lanes[lane].values())), default=None)

    @property
    def _open_lanes(self) -> Iterable[Lane]:
        if self._background_max is None:
            return Lane
        has_urgent = self.is_urgent or len(self._processing) > len(self._background)
        is_full = len(self._background) >= (1 if has_urgent else self._background_max)
        return _URGENT if is_full else Lane


class WorkQueue:
    """A `KeyedQueue` whose workers wait on the event loop."""

    def __init__(
        self,
        clock: Clock,
        *,
        backoff: Backoff = RECONCILE,
        rng: Rng | None = None,
        observer: QueueObserver | None = None,
        background_max: int | None = None,
    ) -> None:
        self._clock = clock
        self._keys = KeyedQueue(backoff=backoff, rng=rng, background_max=background_max)
        self._observer = observer or SilentObserver()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: Timer | None = None
        self._timer_at: Instant | None = None
        self._is_closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def depth(self) -> int:
        """Number of keys that are ready."""
        return self._keys.depth

    @property
    def is_ready(self) -> bool:
        """True while a worker that asks gets a key."""
        return self._keys.is_ready

    @property
    def is_urgent(self) -> bool:
        """True while an abort or what a person wrote waits for a worker."""
        return self._keys.is_urgent

    def observe(self, observer: QueueObserver) -> None:
        """Tell `observer` from now on what the queue does."""
        self._observer = observer

    def working_seconds(self) -> list[float]:
        """Return for each key that a worker holds since how many seconds."""
        now = self._clock.now()
        return [max(now - since, 0.0) for since in self._keys.processing.values()]

    def add(self, key: str, *, lane: Lane = Lane.REST, at: Instant | None = None) -> None:
        """Ask for a pass over a key, now or at a time; ignored once the queue is closed."""
        if self._is_closed:
            return
        now = self._clock.now()
        if at is not None and at > now:
            self._keys.add_at(key, at, lane)
            self._arm()
        elif self._keys.add(key, now, lane):
            self._observer.added()
            self._wake_one()

    async def get(self) -> str | None:
        """Wait for the next key; None when the queue is closed.

        Each key that is returned must be given back with `done` or `retry`.
        """
        while not self._is_closed:
            key = self.take()
            if key is not None:
                return key
            self._arm()
            await self._wait()
        return None

    def take(self) -> str | None:
        """Return the next key that is ready, as `get` does; None when none is."""
        self._move_due()
        popped = self._keys.pop(self._clock.now())
        if popped is None:
            return None
        self._idle.clear()
        self._observer.started(popped[1])
        return popped[0]

    def done(self, key: str, *, wake_at: Instant | None = None, lane: Lane = Lane.REST) -> None:
        """Give a key back after a pass that succeeded; `wake_at` plans the next one."""
        self._ended(self._keys.done(key, wake_at=wake_at, lane=lane))

    def saw(self, key: str) -> None:
        """Note that a pass over a key that a worker holds begins to look now.

        What was said of the key up to now is in the caches that it looks into, so it needs no
        pass of its own: mostly the echo of the pass before.
        """
        self._keys.saw(key)

    def retry(self, key: str, *, after_seconds: float | None = None) -> float:
        """Give a key back after a pass that failed; return its delay in seconds."""
        began = self._keys.processing[key]
        delay = self._keys.retry(key, self._clock.now(), after_seconds=after_seconds)
        self._observer.retried()
        self._ended(began)
        return delay

    def drop(self, matches: Callable[[str], bool]) -> int:
        """Forget every key that matches (a shard was lost); return how many."""
        return self._keys.drop(matches)

    def close(self) -> None:
        """Hand out nothing more; workers get None. What runs may still be given back."""
        self._is_closed = True
        self._disarm()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def drained(self) -> None:
        """Return when no worker holds a key."""
        await self._idle.wait()

    def _ended(self, began: float) -> None:
        self._observer.finished(max(self._clock.now() - began, 0.0))
        if not self._keys.processing:
            self._idle.set()
        if self._is_closed:
            return
        if self._keys.depth:
            self._wake_one()
        self._arm()

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake_one()  # the key that woke us is another worker's now
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _arm(self) -> None:
        at = self._keys.next_at()
        if at is None or (self._timer_at is not None and self._timer_at <= at):
            return
        self._disarm()
        delay = min(max(at - self._clock.now(), _TIMER_SECONDS_MIN), _TIMER_SECONDS_MAX)
        self._timer = self._clock.call_later(delay, self._ring)
        self._timer_at = at

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._timer_at = None

    def _ring(self) -> None:
        self._timer = None
        self._timer_at = None
        self._move_due()
        self._arm()

    def _move_due(self) -> None:
        for _ in range(self._keys.move_due(self._clock.now())):
            self._observer.added()
            self._wake_one()
