"""Delay sequences for retries; the random source is passed in.

Used by the work queue, the reflector and the bus. Jitter keeps replicas that failed together
from trying again together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Rng(Protocol):
    """Source of randomness; `random.Random` satisfies it."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays with a cap.

    Attributes:
        first_seconds: Delay after the first failure, > 0.
        factor: Growth per failure, >= 1.
        seconds_max: Cap, >= first_seconds.
        jitter_ratio: Part of the delay that is random, 0 to 1.
    """

    first_seconds: float = 0.001
    factor: float = 2.0
    seconds_max: float = 10.0
    jitter_ratio: float = 0.0

    def delay_seconds(self, failures: int, rng: Rng | None = None) -> float:
        """Return the delay after `failures` failures in a row (>= 1), in seconds."""
        exponent = min(max(failures, 1) - 1, 64)
        delay = min(self.first_seconds * self.factor**exponent, self.seconds_max)
        if rng is None or self.jitter_ratio == 0.0:
            return delay
        return delay * (1.0 - self.jitter_ratio * rng.random())


RECONCILE = Backoff(first_seconds=0.001, seconds_max=10.0)
"""Per-key back-off of a failing reconcile. Source: rollout-api 9 (1 ms doubling to 10 s)."""

CONNECTION = Backoff(first_seconds=0.1, seconds_max=5.0, jitter_ratio=0.5)
"""Back-off of a lost watch or broker connection."""
