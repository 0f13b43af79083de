"""Rules (to be completed)."""

from __future__ import annotations

from collections.abc import Iterator

from rollout_controller.core.observed import Observed


def errors(observed: Observed) -> Iterator[str]:
    """Yield the violated rules in order."""
    yield from ()
