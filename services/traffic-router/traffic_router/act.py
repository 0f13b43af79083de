"""Plan to port calls: writes in their order, then facts.

A write's own answer is the read-back: it enters the cache, and the pass that follows judges it
from there. Every write is conditional on what it was computed from; a conflict brings the object
as it is now into the cache and is raised, so that the reconciler gathers again at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import structlog

from headrace.errors import Conflict, Forbidden, NotFound, Rejected, RolloutError
from headrace.events.envelope import Event
from headrace.events.payload import Payload
from headrace.events.rollout import RouteRequested
from headrace.events.topics import Topic
from headrace.events.traffic import RouteApplied, RouteRefused, RouteVerified
from headrace.ids import event_id, object_cause
from headrace.kubernetes.resources import ROLLOUTS, TRAFFIC_SPLITS, Manifest
from headrace.model.conditions import Reason as EventReason
from headrace.model.quantities import Instant
from headrace.routes import CreateObject, JsonChange, MergeChange
from headrace.runtime.bus import Bus
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import Cluster, JsonPatch, MergePatch
from headrace.runtime.metrics import Metrics
from headrace.runtime.recorder import Recorder
from headrace.runtime.store import Store
from traffic_router.core.observed import Failure, Observed
from traffic_router.core.plan import Plan, Purpose, Write
from traffic_router.memory import RouteMemory

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Voice:
    """How the router speaks.

    Attributes:
        bus: Where facts go.
        topic: The topic `traffic`.
        source: UID of the kube-system namespace.
        recorder: For Kubernetes Events on the Rollouts.
        metrics: Counts writes and answers.
    """

    bus: Bus
    topic: Topic
    source: str
    recorder: Recorder
    metrics: Metrics


class Actor:
    """Carries plans out.

    Args:
        guard: Gives the port for a key's writes: none leaves without the key's Lease.
        rollouts: Cache of the Rollouts, for their Events.
        memory: Told what was said and what the API server refuses.
        clock: Read once more directly before each write.
        voice: Bus, Events and metrics.
    """

    def __init__(
        self,
        guard: Callable[[str], Cluster],
        rollouts: Store,
        memory: RouteMemory,
        clock: Clock,
        voice: Voice,
    ) -> None:
        self._guard = guard
        self._rollouts = rollouts
        self._memory = memory
        self._clock = clock
        self._voice = voice

    async def act(self, observed: Observed, plan: Plan, *, now: Instant) -> bool:
        """Carry a plan out; return True when the objects must be looked at again.

        Raises:
            Conflict: An object changed meanwhile; it is in its cache as it is now.
            RolloutError: A write failed for now; what was done before it stays and is found again.
                Also after all others, when the API server refuses to have an object cleaned: no
                request would bring that about again.
        """
        uncleaned: RolloutError | None = None
        for write in plan.writes:
            if self._is_too_late(observed, write):
                return True
            try:
                if not await self._write(observed, write, now):
                    return True
            except (Forbidden, Rejected) as error:
                uncleaned = error
        if uncleaned is not None:
            raise uncleaned
        for fact in plan.facts:
            self._say(observed, plan, fact, now)
        return bool(plan.writes)

    def _is_too_late(self, observed: Observed, write: Write) -> bool:
        """Whether the request expired since it was judged, behind slow writes before this one."""
        offset = observed.server_offset_seconds
        if write.not_after is None:
            return False
        return offset is None or self._clock.now() + offset > write.not_after

    async def _write(self, observed: Observed, write: Write, now: Instant) -> bool:
        """Send one write; return False when the API server refuses it for ever.

        Raises:
            Forbidden, Rejected: It refuses to have an object cleaned.
        """
        cluster = self._guard(observed.key)
        ref = write.ref
        try:
            if isinstance(write.change, CreateObject):
                await self._find_owner(cluster, observed)
            stored = await self._send(cluster, write)
        except (Forbidden, Rejected) as error:
            if write.purpose in (Purpose.WITHDRAW, Purpose.RELEASE):
                raise
            await self._refused(observed, write, str(error))
            return False
        except NotFound as error:
            if isinstance(write.change, CreateObject):
                await self._refused(observed, write, str(error))
                return False
            raise Conflict(f"{ref.label} is gone") from error
        self._memory.written(observed.key, ref)
        if write.purpose is Purpose.REPAIR:
            self._memory.repaired(observed.key, ref, now)
        self._voice.metrics.count(
            "headrace_traffic_router_writes_total", ref.resource.kind, write.purpose
        )
        log.info(
            "traffic object written", key=observed.key, object=ref.label, purpose=write.purpose
        )
        if write.drift is not None:
            version = write.drift.resource_version or stored["metadata"]["resourceVersion"]
            drift = write.drift.model_copy(update={"resource_version": version})
            cause = object_cause((write.previous or stored)["metadata"]["uid"], version)
            self._publish(drift, now, cause)
        if isinstance(write.change, CreateObject) and ref.resource.kind == TRAFFIC_SPLITS.kind:
            reason = EventReason.TRAFFIC_SPLIT_CREATED
            await self._record(observed.key, reason, f"TrafficSplit `{ref.name}` created")
        return True

    async def _find_owner(self, cluster: Cluster, observed: Observed) -> None:
        """Look whether the Rollout is still there: a create, alone of all writes, rests on nothing.

        What is made for one that is gone goes with it, and would be made again without end while
        the cache lags behind.

        Raises:
            Conflict: It is gone, or another one of its name; the cache knows it now.
        """
        namespace, _, name = observed.key.partition("/")
        uid = observed.rollout.uid if observed.rollout is not None else ""
        try:
            live = (await cluster.get(ROLLOUTS, namespace, name))["metadata"]
        except NotFound as error:
            raise Conflict(f"Rollout {observed.key} is gone") from error
        if live["uid"] != uid or "deletionTimestamp" in live:
            raise Conflict(f"Rollout {observed.key} is another one, or is being deleted")

    async def _send(self, cluster: Cluster, write: Write) -> Manifest:
        ref = write.ref
        match write.change:
            case CreateObject():
                return await cluster.create(ref.resource, write.desired)
            case MergeChange(body):
                return await cluster.patch(ref.resource, ref.namespace, ref.name, MergePatch(body))
            case JsonChange(operations):
                patch = JsonPatch(operations)
                return await cluster.patch(ref.resource, ref.namespace, ref.name, patch)
            case unreachable:
                assert_never(unreachable)

    async def _refused(self, observed: Observed, write: Write, message: str) -> None:
        log.warning("write refused", key=observed.key, object=write.ref.label, error=message)
        if observed.document is not None:
            metadata = write.previous["metadata"] if write.previous else {}
            document = observed.document
            version = metadata.get("resourceVersion", "")
            failure = Failure(document.epoch, document.renewal, version, message)
            self._memory.failed(observed.key, write.ref, failure)
        if isinstance(write.change, CreateObject) and write.ref.resource.kind == "TrafficSplit":
            text = f"TrafficSplit `{write.ref.name}` failed creation: {message}"
            await self._record(observed.key, EventReason.TRAFFIC_SPLIT_NOT_CREATED, text)

    async def _record(self, key: str, reason: str, message: str) -> None:
        namespace, _, name = key.partition("/")
        rollout = self._rollouts.get(namespace, name)
        if rollout is not None:
            await self._voice.recorder.record(rollout, reason, message)

    def _say(self, observed: Observed, plan: Plan, fact: Payload, now: Instant) -> None:
        if not self._publish(fact, now, _cause(observed)):
            return  # said again when the bus is back
        match fact:
            case RouteApplied() | RouteRefused() if plan.said is not None:
                self._memory.answered(observed.key, plan.said, now)
                log.info(
                    "route answered",
                    key=observed.key,
                    epoch=fact.epoch,
                    reason=fact.reason,
                    message=fact.message,
                )
                self._voice.metrics.count("headrace_traffic_router_answers_total", fact.reason)
            case RouteVerified():
                self._memory.verified(observed.key)

    def _publish(self, fact: Payload, now: Instant, cause: str) -> bool:
        event = Event.of(fact, source=self._voice.source, time=now, causation_id=cause)
        return self._voice.bus.publish(self._voice.topic, event)


def _cause(observed: Observed) -> str:
    """The id of the request that is answered."""
    document = observed.document
    if document is None:
        return ""
    request = RouteRequested.EVENT_TYPE
    return event_id(document.uid, document.epoch, request, document.renewal)
