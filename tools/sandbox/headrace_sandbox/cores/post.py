"""Messages between the processes: lost, doubled, late and out of order, or not carried at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from headrace_sandbox.faults import Kind
from headrace_sandbox.world import World

_SECONDS: Final = 0.005
_LATE_SECONDS_MAX: Final = 20.0


class Reader(Protocol):
    """Who sends and hears messages."""

    @property
    def is_bus_cut_off(self) -> bool:
        """Whether messages neither come nor go."""
        ...

    def take(self, message: Any) -> None:
        """Hear a message."""
        ...


class Post:
    """Carries messages, which are values: no topics, partitions or encodings."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.stream("post")
        self._readers: dict[str, Reader] = {}
        self.down_until = 0.0

    def register(self, readers: Mapping[str, Reader]) -> None:
        """Carry messages to these from now on, by the name of their service."""
        self._readers.update(readers)

    @property
    def is_down(self) -> bool:
        """Whether it carries nothing."""
        return self._world.now < self.down_until

    def look(self) -> None:
        """Do nothing: what was sent while it was down is lost."""

    def send(self, sender: Reader, to: str, message: Any) -> bool:
        """Send a message on its way; return False when it is lost at once."""
        if self.is_down or sender.is_bus_cut_off:
            return False
        strikes = self._world.faults.strikes
        if strikes(Kind.EVENT_LOSS, to) is not None:
            return True
        copies = 2 if strikes(Kind.EVENT_DUPLICATE, to) is not None else 1
        for _ in range(copies):
            delay = self._rng.expovariate(1 / _SECONDS)
            if (fault := strikes(Kind.EVENT_DELAY, to)) is not None:
                delay += fault.size**2 * _LATE_SECONDS_MAX
            self._world.after(delay, lambda: self._deliver(to, message))
        return True

    def _deliver(self, to: str, message: Any) -> None:
        reader = self._readers[to]
        if not self.is_down and not reader.is_bus_cut_off:
            reader.take(message)
