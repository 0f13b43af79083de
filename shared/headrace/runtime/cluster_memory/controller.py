"""What the controllers of the memory cluster share: an agenda of objects to look at."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod

from headrace.model.quantities import Instant
from headrace.runtime.cluster_memory.objects import Change, Objects, Record


class Agenda:
    """Uids of objects to look at, in order; each at most once per taking."""

    def __init__(self) -> None:
        self._now: dict[str, None] = {}
        self._later: list[tuple[Instant, str]] = []

    def add(self, uid: str) -> None:
        """Look at an object in the next step."""
        self._now[uid] = None

    def add_at(self, due: float, uid: str) -> None:
        """Look at an object at the time `due`."""
        heapq.heappush(self._later, (Instant(due), uid))

    def take(self, now: Instant) -> list[str]:
        """Return and forget all that is due."""
        while self._later and self._later[0][0] <= now:
            self.add(heapq.heappop(self._later)[1])
        uids = [*self._now]
        self._now.clear()
        return uids

    def wake_at(self) -> Instant | None:
        """Return when something is due next: in the past if now, None if never."""
        if self._now:
            return Instant(0.0)
        return self._later[0][0] if self._later else None


class Controller(ABC):
    """Brings objects to where they should be, one at a time, whenever they may have moved."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._agenda = Agenda()
        objects.observe(self._observe)

    def step(self, now: Instant) -> bool:
        """Sync all objects that are due; return whether there were any."""
        uids = self._agenda.take(now)
        for uid in uids:
            record = self._objects.by_uid(uid)
            if record is not None:
                self._sync(record, now)
        return bool(uids)

    def wake_at(self) -> Instant | None:
        """Return when the next object is due: in the past if now, None if never."""
        return self._agenda.wake_at()

    @abstractmethod
    def _observe(self, change: Change) -> None:
        """Put on the agenda what a committed write concerns."""

    @abstractmethod
    def _sync(self, record: Record, now: Instant) -> None:
        """Do for one object what is to be done now."""
