"""Kubernetes Events that come before the claim they tell of, said once.

Where that claim is not stored, the next pass decides the same and would say the same again: each
retry would send the same notifications (cli-and-clients 9.1).
"""

from __future__ import annotations

from typing import Protocol

from headrace.kubernetes.resources import Manifest
from rollout_controller.core.plan import PlannedEvent


class Recorder(Protocol):
    """Creates Kubernetes Events; never fails a reconcile."""

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        """Create one Event on an object."""
        ...


class Announcer:
    """Says what a pass asserts, until the pass is settled.

    What tells an effect needs no memory: an effect that was carried out is not planned again; nor
    does what comes after the claim.

    Args:
        recorder: Creates the Events.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._said: dict[str, set[tuple[str, str, str]]] = {}

    async def say(self, uid: str, involved: Manifest, event: PlannedEvent) -> None:
        """Create an Event, unless a pass over the object `uid` has said it and is not settled."""
        words = (involved["kind"], event.reason, event.message)
        if words in self._said.get(uid, ()):
            return
        await self._recorder.record(involved, event.reason, event.message, event.type)
        if event.tells is None and event.is_before_claim:
            self._said.setdefault(uid, set()).add(words)

    def settle(self, uid: str) -> None:
        """Let everything be said again: what a pass asserted is stored, or the object is gone."""
        self._said.pop(uid, None)
