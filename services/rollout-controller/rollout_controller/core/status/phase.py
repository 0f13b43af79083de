"""Phase and message: the first row of rollout-api 6 that matches (bluegreen 11 by example)."""

from __future__ import annotations

from headrace.model.analysis import is_completed
from headrace.model.conditions import ConditionType, Reason, RolloutPhase
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core.draft import Draft

STILL_BECOMING_AVAILABLE = "updated replicas are still becoming available"


def calculate(
    draft: Draft, status: RolloutStatus, *, holds_route: bool
) -> tuple[RolloutPhase, str]:
    """Return phase and message for a status whose other fields are final.

    Args:
        draft: The pass.
        status: The status with its conditions.
        holds_route: The first route is still outstanding: row 6 until then (deviation 13).
    """
    for condition in status.conditions:
        if condition.type == ConditionType.INVALID_SPEC:
            return RolloutPhase.DEGRADED, f"{Reason.INVALID_SPEC}: {condition.message}"
        if condition.reason in (Reason.ROLLOUT_ABORTED, Reason.PROGRESS_DEADLINE_EXCEEDED):
            return RolloutPhase.DEGRADED, f"{condition.reason}: {condition.message}"
    if draft.spec.paused:
        return RolloutPhase.PAUSED, "manually paused"
    if status.pause_conditions:
        return RolloutPhase.PAUSED, status.pause_conditions[0].reason
    message = _unfinished(draft, status)
    if not message and holds_route:
        message = STILL_BECOMING_AVAILABLE
    if message:
        return RolloutPhase.PROGRESSING, message
    return RolloutPhase.HEALTHY, ""


def _unfinished(draft: Draft, status: RolloutStatus) -> str:
    replicas = draft.observed.replicas
    restart_at = draft.spec.restart_at
    if restart_at is not None and restart_at != status.restarted_at:
        return "rollout is restarting"
    if status.updated_replicas < replicas:
        return "more replicas need to be updated"
    if status.available_replicas < status.updated_replicas:
        return STILL_BECOMING_AVAILABLE
    if draft.is_blue_green:
        return _unpromoted(draft, status)
    if not draft.is_routed and status.replicas > status.updated_replicas:
        return "old replicas are pending termination"
    if not status.stable_rs or status.stable_rs != draft.new_hash:
        return "waiting for all steps to complete"
    if draft.new is not None and draft.new.available < status.updated_replicas:
        return STILL_BECOMING_AVAILABLE  # old pods that stay for a while are none of it
    return ""


def _unpromoted(draft: Draft, status: RolloutStatus) -> str:
    """Return what blue-green still has to do once all pods are there (rows 7 to 9)."""
    if status.blue_green.active_selector != draft.new_hash:
        return "active service cutover pending"
    if status.stable_rs == status.current_pod_hash:
        return ""
    run = status.blue_green.post_promotion_analysis_run_status
    is_judged = draft.blue_green.post_promotion_analysis is not None
    if is_judged and (run is None or not is_completed(run.status)):
        return "waiting for analysis to complete"
    return "waiting for post-promotion verification to complete"
