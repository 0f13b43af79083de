"""Looks from outside for Rollouts that do not move although they should.

It decides nothing: it wakes what slept past its time, and counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from headrace.kubernetes.resources import Manifest
from headrace.runtime.clock import Clock
from headrace.runtime.metrics import Reading
from headrace.runtime.store import Store
from rollout_controller.core.status.stuck import is_overdue, stuck_reason

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 10.0


class Watchdog:
    """Watches the cache of Rollouts.

    Args:
        rollouts: The cache.
        clock: For what is overdue.
        wake: Looks at a key of ours again; ignores those of other replicas.
    """

    def __init__(self, rollouts: Store, clock: Clock, wake: Callable[[str], None]) -> None:
        self._rollouts = rollouts
        self._clock = clock
        self._wake = wake

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Wake every Rollout that should have been looked at before now."""
        now = self._clock.now()
        for rollout in self._rollouts.list():
            if is_overdue(rollout.get("status") or {}, now):
                key = _key(rollout)
                log.warning("rollout slept past its time", key=key)
                self._wake(key)

    def count(self) -> Iterable[Reading]:
        """Return how many Rollouts are stuck, by reason."""
        now = self._clock.now()
        reasons = (
            stuck_reason(rollout.get("status") or {}, now) for rollout in self._rollouts.list()
        )
        counted = Counter(reason for reason in reasons if reason is not None)
        return [((reason,), float(number)) for reason, number in sorted(counted.items())]


def _key(rollout: Manifest) -> str:
    metadata = rollout["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"
