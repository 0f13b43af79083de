"""Virtual time: the one true time of a world, and what each node takes it for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from headrace.model.quantities import Instant
from headrace.runtime.clock import Timer

EPOCH: Final = 1_700_000_000.0
"""When every world begins, in seconds since the Unix epoch."""


class Suspended(Exception):
    """A coroutine waited: between its ports nothing of Headrace may."""


class WorldClock:
    """The true time; only the world moves it."""

    def __init__(self) -> None:
        self.time = EPOCH

    def now(self) -> Instant:
        """Return the true time."""
        return Instant(self.time)

    def monotonic(self) -> float:
        """Return the true time."""
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Refuse: nothing sleeps in a simulation."""
        raise Suspended(f"sleeps for {seconds} s")

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Refuse: the world's own agenda is its heap."""
        raise Suspended("a timer without a node")


class Schedule(Protocol):
    """Calls something later, on behalf of a node."""

    def __call__(self, seconds: float, callback: Callable[[], None], /) -> Timer:
        """Call once, unless the node dies before."""
        ...


class NodeClock:
    """What one node reads: its wall clock is wrong by some seconds.

    Args:
        world: The true time.
        skew_seconds: Own wall time minus true time.
        schedule: For timers.
    """

    def __init__(self, world: WorldClock, skew_seconds: float, schedule: Schedule) -> None:
        self._world = world
        self._skew_seconds = skew_seconds
        self._schedule = schedule

    def now(self) -> Instant:
        """Return the node's wall time."""
        return Instant(self._world.time + self._skew_seconds)

    def monotonic(self) -> float:
        """Return the node's monotonic time, which is true."""
        return self._world.time

    async def sleep(self, seconds: float) -> None:
        """Refuse: gather and act await ports only."""
        raise Suspended(f"sleeps for {seconds} s")

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` after `seconds`, unless the node dies before."""
        return self._schedule(seconds, callback)
