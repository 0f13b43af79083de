"""Plan to port calls: measurements begin, then the claim, then facts and Events.

The status is written by a minimal merge patch that carries the resourceVersion it was computed
from. A conflict brings the run as it is now into the cache and is raised, so that the reconciler
gathers again at once; what was found stays in the memory until it is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from analysis_runner.core.observed import Observed, Told
from analysis_runner.core.plan import Ask, Plan
from analysis_runner.core.telling import unsaid
from analysis_runner.measuring import Measuring, Round
from analysis_runner.memory import RunMemory, Written
from headrace.events.envelope import Event
from headrace.events.topics import Topic
from headrace.ids import object_cause
from headrace.kubernetes.patches import merge_diff
from headrace.kubernetes.resources import ANALYSIS_RUNS, Manifest
from headrace.model.analysis import AnalysisRunStatus, is_completed
from headrace.model.quantities import Instant
from headrace.runtime.bus import Bus
from headrace.runtime.cluster import Cluster, MergePatch

log = structlog.get_logger(__name__)

SAY_LATER_SECONDS = 5.0
"""When facts are said again that the bus had no room for."""


class Recorder(Protocol):
    """Creates Kubernetes Events; never fails a reconcile."""

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        """Create one Event on an object."""
        ...


@dataclass(frozen=True, slots=True)
class Voice:
    """How the runner speaks.

    Attributes:
        bus: Where facts go.
        topic: The topic `verdicts`.
        source: UID of the kube-system namespace.
        recorder: For Kubernetes Events on the runs.
    """

    bus: Bus
    topic: Topic
    source: str
    recorder: Recorder


class Actor:
    """Carries plans out.

    Args:
        guard: Returns the port for the writes of a partition key: it needs the key's Lease, and
            feeds the caches (headrace.runtime.guard).
        memory: Told what was written and said.
        measurer: Begins measurements.
        voice: Bus and Events.
        wake_at: Asks for another look at a run.
    """

    def __init__(
        self,
        guard: Callable[[str], Cluster],
        memory: RunMemory,
        measurer: Measuring,
        voice: Voice,
        wake_at: Callable[[str, Instant], None],
    ) -> None:
        self._guard = guard
        self._memory = memory
        self._measurer = measurer
        self._voice = voice
        self._wake_at = wake_at

    async def act(self, observed: Observed, plan: Plan, *, now: Instant) -> bool:
        """Carry a plan out; return whether anything was written.

        Raises:
            Conflict: The run changed meanwhile; it is in its store as it is now.
            RolloutError: A write failed; what was found is still there for the next try.
        """
        uid = observed.about.run_uid
        for metric in plan.abandon:
            self._measurer.abandon(uid, metric)
        if plan.asks:
            self._begin(observed, plan.asks, now)
        if plan.says:
            self._say(observed, observed.status, observed.resource_version, now)
        if plan.deletes:
            await self._delete(observed)
            return True
        written = False
        if plan.claim is not None:
            written = await self._claim(observed, plan, plan.claim, now)
        self._memory.take(uid, plan.taken)
        return written

    def _begin(self, observed: Observed, asks: tuple[Ask, ...], now: Instant) -> None:
        assert observed.spec is not None
        spec = observed.manifest.get("spec") or {}
        about = observed.about
        self._measurer.begin(
            Round(
                key=observed.key,
                namespace=observed.manifest["metadata"].get("namespace", ""),
                name=about.run,
                uid=about.run_uid,
                started_at=observed.status.started_at,
                names=[metric.name for metric in observed.examined.metrics],
                raw_metrics=spec.get("metrics") or (),
                arguments=observed.spec.args,
                asks=asks,
            ),
            now,
        )

    async def _claim(
        self, observed: Observed, plan: Plan, claim: AnalysisRunStatus, now: Instant
    ) -> bool:
        metadata = observed.manifest["metadata"]
        namespace, name, uid = metadata.get("namespace"), metadata["name"], metadata["uid"]
        changes = merge_diff(observed.status.dump(), claim.dump())
        if not changes:
            return False
        body = {"metadata": {"resourceVersion": observed.resource_version}, "status": changes}
        answer = await self._guard(observed.partition_key).patch(
            ANALYSIS_RUNS, namespace, name, MergePatch(body)
        )
        self._memory.wrote(uid, Written(answer.get("status") or {}, claim))
        self._memory.take(uid, plan.taken)
        self._say(observed, claim, answer["metadata"]["resourceVersion"], now)
        if is_completed(claim.phase):
            log.info(
                "analysis run completed",
                key=observed.key,
                phase=claim.phase,
                message=claim.message,
            )
        for event in plan.events:
            await self._voice.recorder.record(answer, event.reason, event.message, event.type)
        return True

    async def _delete(self, observed: Observed) -> None:
        metadata = observed.manifest["metadata"]
        await self._guard(observed.partition_key).delete(
            ANALYSIS_RUNS,
            metadata.get("namespace"),
            metadata["name"],
            uid=metadata["uid"],
            resource_version=observed.resource_version,
        )
        log.info("analysis run deleted, its time is over", key=observed.key)

    def _say(
        self, observed: Observed, status: AnalysisRunStatus, resource_version: str, now: Instant
    ) -> None:
        """Give the bus what it does not have; what it has no room for is said later."""
        about = observed.about
        told = self._memory.told(about.run_uid) or Told()
        cause = object_cause(about.run_uid, resource_version)
        for fact in unsaid(about, status, resource_version, told):
            event = Event.of(fact, source=self._voice.source, time=now, causation_id=cause)
            if not self._voice.bus.publish(self._voice.topic, event):
                self._wake_at(observed.key, Instant(now + SAY_LATER_SECONDS))
                return
            self._memory.said(about.run_uid, fact)
