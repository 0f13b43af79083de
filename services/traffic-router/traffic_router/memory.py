"""What one process remembers of the Rollouts: requests that came by the bus, and what was said.

Nothing here is needed after a restart: requests stand in the Rollouts, answers in the fences.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from headrace.events.rollout import RouteVerifyRequested
from headrace.model.quantities import Instant
from headrace.model.route import RouteDocument
from headrace.routes import ObjectRef
from traffic_router.core.observed import Failure, Memory, Repair, Said

_REPAIR_PAUSE_SECONDS: Final = 1.0
_REPAIR_PAUSE_SECONDS_MAX: Final = 30.0
"""Between repairs of one object that follow on each other; the first one comes at once."""

_ALIVE_SECONDS: Final = 60.0
"""How long a live read that found a Rollout of another instance is trusted."""


@dataclass(frozen=True, slots=True)
class _Entry:
    document: RouteDocument | None = None
    memory: Memory = field(default_factory=Memory)
    said_at: Instant | None = None


class RouteMemory:
    """Facts per key, laid over what the caches hold."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._alive: dict[str, Instant] = {}

    def of(self, key: str) -> Memory:
        """Return what is remembered of a key."""
        return self._entries.get(key, _Entry()).memory

    def has_document(self, key: str) -> bool:
        """Return whether a request came by the bus that no Rollout is known to hold yet."""
        return self.heard(key) is not None

    def heard(self, key: str) -> RouteDocument | None:
        """Return the request that came by the bus, until a look finds one as new in the Rollout."""
        return self._entries.get(key, _Entry()).document

    def document(self, key: str, durable: RouteDocument | None) -> RouteDocument | None:
        """Return the newest request: the one of the bus, while the object has none as new."""
        entry = self._entries.get(key)
        if entry is None or entry.document is None:
            return durable
        if durable is not None and not is_newer(entry.document, durable):
            self._entries[key] = replace(entry, document=None)
            return durable
        return entry.document

    def ask(self, key: str, document: RouteDocument, sent_at: Instant) -> None:
        """Note a request that came by the bus; it wants an answer even if nothing is to do.

        Mostly the watch brings the same request a moment earlier: what was answered since the
        request was sent is not answered twice. Where clocks differ too much for this, the
        request is sent again, or its sender reads the object.
        """
        entry = self._entries.get(key, _Entry())
        known = entry.document
        if known is None or known.uid != document.uid or is_newer(document, known):
            entry = replace(entry, document=document)
        self._entries[key] = entry
        if entry.said_at is None or entry.said_at < sent_at:
            self._remember(key, is_asked=True)

    def ask_verify(self, key: str, request: RouteVerifyRequested) -> None:
        """Note a check that came by the bus."""
        self._remember(key, verify=request)

    def drop_document(self, key: str) -> None:
        """Forget the request of the bus: its Rollout is gone or another one now."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries[key] = replace(entry, document=None)

    def answered(self, key: str, said: Said, now: Instant) -> None:
        """Note an answer that the bus took."""
        self._remember(key, is_asked=False, said=said)
        self._entries[key] = replace(self._entries[key], said_at=now)

    def verified(self, key: str) -> None:
        """Note that a check was answered."""
        self._remember(key, verify=None)

    def failed(self, key: str, ref: ObjectRef, failure: Failure) -> None:
        """Note a write that the API server refuses for ever."""
        failures = {**self.of(key).failures, ref: failure}
        self._remember(key, failures=failures)

    def written(self, key: str, ref: ObjectRef) -> None:
        """Note a write that succeeded."""
        failures = self.of(key).failures
        if ref in failures:
            kept = {other: failure for other, failure in failures.items() if other != ref}
            self._remember(key, failures=kept)

    def repaired(self, key: str, ref: ObjectRef, now: Instant) -> None:
        """Note a repair; the pause before another one grows while each undoes the one before.

        Who edits by hand takes longer than a second to do it again, and is answered at once.
        """
        repairs = self.of(key).repairs
        last = repairs.get(ref)
        pause_seconds = _REPAIR_PAUSE_SECONDS
        if last is not None and now - last.at < last.pause_seconds + _REPAIR_PAUSE_SECONDS:
            pause_seconds = min(2 * last.pause_seconds, _REPAIR_PAUSE_SECONDS_MAX)
        self._remember(key, repairs={**repairs, ref: Repair(now, pause_seconds)})

    def forget(self, key: str) -> None:
        """Forget a Rollout that is gone."""
        self._entries.pop(key, None)

    def say_again(self) -> None:
        """Let every answer be said again: the bus is back and may have lost some."""
        for key, entry in self._entries.items():
            memory = replace(entry.memory, said=None)
            self._entries[key] = replace(entry, memory=memory, said_at=None)

    def is_alive(self, uid: str, now: Instant) -> bool:
        """Return whether a Rollout that is not in the caches was found alive a moment ago."""
        seen = self._alive.get(uid)
        return seen is not None and now - seen < _ALIVE_SECONDS

    def note_alive(self, uid: str, now: Instant) -> None:
        """Remember a Rollout that a live read found, perhaps one of another instance."""
        self._alive = {
            known: seen for known, seen in self._alive.items() if now - seen < _ALIVE_SECONDS
        }
        self._alive[uid] = now

    def forget_alive(self, uid: str) -> None:
        """Trust no longer that a Rollout lives: the watch says that it was deleted."""
        self._alive.pop(uid, None)

    def _remember(self, key: str, **changes: object) -> None:
        entry = self._entries.get(key, _Entry())
        self._entries[key] = replace(entry, memory=replace(entry.memory, **changes))  # type: ignore[arg-type]


def is_newer(document: RouteDocument, than: RouteDocument) -> bool:
    """Return whether a request came later: by its epoch, then by its renewal."""
    return (document.epoch, document.renewal) > (than.epoch, than.renewal)
