"""Why a Rollout does not move: `status.headrace.waiting`, from one registry of reasons.

`status.message` stays exactly what the specification says; this stands beside it and is written
only when the reason changes (architecture, section 4).
"""

from __future__ import annotations

from enum import StrEnum

from headrace.model.analysis import is_completed
from headrace.model.conditions import PauseReason
from headrace.model.headrace_status import Waiting
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace.model.rollout_status import AnalysisRunReference, PauseCondition, RolloutStatus
from rollout_controller.core.draft import Draft


class WaitingReason(StrEnum):
    """What a Rollout may wait for."""

    ROUTE_ACKNOWLEDGEMENT = "RouteAcknowledgement"
    ROUTE_FAILED = "RouteFailed"
    STABLE_PODS = "StablePods"
    CANARY_PODS = "CanaryPods"
    PERSON = "Person"
    DURATION = "Duration"
    VERDICT = "Verdict"
    PLUGIN = "Plugin"
    MANUAL_PAUSE = "ManualPause"
    INVALID_SPEC = "InvalidSpec"
    FAILURE = "Failure"
    FROZEN = "Frozen"


_Wait = tuple[WaitingReason, str, Instant | None, str]


def calculate(draft: Draft, status: RolloutStatus, old: Waiting | None) -> Waiting | None:
    """Return what the Rollout waits for after this pass; the old value while it is the same."""
    wait = _wait(draft, status)
    if wait is None:
        return None
    reason, on, deadline, unblock = wait
    if old is not None and (old.reason, old.on, old.unblock) == (reason, on, unblock):
        return old
    return Waiting(
        reason=reason,
        since=format_time(draft.now),
        on=on,
        deadline=None if deadline is None else format_time(deadline),
        unblock=unblock,
    )


def _wait(draft: Draft, status: RolloutStatus) -> _Wait | None:
    route = draft.request
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
    if status.stable_rs == status.current_pod_hash or status.abort:
        return None
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
    return WaitingReason.VERDICT, name, None, "the analysis-runner judges the run"


def _promotion_pause(draft: Draft, pause: PauseCondition) -> _Wait:
    seconds = draft.blue_green.auto_promotion_seconds
    if draft.blue_green.auto_promotion_enabled is False or seconds == 0:
        return WaitingReason.PERSON, pause.reason, None, "promote or abort the rollout"
    end = Instant(pause.start_time + seconds)
    return WaitingReason.DURATION, pause.reason, end, "the rollout promotes itself"


def _pods_or_verdict(draft: Draft) -> _Wait | None:
    step = draft.step
    if step is not None and step.analysis is not None:
        return _verdict(draft.runs.get("Step"))
    if step is not None and step.plugin is not None:
        on = f"step {draft.index + 1} ({step.plugin.name})"
        return WaitingReason.PLUGIN, on, None, "the worker of the plugin says that it is done"
    for run in draft.runs.values() if draft.is_blue_green else ():
        if not is_completed(run.status):
            return _verdict(run)
    new = draft.new
    if new is not None and new.available < new.replicas:
        return WaitingReason.CANARY_PODS, new.name, None, "its pods become available"
    stable = draft.stable
    if stable is not None and stable.available < stable.replicas:
        return WaitingReason.STABLE_PODS, stable.name, None, "its pods become available"
    return None
