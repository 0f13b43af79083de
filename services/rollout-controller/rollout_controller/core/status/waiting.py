"""Why a Rollout does not move: `status.headrace.waiting`, from one registry of reasons.

`status.message` stays exactly what the specification says; this stands beside it and is written
only when the reason changes (architecture, section 4). Each wait knows by when it should have
ended; one that takes longer is stuck, which is told once as `rollout.stuck`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from headrace.model.analysis import is_completed
from headrace.model.conditions import ConditionType, PauseReason, Reason
from headrace.model.headrace_status import Waiting
from headrace.model.meta import format_time, parse_time
from headrace.model.quantities import Instant
from headrace.model.rollout_status import AnalysisRunReference, PauseCondition, RolloutStatus
from rollout_controller.core.canary.counts import is_threshold_reachable
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.status.conditions import deadline_of_progress, find


class WaitingReason(StrEnum):
    """What a Rollout may wait for."""

    ROUTE_ACKNOWLEDGEMENT = "RouteAcknowledgement"
    ROUTE_FAILED = "RouteFailed"
    STABLE_PODS = "StablePods"
    CANARY_PODS = "CanaryPods"
    PROMOTED_PODS = "PromotedPods"
    REPLICA_PROGRESS_THRESHOLD = "ReplicaProgressThreshold"
    PERSON = "Person"
    DURATION = "Duration"
    VERDICT = "Verdict"
    EXPERIMENT = "Experiment"
    PLUGIN = "Plugin"
    MANUAL_PAUSE = "ManualPause"
    INVALID_SPEC = "InvalidSpec"
    FAILURE = "Failure"
    FROZEN = "Frozen"


EXPECTED_SECONDS: Final = 60.0
"""By when another process, or a repetition, should have ended a wait."""

_Wait = tuple[WaitingReason, str, Instant | None, str]

_REPEATED = (
    WaitingReason.ROUTE_ACKNOWLEDGEMENT,
    WaitingReason.ROUTE_FAILED,
    WaitingReason.FAILURE,
)
"""Tried again and again, with texts that may differ: one wait all the same."""

_RUN_BEGINS: Final = "the analysis-runner begins the run"
_RUN_ENDS: Final = "the analysis-runner judges the run"

_PODS = (
    WaitingReason.CANARY_PODS,
    WaitingReason.STABLE_PODS,
    WaitingReason.PROMOTED_PODS,
    WaitingReason.REPLICA_PROGRESS_THRESHOLD,
)
"""Bounded by progressDeadlineSeconds."""

_PODS_COME = "its pods become available"


def calculate(draft: Draft, status: RolloutStatus, old: Waiting | None) -> Waiting | None:
    """Return what the Rollout waits for after this pass; the old value while it is the same."""
    wait = _wait(draft, status)
    return None if wait is None else _told(draft, status, wait, old)


def frozen(draft: Draft, violation: str) -> Waiting:
    """Return the wait of a Rollout whose plan must not be carried out; it is stuck at once."""
    wait = (WaitingReason.FROZEN, "a plan that keeps every invariant", None, violation)
    return _told(draft, draft.status, wait, draft.observed.headrace.waiting)


def _told(draft: Draft, status: RolloutStatus, wait: _Wait, old: Waiting | None) -> Waiting:
    reason, on, deadline, unblock = wait
    if old is not None and not _is_same(old, wait):
        old = None
    since = draft.now if old is None else parse_time(old.since)
    expected = _expected(draft, status, wait, since)
    if expected is None and old is not None and old.expected is not None and reason in _PODS:
        expected = parse_time(old.expected)
    stuck = old.stuck if old is not None else None
    if expected is not None and draft.now >= expected:
        stuck = stuck or format_time(draft.now)
    return Waiting(
        reason=reason,
        since=format_time(since),
        on=on,
        deadline=None if deadline is None else format_time(deadline),
        unblock=unblock,
        expected=None if expected is None else format_time(expected),
        stuck=stuck,
    )


def _is_same(old: Waiting, wait: _Wait) -> bool:
    reason, on, _, unblock = wait
    if old.on == on and old.reason in _REPEATED and reason in _REPEATED:
        return True
    return (old.reason, old.on, old.unblock) == (reason, on, unblock)


def _expected(draft: Draft, status: RolloutStatus, wait: _Wait, since: Instant) -> Instant | None:
    """Return by when the wait should have ended; None where it may take any time."""
    reason, _, deadline, unblock = wait
    match reason:
        case WaitingReason.FROZEN:
            return since
        case WaitingReason.DURATION if deadline is not None:
            return Instant(deadline + EXPECTED_SECONDS)
        case _ if reason in _PODS:
            progressing = find(status.conditions, ConditionType.PROGRESSING)
            if progressing and progressing.reason == Reason.PROGRESS_DEADLINE_EXCEEDED:
                return since
            return deadline_of_progress(draft, status.conditions)
        case WaitingReason.VERDICT if unblock == _RUN_BEGINS:
            return Instant(since + EXPECTED_SECONDS)
        case _ if reason in _REPEATED:
            return Instant(since + EXPECTED_SECONDS)
    return None


def _wait(draft: Draft, status: RolloutStatus) -> _Wait | None:
    route = draft.request
    invalid = find(status.conditions, ConditionType.INVALID_SPEC)
    if invalid is not None and not draft.is_aborted:
        return WaitingReason.INVALID_SPEC, "spec", None, invalid.message
    if draft.failure:
        return WaitingReason.FAILURE, draft.failed_on, None, draft.failure
    if route is not None and not draft.is_route_acknowledged:
        on = f"route epoch {route.epoch}"
        if draft.route_error:
            return WaitingReason.ROUTE_FAILED, on, None, draft.route_error
        unblock = "the traffic-router applies the route and says so"
        return WaitingReason.ROUTE_ACKNOWLEDGEMENT, on, None, unblock
    if draft.spec.paused:
        return WaitingReason.MANUAL_PAUSE, "spec.paused", None, "set spec.paused to false"
    if status.pause_conditions:
        return _pause(draft, status)
    if draft.is_blue_green and status.abort and not _is_back(status):
        return WaitingReason.STABLE_PODS, status.stable_rs, None, "a pod of it becomes available"
    if status.stable_rs == status.current_pod_hash:
        return _missing_pods(draft, WaitingReason.PROMOTED_PODS, draft.new)
    if status.abort:
        return _missing_pods(draft, WaitingReason.STABLE_PODS, draft.stable)
    return _pods_or_verdict(draft)


def _is_back(status: RolloutStatus) -> bool:
    """Return whether the active Service selects the stable version after an abort."""
    return status.blue_green.active_selector == status.stable_rs


def _pause(draft: Draft, status: RolloutStatus) -> _Wait:
    pause = status.pause_conditions[0]
    if pause.reason == PauseReason.BLUE_GREEN_PAUSE:
        return _promotion_pause(draft, pause)
    steps = draft.steps
    index = status.current_step_index or 0
    step = steps[index] if index < len(steps) else None
    seconds = step.pause.seconds() if step is not None and step.pause is not None else None
    if pause.reason == PauseReason.CANARY_PAUSE_STEP and seconds is not None:
        end = Instant(pause.start_time + seconds)
        return WaitingReason.DURATION, f"step {index + 1}", end, "the pause ends by itself"
    return WaitingReason.PERSON, pause.reason, None, "promote or abort the rollout"


def _verdict(run: AnalysisRunReference | None) -> _Wait:
    name = run.name if run else "the analysis run"
    return WaitingReason.VERDICT, name, None, _RUN_ENDS if run and run.status else _RUN_BEGINS


def _experiment(draft: Draft) -> _Wait:
    name = draft.experiment or "the experiment"
    for each in draft.observed.experiments:
        if each.name == name and each.message and not is_completed(each.phase):
            return WaitingReason.FAILURE, name, None, each.message
    return WaitingReason.EXPERIMENT, name, None, "the Experiment ends"


def _promotion_pause(draft: Draft, pause: PauseCondition) -> _Wait:
    seconds = draft.blue_green.auto_promotion_seconds
    if draft.blue_green.auto_promotion_enabled is False or seconds <= 0:
        return WaitingReason.PERSON, pause.reason, None, "promote or abort the rollout"
    end = Instant(pause.start_time + seconds)
    return WaitingReason.DURATION, pause.reason, end, "the rollout promotes itself"


def _pods_or_verdict(draft: Draft) -> _Wait | None:
    step = draft.step
    if step is not None and step.experiment is not None:
        return _experiment(draft)
    if step is not None and step.analysis is not None:
        return _verdict(draft.runs.get("Step"))
    if step is not None and step.plugin is not None:
        on = f"step {draft.index + 1} ({step.plugin.name})"
        return WaitingReason.PLUGIN, on, None, "the worker of the plugin says that it is done"
    for run in draft.runs.values() if draft.is_blue_green else ():
        if not is_completed(run.status):
            return _verdict(run)
    return (
        _missing_pods(draft, WaitingReason.CANARY_PODS, draft.new)
        or _missing_pods(draft, WaitingReason.STABLE_PODS, draft.stable)
        or _unreachable_threshold(draft)
    )


def _missing_pods(draft: Draft, reason: WaitingReason, rs: ReplicaSet | None) -> _Wait | None:
    if rs is None or rs.available >= draft.size_after(rs):
        return None
    return reason, rs.name, None, _PODS_COME


def _unreachable_threshold(draft: Draft) -> _Wait | None:
    step = draft.step
    if step is None or (step.set_weight is None and step.set_canary_scale is None):
        return None
    if is_threshold_reachable(draft.count_facts(draft.weights)):
        return None
    unblock = "it asks for no more pods than the step makes"
    on = "spec.strategy.canary.replicaProgressThreshold"
    return WaitingReason.REPLICA_PROGRESS_THRESHOLD, on, None, unblock
