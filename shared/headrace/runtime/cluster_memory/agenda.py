"""What a controller of the memory cluster has to look at, now and later."""

from __future__ import annotations

import heapq

from headrace.model.quantities import Instant


class Agenda:
    """Keys to look at, in order; each at most once per taking."""

    def __init__(self) -> None:
        self._now: dict[str, None] = {}
        self._later: list[tuple[Instant, str]] = []

    def add(self, key: str) -> None:
        """Look at `key` in the next step."""
        self._now[key] = None

    def add_at(self, due: float, key: str) -> None:
        """Look at `key` at the time `due`."""
        heapq.heappush(self._later, (Instant(due), key))

    def take(self, now: Instant) -> list[str]:
        """Return and forget all keys that are due."""
        while self._later and self._later[0][0] <= now:
            self.add(heapq.heappop(self._later)[1])
        keys = [*self._now]
        self._now.clear()
        return keys

    def wake_at(self) -> Instant | None:
        """Return when the next key is due: in the past if now, None if never."""
        if self._now:
            return Instant(0.0)
        return self._later[0][0] if self._later else None
