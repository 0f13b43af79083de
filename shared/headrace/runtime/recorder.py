"""Writes Kubernetes Events: what `kubectl describe` shows, and notification triggers.

Act layers await it at the place in the order of effects that the plan names, so a watcher sees
the Events of one object in that order. An Event never fails a reconcile, nor makes it wait: one
that cannot be written now stays in the line of its object, which is tried again beside the
reconciles, the oldest first. What can never be written is told in the log and counted.

Source: cli-and-clients 9 (component, names, an Event of its own for each repetition).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from headrace.errors import AlreadyExists, LostOwnership, RolloutError, TransientError
from headrace.events.topics import object_key
from headrace.kubernetes.resources import EVENTS, Manifest
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import Cluster
from headrace.runtime.metrics import Metrics

log = structlog.get_logger(__name__)

COMPONENT: Final = "rollouts-controller"
"""Who Events are from, by whichever service: the name that clients of Argo Rollouts know."""

_NAME_LENGTH_MAX: Final = 253
"""Source: Kubernetes, "Object Names and IDs" (DNS subdomain)."""

_MESSAGE_LENGTH_MAX: Final = 32_768
"""Messages are exact to clients; only what would burden the API server is cut."""


_RETRY_SECONDS: Final = 2.0
_RETRY_SECONDS_MAX: Final = 120.0
"""Source: client-go, tools/record: an Event is tried 12 times, 10 s apart."""

_WAITING_MAX: Final = 1000
"""Events that wait in one process: what a long outage leaves must not grow without bound."""


@dataclass(slots=True)
class _Waiting:
    """An Event that is not written yet, and how often it was sent."""

    involved: Manifest
    event: dict[str, Any]
    until: Instant
    tries: int = 0


class Recorder:
    """Creates Events on objects.

    Args:
        guard: Returns the port for the writes of a key, which needs the key's Lease.
        clock: Gives times and names.
        metrics: Counts what was written, and what could not be.
    """

    def __init__(self, guard: Callable[[str], Cluster], clock: Clock, metrics: Metrics) -> None:
        self._guard = guard
        self._clock = clock
        self._metrics = metrics
        self._last_nanoseconds = 0
        self._lines: dict[str, deque[_Waiting]] = {}
        self._in_hand: set[str] = set()
        self._left_over = asyncio.Event()

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        """Create one Event, behind those of the same object that could not be written yet.

        Args:
            involved: The object that it is about, with apiVersion and kind.
            reason: CamelCase, one of the registry.
            message: For people; cut after 32 KiB.
            type: Normal or Warning.

        Raises:
            LostOwnership: The object is another replica's now; the reconcile ends.
        """
        event = self._event(involved, reason, message, type)
        until = Instant(self._clock.now() + _RETRY_SECONDS_MAX)
        line = _line(involved)
        self._lines.setdefault(line, deque()).append(_Waiting(involved, event, until))
        if line not in self._in_hand:  # else who writes the ones before it writes it, too
            await self._advance(line)

    async def run(self) -> None:
        """Write what could not be written at first, until cancelled."""
        while True:
            await self._left_over.wait()
            await self._clock.sleep(_RETRY_SECONDS)
            await self.catch_up()

    async def catch_up(self) -> None:
        """Try once more what waits; the first that still cannot be written ends the round."""
        for line in [line for line in self._lines if line not in self._in_hand]:
            try:
                if not await self._advance(line):
                    # Behind the others: one namespace with a quota must not hold up the rest.
                    if left := self._lines.pop(line, None):
                        self._lines[line] = left
                    return
            except LostOwnership:
                continue  # the line is given up
        if not self._lines:
            self._left_over.clear()

    async def _advance(self, line: str) -> bool:
        """Write the Events of one object in their order; return False when one has to wait."""
        waiting = self._lines.get(line)
        if waiting is None:
            return True
        self._in_hand.add(line)
        try:
            while waiting:
                if not await self._write(waiting[0]):
                    self._keep_bound(waiting)
                    self._left_over.set()
                    return False
                waiting.popleft()
            return True
        except LostOwnership:
            for each in waiting:
                self._give_up(each, "the object is another replica's now")
            waiting.clear()
            raise
        finally:
            self._in_hand.discard(line)
            if not waiting:
                del self._lines[line]

    def _keep_bound(self, waiting: deque[_Waiting]) -> None:
        if sum(len(each) for each in self._lines.values()) > _WAITING_MAX:
            self._give_up(waiting.popleft(), "too many Events wait")

    async def _write(self, waiting: _Waiting) -> bool:
        """Send an Event; return whether it is done with, be it given up."""
        involved, event = waiting.involved, waiting.event
        waiting.tries += 1
        try:
            await self._guard(_key(involved)).create(EVENTS, event)
        except LostOwnership:
            raise
        except TransientError as error:
            if self._clock.now() < waiting.until:
                return False
            self._give_up(waiting, str(error))
            return True
        except RolloutError as error:
            # No two Events share a name: an earlier try was carried out, its answer was lost.
            is_there = isinstance(error, AlreadyExists) and waiting.tries > 1
            if not is_there:
                self._give_up(waiting, str(error))
                return True
        self._tell(involved, event)
        return True

    def _give_up(self, waiting: _Waiting, error: str) -> None:
        kind, name = waiting.involved["kind"], waiting.involved["metadata"]["name"]
        self._metrics.count("headrace_runtime_unwritten_events_total", kind)
        reason = waiting.event["reason"]
        log.warning("event not written", event_reason=reason, object=name, error=error)

    def _tell(self, involved: Manifest, event: Mapping[str, Any]) -> None:
        namespace, name = involved["metadata"].get("namespace", ""), involved["metadata"]["name"]
        type, reason = event["type"], event["reason"]
        if involved["kind"] == "Rollout":
            self._metrics.count("rollout_events_total", namespace, name, type, reason)
        # Mostly the Event itself is there to be read, and the bus tells what was decided.
        write = log.warning if type == "Warning" else log.debug
        write(
            "event written",
            event_reason=reason,
            event_type=type,
            event_message=event["message"],
            namespace=namespace,
            object=name,
            kind=involved["kind"],
        )

    def _event(self, involved: Manifest, reason: str, message: str, type: str) -> dict[str, Any]:
        metadata: Mapping[str, Any] = involved["metadata"]
        namespace = metadata.get("namespace") or "default"
        suffix = f".{self._next_nanoseconds():x}"
        now = format_time(self._clock.now())
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "namespace": namespace,
                "name": metadata["name"][: _NAME_LENGTH_MAX - len(suffix)] + suffix,
            },
            "involvedObject": {
                "apiVersion": involved["apiVersion"],
                "kind": involved["kind"],
                "namespace": namespace,
                "name": metadata["name"],
                "uid": metadata.get("uid", ""),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": type,
            "reason": reason,
            "message": message[:_MESSAGE_LENGTH_MAX],
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
        }

    def _next_nanoseconds(self) -> int:
        """Return the present time, or a later one: no two Events share a name."""
        now = int(self._clock.now() * 1e9)
        self._last_nanoseconds = max(now, self._last_nanoseconds + 1)
        return self._last_nanoseconds


def _line(involved: Manifest) -> str:
    metadata = involved["metadata"]
    return "/".join((involved["kind"], metadata.get("namespace", ""), metadata["name"]))


def _key(involved: Manifest) -> str:
    metadata = involved["metadata"]
    annotations = metadata.get("annotations") or {}
    if involved["kind"] == "Rollout":
        annotations = {}  # only runs and experiments belong to another object's key
    return object_key(metadata.get("namespace", ""), metadata["name"], annotations)
