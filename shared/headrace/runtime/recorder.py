"""Writes Kubernetes Events: what `kubectl describe` shows, and notification triggers.

Act layers await it at the place in the order of effects that the plan names, so a watcher sees
the Events of one object in that order. An Event that cannot be written is told in the log and
counted; it never fails a reconcile.

Source: cli-and-clients 9 (component, names, an Event of its own for each repetition).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from headrace.errors import LostOwnership, RolloutError
from headrace.events.topics import object_key
from headrace.kubernetes.resources import EVENTS, Manifest
from headrace.model.meta import format_time
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

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        """Create one Event.

        Args:
            involved: The object that it is about, with apiVersion and kind.
            reason: CamelCase, one of the registry.
            message: For people; cut after 32 KiB.
            type: Normal or Warning.

        Raises:
            LostOwnership: The object is another replica's now; the reconcile ends.
        """
        metadata = involved["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        event = self._event(involved, reason, message, type)
        try:
            await self._guard(_key(involved)).create(EVENTS, event)
        except LostOwnership:
            raise
        except RolloutError as error:
            self._metrics.count("headrace_runtime_unwritten_events_total", involved["kind"])
            log.warning("event not written", event_reason=reason, object=name, error=str(error))
            return
        if involved["kind"] == "Rollout":
            self._metrics.count("rollout_events_total", namespace, name, type, reason)
        # Mostly the Event itself is there to be read, and the bus tells what was decided.
        write = log.warning if type == "Warning" else log.debug
        write(
            "event written",
            event_reason=reason,
            event_type=type,
            event_message=message,
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


def _key(involved: Manifest) -> str:
    metadata = involved["metadata"]
    annotations = metadata.get("annotations") or {}
    if involved["kind"] == "Rollout":
        annotations = {}  # only runs and experiments belong to another object's key
    return object_key(metadata.get("namespace", ""), metadata["name"], annotations)
