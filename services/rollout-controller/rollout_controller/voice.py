"""What the controller says: Kubernetes Events on the Rollout, requests and facts on the bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headrace.events.envelope import Event
from headrace.events.outbox import Teller, unpublished
from headrace.events.rollout import AnalysisRequested, RolloutDeleted, RouteRequested
from headrace.events.topics import Topic
from headrace.kubernetes.resources import ROLLOUTS, Manifest
from headrace.model.conditions import Reason
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.quantities import Instant
from headrace.model.rollout_status import DurationStatus
from headrace.model.route import RouteDocument
from headrace.runtime.bus import Bus
from headrace.runtime.metric_catalog import HistogramName
from rollout_controller.announcer import Announcer, Recorder
from rollout_controller.caches import Facts
from rollout_controller.core import labels
from rollout_controller.core.claimed_runs import subject_of
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import PlannedEvent
from rollout_controller.core.status.duration import ended


class Observer(Protocol):
    """Takes observations for histograms."""

    def observe(self, name: HistogramName, value: float, *labels: str) -> None:
        """Add an observation."""
        ...


@dataclass(slots=True)
class _Resend:
    """When an unacknowledged request was published last, and the delay until it is again."""

    epoch: int
    renewal: int
    at: Instant
    delay_seconds: float


class Voice:
    """Speaks for the controller; nothing here is awaited but the Kubernetes Events.

    Args:
        bus: Where requests and facts go.
        steps: Topic of both.
        recorder: For Kubernetes Events.
        facts: Told which history facts the broker has.
        metrics: For the durations of updates.
    """

    def __init__(
        self, bus: Bus, steps: Topic, recorder: Recorder, facts: Facts, metrics: Observer
    ) -> None:
        self._bus = bus
        self._steps = steps
        self._recorder = recorder
        self._announcer = Announcer(recorder)
        self._facts = facts
        self._metrics = metrics
        self._resends: dict[str, _Resend] = {}
        self._queued: dict[str, int] = {}
        self._departed: dict[str, Manifest] = {}

    def forget(self, uid: str) -> None:
        """Drop what is kept about a Rollout that is gone."""
        self._resends.pop(uid, None)
        self._queued.pop(uid, None)
        self.settle(uid)

    def settle(self, uid: str) -> None:
        """Note that what the Events before a claim tell is stored."""
        self._announcer.settle(uid)

    async def announce(
        self, observed: Observed, events: tuple[PlannedEvent, ...], *, before: bool
    ) -> None:
        """Create the Events that stand before, or after, the claim."""
        for event in events:
            if event.is_before_claim == before:
                await self._announcer.say(observed.uid, _involved(observed), event)

    def publish_request(
        self, observed: Observed, route: RouteDocument | None, now: Instant
    ) -> None:
        """Publish a route request, again with growing delays while it stays unanswered."""
        if route is None:
            return
        last = self._resends.get(observed.uid)
        first = observed.settings.route_resend_seconds
        if last is not None and (last.epoch, last.renewal) == (route.epoch, route.renewal):
            if now < last.at + last.delay_seconds:
                return
            first = min(last.delay_seconds * 2, observed.settings.route_resend_seconds_max)
        self._resends[observed.uid] = _Resend(route.epoch, route.renewal, now, first)
        payload = RouteRequested(
            namespace=observed.namespace,
            rollout=observed.name,
            uid=observed.uid,
            generation=observed.generation,
            revision=observed.annotations.get(labels.REVISION, ""),
            pod_hash=route.hashes.canary,
            epoch=route.epoch,
            reason="RouteRequested",
            message=f"canary {route.weights.canary} of {route.weights.base}",
            route=route,
        )
        self._publish(observed, payload, now, route.causation, route.actor)

    def publish_run(self, observed: Observed, run: Manifest, now: Instant) -> None:
        """Publish the request that a new AnalysisRun stands for."""
        metadata = run["metadata"]
        kind, step = subject_of(metadata["annotations"][labels.CAUSE]) or (None, None)
        payload = AnalysisRequested(
            namespace=observed.namespace,
            rollout=observed.name,
            uid=observed.uid,
            generation=observed.generation,
            revision=observed.annotations.get(labels.REVISION, ""),
            pod_hash=metadata["labels"].get(labels.HASH, ""),
            epoch=observed.headrace.epoch,
            reason="AnalysisRequested",
            message=f"AnalysisRun {metadata['name']} created",
            run=metadata["name"],
            run_uid=metadata["uid"],
            run_type=kind,
            step=step,
        )
        self._publish(observed, payload, now, observed.cause, observed.actor)

    def _publish(
        self,
        observed: Observed,
        payload: RouteRequested | AnalysisRequested,
        now: Instant,
        causation: str,
        actor: str | None,
    ) -> None:
        event = Event.of(
            payload,
            source=observed.settings.cluster_uid,
            time=now,
            causation_id=causation,
            actor=actor,
        )
        self._bus.publish(self._steps, event)

    def observe_duration(self, old: DurationStatus | None, new: DurationStatus | None) -> None:
        """Count the updates that a claim has just ended (rollout-api 8)."""
        for record in ended(old, new):
            total = (record.finished_at or 0.0) - (record.rollout_started_at or 0.0)
            paused = float(record.total_manual_pause_duration_seconds)
            status = record.completion_status
            self._metrics.observe("rollout_duration_seconds", total, status)
            self._metrics.observe("rollout_progression_duration_seconds", total - paused, status)
            self._metrics.observe("rollout_manual_pause_duration_seconds", paused, status)

    def publish_deleted(self, rollout: Manifest, source: str, now: Instant) -> None:
        """Publish that a Rollout is gone; its history went with it."""
        metadata, status = rollout["metadata"], rollout.get("status") or {}
        headrace = HeadraceStatus.remembered(status.get("headrace"))
        payload = RolloutDeleted(
            namespace=metadata.get("namespace", ""),
            rollout=metadata["name"],
            uid=metadata["uid"],
            generation=int(metadata.get("generation") or 0),
            revision=(metadata.get("annotations") or {}).get(labels.REVISION, ""),
            pod_hash=str(status.get("currentPodHash", "")),
            epoch=headrace.epoch,
            reason=Reason.ROLLOUT_DELETED,
            message="the Rollout is deleted",
            ordinal=headrace.history[-1].ordinal + 1 if headrace.history else 1,
        )
        self._bus.publish(self._steps, Event.of(payload, source=source, time=now))
        self._departed[payload.key] = rollout

    async def say_goodbye(self, key: str) -> None:
        """Create the last Event of a Rollout of this name that is gone (cli-and-clients 9)."""
        rollout = self._departed.pop(key, None)
        if rollout is None:
            return
        metadata = rollout["metadata"]
        text = f"Rollout {metadata['name']}/{metadata.get('namespace', '')} is deleted."
        involved = {
            "apiVersion": ROLLOUTS.api_version,
            "kind": ROLLOUTS.kind,
            "metadata": metadata,
        }
        await self._recorder.record(involved, Reason.ROLLOUT_DELETED, text)

    def publish_facts(self, observed: Observed, headrace: HeadraceStatus) -> None:
        """Publish the history facts that the broker does not have and that are not queued."""
        uid = observed.uid
        queued = self._queued.get(uid, headrace.published)
        teller = Teller(observed.settings.cluster_uid, observed.namespace, observed.name, uid)
        if not headrace.history or headrace.history[-1].ordinal <= queued:
            return
        for event in unpublished(headrace, teller):
            ordinal = int(getattr(event.payload, "ordinal", 0))
            if ordinal <= queued:
                continue
            if not self._bus.publish(self._steps, event, on_delivered=self._delivered):
                break
            self._queued[uid] = ordinal

    def _delivered(self, event: Event) -> None:
        ordinal = int(getattr(event.payload, "ordinal", 0))
        self._facts.delivered.setdefault(event.payload.uid, set()).add(ordinal)


def _involved(observed: Observed) -> Manifest:
    return {
        "apiVersion": ROLLOUTS.api_version,
        "kind": ROLLOUTS.kind,
        "metadata": {
            "namespace": observed.namespace,
            "name": observed.name,
            "uid": observed.uid,
            "resourceVersion": observed.resource_version,
        },
    }
