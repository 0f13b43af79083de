"""Nobody writes an object again and again: two that undo each other would never come to rest.

Nor does anybody look at a key without end, as one does that plans what it then leaves undone.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from headrace.runtime.reconciler import Outcome
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.looking import Agent
from headrace_sandbox.world import World, Write

_WRITES: Final = 60
_SECONDS: Final = 3.0
"""More often than that within so long there is no news that a write could be about."""

_LOOKS: Final = 300
"""More often than that within so long nobody has reason to look."""

_DULL: Final = ("leases", "events")


class Haste:
    """Checked at every committed write of a service."""

    def __init__(self, world: World, findings: Findings) -> None:
        self._world = world
        self._require = findings.require
        self._times: dict[tuple[str, str], deque[float]] = {}
        self._looks: dict[tuple[str, str], deque[float]] = {}

    def written(self, write: Write) -> None:
        """Hear of a committed change of a service."""
        record = write.change.record
        if record.resource.plural in _DULL:
            return
        # By its name: one that is made, deleted and made anew is another one each time.
        place = record.resource.plural, record.name
        times = self._times.setdefault(place, deque(maxlen=_WRITES))
        text = f"{record.resource.plural}/{record.name}: {_WRITES} writes"
        self._count(times, "nobody writes without end", text)

    def reconciled(self, node: Agent, key: str, outcome: Outcome) -> None:
        """Hear how a reconcile ended."""
        times = self._looks.setdefault((node.name, key), deque(maxlen=_LOOKS))
        text = f"{node.name} {key}: {_LOOKS} looks, {outcome.kind} at last,"
        self._count(times, "nobody looks without end", text)

    def _count(self, times: deque[float], rule: str, text: str) -> None:
        """Add now to the last times, and judge them when there are as many as are kept."""
        times.append(self._world.now)
        if len(times) == times.maxlen:
            seconds = times[-1] - times[0]
            self._require(seconds > _SECONDS, rule, f"{text} in {seconds:.1f} s")
            times.clear()
