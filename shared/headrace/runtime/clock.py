"""The Clock port: the only reader of time in the project.

Cores never see a clock: shells pass `now`. The simulator and the tests use `VirtualClock`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from headrace.model.quantities import Instant


class Timer(Protocol):
    """A call that is yet to come."""

    def cancel(self) -> None:
        """Do not call."""
        ...


class Clock(Protocol):
    """Wall time for decisions that outlive processes, sleeping and timers."""

    def now(self) -> Instant:
        """Return seconds since the Unix epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed point: never set back, goes on while we are stopped.

        Deadlines of this process (a Lease) are measured with it; it means nothing elsewhere.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` (>= 0)."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once after `seconds` (>= 0), unless the timer is cancelled before."""
        ...


class _LoopTimers:
    """Timers of the event loop."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Let the running event loop call."""
        return asyncio.get_running_loop().call_later(seconds, callback)


class SystemClock(_LoopTimers):
    """The machine's clock."""

    def now(self) -> Instant:
        """Return the machine's time, in seconds since the Unix epoch."""
        return Instant(time.time())  # noqa: TID251 - the one place that reads the clock

    def monotonic(self) -> float:
        """Return the machine's monotonic time, read at every call.

        The loop's own time will not do: uvloop reads it once per iteration, so a process that
        was stopped in the middle of one would not notice.
        """
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)


class LoopClock(_LoopTimers):
    """Wall time that goes with the event loop's own time.

    For loops whose time is virtual (looptime): sleeps and timestamps agree.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start

    def now(self) -> Instant:
        """Return `start` plus the loop's time."""
        return Instant(self._start + self.monotonic())

    def monotonic(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)


class VirtualClock(_LoopTimers):
    """A clock that moves only when told; sleeping moves it."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def now(self) -> Instant:
        """Return the virtual time."""
        return Instant(self._now)

    def monotonic(self) -> float:
        """Return the virtual time."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move time forward by `seconds` (>= 0)."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """Move time forward and yield once to the event loop."""
        self.advance(seconds)
        await asyncio.sleep(0)
