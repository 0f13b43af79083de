"""The pass under construction: what was observed, and what this pass adds to it.

Stages of a strategy (one module each) read the snapshot, add effects, events and deadlines
here, and record pauses and aborts. `status.sync` turns it into the claim. A draft lives for
one call of `decide`; it is the only mutable object of the core.

Source: canary 1, bluegreen 1 (order of stages); canary 2.5 (pause and abort fields).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from headrace.model.analysis import AnalysisPhase
from headrace.model.conditions import PauseReason, Reason
from headrace.model.headrace_status import Acknowledged
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant
from headrace.model.rollout import BlueGreenStrategy, CanaryStrategy
from headrace.model.rollout_status import (
    AnalysisRunReference,
    PauseCondition,
)
from headrace.model.route import RouteDocument
from headrace.model.steps import CanaryStep, TemplateMetadata
from headrace.model.traffic import TrafficWeights
from rollout_controller.core.canary import steps as canary_steps
from rollout_controller.core.canary.counts import CountFacts, Size
from rollout_controller.core.claimed_runs import RunKind, claimed_runs
from rollout_controller.core.observed import Observed, ReplicaSet
from rollout_controller.core.plan import (
    AnnotateRollout,
    Effect,
    EventType,
    PatchReplicaSet,
    PlannedEvent,
    PluginCall,
)
from rollout_controller.core.roles import Roles, routed_roles
from rollout_controller.core.routers import has_routers, known_shares

RETRY_SECONDS = 10.0
"""When something that failed for a reason outside is tried again. Source: rollout-api 9."""

_NO_CANARY: Final = CanaryStrategy()
_NO_BLUE_GREEN: Final = BlueGreenStrategy()


class Draft:
    """One pass over one Rollout.

    Attributes:
        canary: The canary strategy; an empty one for blue-green.
        blue_green: The blue-green strategy; an empty one for a canary.
        has_routers: Whether a router takes part; `trafficRouting: {}` configures none.
        new: ReplicaSet of the current template.
        stable: ReplicaSet of status.stableRS; the same object as `new` when promoted.
        others: All others, in the order observed.
        runs: The AnalysisRuns that this pass will claim.
        experiment: Name of the current Experiment that this pass will claim.
        is_experiment_done: The Experiment of the current step ended well.
        stamp: The decision time as the status stores times: in whole seconds, so that what a pass
            claims is what the next one reads.
        selected: The hashes that Services select after the switches of this pass.
        keeps_word: A person's resume or retry is left to the next pass: this one moves nothing.
        check_point: status.blueGreen.scaleUpPreviewCheckPoint as this pass will claim it.
        weights: status.canary.weights as this pass will claim them.
        request: The stored route, or the one that this pass asks for; None before the first.
        revision: Of the new ReplicaSet, as this pass leaves it; 0 without one.
        needs_intent: The request is new or renewed and must be stored first.
        acknowledged: Newest acknowledged route, including what this pass learned.
        plugin_statuses: status.canary.stepPluginStatuses as this pass will claim them.
        plugin_attempt: Which attempt they belong to.
        create_error: Why the ReplicaSet of this revision could not be made.
        call: Call of a step plugin's worker that shall be under way.
    """

    def __init__(self, observed: Observed, now: Instant) -> None:
        self.observed = observed
        self.now = now
        self.stamp = Instant(now // 1)
        self.spec = observed.spec
        self.canary = observed.spec.strategy.canary or _NO_CANARY
        self.blue_green = observed.spec.strategy.blue_green or _NO_BLUE_GREEN
        self.is_blue_green = observed.spec.strategy.blue_green is not None
        self.has_routers = has_routers(self.canary.traffic_routing)
        self.status = observed.status
        self.effects: list[Effect] = []
        self.events: list[PlannedEvent] = []
        self.new = _named(observed, observed.new_replica_set)
        self.revision = self.new.revision if self.new else 0
        self.stable = _stable(observed, self.new)
        self.others = tuple(
            rs for rs in observed.replica_sets if rs is not self.new and rs is not self.stable
        )
        self._older = tuple(Size(rs.replicas, rs.available) for rs in self.others)
        self.weights: TrafficWeights | None = observed.status.canary.weights
        self.request: RouteDocument | None = observed.headrace.route
        self.needs_intent = False
        self.resend = False
        self.acknowledged: Acknowledged | None = observed.headrace.acknowledged
        self.route_error = ""
        self.is_route_settled = True
        self.epoch = observed.headrace.epoch
        self.shares = known_shares(observed.status, observed.headrace)
        self.attempt = observed.headrace.attempt + self._takes_back()
        self.runs: dict[RunKind, AnalysisRunReference] = {}
        self.experiment = ""
        self.is_experiment_done = False
        self.selected: dict[str, str] = {}
        self.check_point = False
        self.abort_message = (observed.headrace.abort_message or "") if self.status.abort else ""
        self.aborted_now = False
        self.abort_removed = False
        self.pauses_added: list[str] = []
        self.pauses_removed: set[str] = set()
        self.pauses_cleared = False
        self.keeps_word = False
        self.restarted_at = observed.status.restarted_at
        self.plugin_statuses = list(observed.status.canary.step_plugin_statuses)
        self.plugin_attempt = observed.headrace.plugin_attempt
        self.call: PluginCall | None = None
        self.failure = ""
        self.failed_on = ""
        self.create_error = ""
        self.wake_at: Instant | None = None
        self.scaled = False

    # What was observed

    @property
    def strategy(self) -> CanaryStrategy | BlueGreenStrategy:
        """The strategy in force, for what both have."""
        return self.blue_green if self.is_blue_green else self.canary

    @property
    def new_metadata(self) -> TemplateMetadata | None:
        """What pods of the new version carry while it is not the stable one."""
        if self.is_blue_green:
            return self.blue_green.preview_metadata
        return self.canary.canary_metadata

    @property
    def stable_metadata(self) -> TemplateMetadata | None:
        """What pods of the stable version carry."""
        if self.is_blue_green:
            return self.blue_green.active_metadata
        return self.canary.stable_metadata

    @property
    def steps(self) -> tuple[CanaryStep, ...]:
        """All steps of the canary."""
        return self.canary.steps

    @property
    def index(self) -> int:
        """status.currentStepIndex, None counting as 0."""
        return self.status.current_step_index or 0

    @property
    def step(self) -> CanaryStep | None:
        """The current step; None past the end or without steps."""
        return canary_steps.step_at(self.steps, self.index)

    @property
    def is_routed(self) -> bool:
        """Whether trafficRouting is configured."""
        return self.canary.traffic_routing is not None

    @property
    def is_dynamic(self) -> bool:
        """Whether stable has only the pods of its share while a canary runs."""
        return self.has_routers and self.canary.dynamic_stable_scale

    @property
    def roles(self) -> Roles:
        """The Services that routers divide the traffic between."""
        return routed_roles(self.canary, self.status.canary.stable_ping_pong)

    @property
    def base(self) -> int:
        """Weight of all traffic."""
        return canary_steps.weight_base(self.canary)

    @property
    def share_base(self) -> int:
        """Weight of all traffic by which `shares` count: that of the newest request.

        It is not `base` right after an edit of maxTrafficWeight.
        """
        if self.request is not None:
            return self.request.weights.base
        weights = self.observed.status.canary.weights
        return (weights.base if weights is not None else 0) or self.base

    @property
    def new_hash(self) -> str:
        """Label of the new ReplicaSet, else the computed hash."""
        return self.new.pod_hash if self.new else self.observed.template_hash

    @property
    def is_fully_promoted(self) -> bool:
        """Persisted stableRS equals persisted currentPodHash (both empty counts)."""
        return self.status.stable_rs == self.status.current_pod_hash

    @property
    def is_aborted(self) -> bool:
        """Aborted before or in this pass, and not taken back in it."""
        return (self.status.abort or self.aborted_now) and not self.abort_removed

    @property
    def is_retried(self) -> bool:
        """Whether a person has taken an abort back, and no pass has claimed it yet."""
        return self.status.aborted_at is not None and not self.status.abort

    def _takes_back(self) -> int:
        """Return 1 while a retry, or the resume of an inconclusive pause, waits to be claimed."""
        status, name = self.status, self.status.canary.current_experiment
        phases = [run.status for run in claimed_runs(status).values()]
        phases += [each.phase for each in self.observed.experiments if each.name == name]
        was_inconclusive = AnalysisPhase.INCONCLUSIVE in phases
        is_resumed = status.controller_pause and not status.pause_conditions and was_inconclusive
        return 1 if self.is_retried or is_resumed else 0

    @property
    def has_check_point(self) -> bool:
        """Whether the preview of blue-green grows to full size; a retry begins with it small."""
        return self.status.blue_green.scale_up_preview_check_point and not self.is_retried

    @property
    def is_route_acknowledged(self) -> bool:
        """Whether the newest request, if there is one, is known to hold."""
        route, known = self.request, self.acknowledged
        return route is None or (known is not None and known.epoch == route.epoch)

    @property
    def server_now(self) -> float:
        """The time by the API server's clock, which routes are decided and expire by."""
        return self.now + (self.observed.server_offset_seconds or 0.0)

    def awaits_answer(self, seconds: float) -> bool:
        """Return whether the newest request is unacknowledged, and younger than `seconds`.

        Wakes when it is not young any more.
        """
        if self.request is None or self.is_route_acknowledged:
            return False
        left = parse_time(self.request.decided_at) + seconds - self.server_now
        if left > 0.0:
            self.wake(self.now + left)
        return left > 0.0

    def has_pause(self, reason: PauseReason) -> bool:
        """Return whether the persisted status is paused for `reason`."""
        return any(pause.reason == reason for pause in self.status.pause_conditions)

    def size_after(self, rs: ReplicaSet) -> int:
        """Return the size of a ReplicaSet after this pass."""
        sizes = [
            effect.replicas
            for effect in self.effects
            if isinstance(effect, PatchReplicaSet) and effect.name == rs.name
        ]
        return next((size for size in sizes if size is not None), rs.replicas)

    def count_facts(self, weights: TrafficWeights | None = None) -> CountFacts:
        """Return what replica counts depend on, with the given weights (canary 4.3)."""
        distinct_stable = self.stable if self.stable is not self.new else None
        return CountFacts(
            strategy=self.canary,
            replicas=self.observed.replicas,
            index=self.status.current_step_index,
            is_aborted=self.is_aborted,
            promote_full=self.status.promote_full,
            is_promoted=not self.status.stable_rs
            or self.status.current_pod_hash == self.status.stable_rs,
            weights=weights,
            canary=size_of(self.new),
            stable=size_of(distinct_stable),
            older=self._older,
        )

    # What this pass adds

    def effect(self, effect: Effect) -> None:
        """Add an effect; effects are carried out in the order added."""
        self.effects.append(effect)

    def annotate(self, key: str, value: str) -> AnnotateRollout:
        """Annotate the Rollout, in one request however many annotations there are."""
        wanted = AnnotateRollout({key: value})
        for place, effect in enumerate(self.effects):
            if isinstance(effect, AnnotateRollout):
                wanted = replace(effect, annotations={**effect.annotations, key: value})
                self.effects[place] = wanted
                return wanted
        self.effect(wanted)
        return wanted

    def event(
        self,
        reason: Reason,
        message: str,
        *,
        type: EventType = "Normal",
        before: bool = True,
        tells: Effect | None = None,
    ) -> None:
        """Add a Kubernetes Event, before or after the claim, perhaps about an effect."""
        self.events.append(PlannedEvent(reason, message, type, before, tells))

    def wake(self, at: Instant | float) -> None:
        """Look again at `at`, or earlier when another deadline is earlier."""
        if self.wake_at is None or at < self.wake_at:
            self.wake_at = Instant(at)

    def fail(self, text: str, *, on: str, after_seconds: float = RETRY_SECONDS) -> None:
        """Say that this pass could not do something about `on` for `text`, and try again later."""
        if not self.failure:
            self.failure, self.failed_on = text, on
        self.wake(self.now + after_seconds)

    def abort(self, message: str) -> None:
        """Abort the update; the first message wins (canary 3.3)."""
        if not self.is_aborted:
            self.abort_message = message
            self.aborted_now = True

    def add_pause(self, reason: PauseReason) -> None:
        """Pause for `reason`; one that is there keeps its start time."""
        if reason not in self.pauses_added:
            self.pauses_added.append(reason)

    def remove_pause(self, reason: PauseReason) -> None:
        """End the pause for `reason`."""
        self.pauses_removed.add(reason)

    def leave_verdict(self) -> None:
        """Count no verdict of steps that are left or edited, should they come again."""
        self.attempt += 1

    def forget_plugins(self) -> None:
        """Clear what step plugins have done: what they are asked from now on are other calls."""
        self.plugin_attempt += 1 if self.plugin_statuses else 0
        self.plugin_statuses = []

    def clear_pauses(self) -> None:
        """End all pauses."""
        self.pauses_cleared = True

    def remove_abort(self) -> None:
        """Take the abort back."""
        self.abort_removed = True
        self.aborted_now = False

    # Derived pause fields

    def pause_conditions(self) -> tuple[PauseCondition, ...]:
        """Return status.pauseConditions as this pass leaves them (canary 2.5)."""
        if self.is_aborted or self.pauses_cleared:
            return ()
        kept = [p for p in self.status.pause_conditions if p.reason not in self.pauses_removed]
        reasons = {pause.reason for pause in kept}
        added = [
            PauseCondition(reason=reason, start_time=self.stamp)
            for reason in self.pauses_added
            if reason not in reasons
        ]
        return (*kept, *added)

    def aborted_at(self) -> Instant | None:
        """Return status.abortedAt as this pass leaves it (canary 2.5).

        It stays behind where a client took the abort away: that is how it says that a person
        wants another try.
        """
        if self.is_aborted:
            return self.status.aborted_at or self.stamp
        return self.status.aborted_at if self.keeps_word else None

    def controller_pause(self) -> bool:
        """Return status.controllerPause as this pass leaves it (canary 2.5)."""
        pauses = self.pause_conditions()
        if not pauses and not self.keeps_word:
            return False
        return self.status.controller_pause or bool(self.pauses_added)


def _named(observed: Observed, name: str | None) -> ReplicaSet | None:
    return next((rs for rs in observed.replica_sets if rs.name == name), None)


def _stable(observed: Observed, new: ReplicaSet | None) -> ReplicaSet | None:
    wanted = observed.status.stable_rs
    if not wanted:
        return None
    if new is not None and new.pod_hash == wanted:
        return new
    return next((rs for rs in observed.replica_sets if rs.pod_hash == wanted), None)


def size_of(rs: ReplicaSet | None) -> Size | None:
    """Return the pods of a ReplicaSet as the counts see them."""
    return None if rs is None else Size(rs.replicas, rs.available, created=rs.status_replicas)
