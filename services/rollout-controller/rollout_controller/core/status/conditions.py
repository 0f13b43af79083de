"""Conditions of a Rollout: how one is set, and which hold after a pass (rollout-api 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.model.conditions import Condition, ConditionStatus, ConditionType, Reason
from headrace.model.quantities import Instant
from headrace.model.rollout import PROGRESS_DEADLINE_SECONDS_DEFAULT
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core import labels
from rollout_controller.core.bluegreen.counts import is_saturated
from rollout_controller.core.canary.counts import at_desired_counts
from rollout_controller.core.canary.weights import fixes_forward
from rollout_controller.core.draft import Draft

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN

AVAILABLE_MESSAGE = "Rollout has minimum availability"
STABLE_BROKEN_MESSAGE = (
    "The stable version has no available pods: the new version takes traffic by its steps"
)
NOT_AVAILABLE_MESSAGE = "Rollout does not have minimum availability"


def find(conditions: Sequence[Condition], kind: ConditionType) -> Condition | None:
    """Return the condition of a type."""
    for condition in conditions:  # the most frequent question of a pass: no generator
        if condition.type == kind:
            return condition
    return None


@dataclass(slots=True)
class ConditionList:
    """The conditions under construction; a changed one moves to the end."""

    items: list[Condition]
    now: Instant

    def find(self, kind: ConditionType) -> Condition | None:
        """Return the condition of a type."""
        return find(self.items, kind)

    def set(self, kind: ConditionType, status: ConditionStatus, reason: str, message: str) -> bool:
        """Set a condition; return False when status and reason held already."""
        old = self.find(kind)
        if old is not None and old.status == status and old.reason == reason:
            return False
        self.replace(kind, status, reason, message)
        return True

    def replace(
        self, kind: ConditionType, status: ConditionStatus, reason: str, message: str
    ) -> None:
        """Set a condition even when status and reason held, so that its time moves."""
        old = self.find(kind)
        keeps = old is not None and old.status == status
        condition = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            last_update_time=self.now,
            last_transition_time=old.last_transition_time if old and keeps else self.now,
        )
        self.remove(kind)
        self.items.append(condition)

    def remove(self, kind: ConditionType) -> None:
        """Remove the condition of a type, if there."""
        self.items = [condition for condition in self.items if condition.type != kind]


def is_healthy(draft: Draft, status: RolloutStatus) -> bool:
    """Return whether the update is done and all its pods serve (rollout-api 5)."""
    replicas = draft.observed.replicas
    steps = len(draft.steps)
    index_done = (
        not steps or status.current_step_index is None or (status.current_step_index == steps)
    )
    has_pods = (
        status.updated_replicas == replicas
        and status.available_replicas == replicas
        and status.observed_generation == str(draft.observed.generation)
    )
    if draft.is_blue_green:
        return has_pods and _is_cut_over(draft, status)
    return (
        has_pods
        and status.replicas == replicas
        and index_done
        and status.stable_rs == status.current_pod_hash
    )


def _is_cut_over(draft: Draft, status: RolloutStatus) -> bool:
    selected = {status.blue_green.active_selector}
    if draft.blue_green.preview_service:
        selected.add(status.blue_green.preview_selector)
    return selected == {status.current_pod_hash}


def is_progressing(old: RolloutStatus, new: RolloutStatus) -> bool:
    """Return whether the pass sees progress (rollout-api 5)."""
    return (
        new.updated_replicas != old.updated_replicas
        or new.replicas - new.updated_replicas < old.replicas - old.updated_replicas
        or new.ready_replicas > old.ready_replicas
        or new.available_replicas > old.available_replicas
        or new.blue_green.active_selector != old.blue_green.active_selector
        or new.blue_green.preview_selector != old.blue_green.preview_selector
        or new.stable_rs != old.stable_rs
        or new.current_step_index != old.current_step_index
        or new.current_step_hash != old.current_step_hash
    )


def progress_deadline_seconds(draft: Draft) -> int:
    """Return progressDeadlineSeconds or its default."""
    seconds = draft.spec.progress_deadline_seconds
    return PROGRESS_DEADLINE_SECONDS_DEFAULT if seconds is None else seconds


def deadline_of_progress(draft: Draft, conditions: Sequence[Condition]) -> Instant | None:
    """Return when lack of progress becomes a timeout; None while it cannot."""
    condition = find(conditions, ConditionType.PROGRESSING)
    if condition is None or condition.reason in (
        Reason.ROLLOUT_ABORTED,
        Reason.ROLLOUT_PAUSED,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        Reason.NEW_REPLICA_SET_AVAILABLE,
    ):
        return None
    if _is_deadline_suspended(draft, conditions):
        return None
    return Instant(condition.last_update_time + progress_deadline_seconds(draft))


def _is_deadline_suspended(draft: Draft, conditions: Sequence[Condition]) -> bool:
    step = draft.step
    if step is not None and (step.experiment or step.analysis is not None or step.pause):
        return True
    paused = find(conditions, ConditionType.PAUSED)
    if paused is not None and paused.status == TRUE:
        return True
    return any(rs.scale_down_deadline is not None for rs in draft.others)


def is_deadline_abort_due(draft: Draft, status: RolloutStatus) -> bool:
    """Return whether lack of progress aborts the update in this pass (rollout-api 5).

    Args:
        draft: The pass.
        status: As the pass would claim it.

    A router that does not answer is no fault of the new version: that alone aborts nothing
    (architecture, section 4).
    """
    if not draft.spec.progress_deadline_abort or draft.is_aborted:
        return False
    if status.stable_rs == status.current_pod_hash or is_progressing(draft.status, status):
        return False
    if not draft.is_route_acknowledged and at_desired_counts(draft.count_facts(draft.weights)):
        return False
    stored = draft.status.conditions
    progressing = find(stored, ConditionType.PROGRESSING)
    if progressing is not None and progressing.reason == Reason.PROGRESS_DEADLINE_EXCEEDED:
        return not _is_deadline_suspended(draft, stored)
    return _is_timed_out(draft, stored)


def timeout_message(draft: Draft) -> str:
    """Return what is said of an update that makes no progress."""
    return f"{_subject(draft)} has timed out progressing."


def _subject(draft: Draft) -> str:
    return f'ReplicaSet "{draft.new.name}"' if draft.new else f'Rollout "{draft.observed.name}"'


def calculate(draft: Draft, status: RolloutStatus, *, holds_route: bool) -> list[Condition]:
    """Return the conditions after this pass, and add their Events to the draft.

    Args:
        draft: The pass.
        status: The status so far, without conditions and phase.
        holds_route: The first route is still outstanding: Healthy waits for it
            (deviation 13).
    """
    kept = [c for c in draft.status.conditions if c.type != ConditionType.INVALID_SPEC]
    conditions = ConditionList(kept, draft.stamp)
    is_paused = bool(status.pause_conditions) or draft.spec.paused
    became_unhealthy = _set_healthy(draft, status, conditions, is_paused or holds_route)
    if draft.is_aborted:
        _set_aborted(draft, conditions)
    else:
        _set_progressing(draft, status, conditions, became_unhealthy, is_paused)
    _set_available(draft, status, conditions)
    _set_stable_broken(draft, conditions)
    _set_replica_failure(draft, conditions)
    _set_completed(draft, status, conditions)
    _set_paused(draft, status, conditions, is_paused)
    return conditions.items


def _set_healthy(
    draft: Draft, status: RolloutStatus, conditions: ConditionList, is_held: bool
) -> bool:
    """Set Healthy; return whether it was taken back for the pods, and not for a pause alone."""
    old = conditions.find(ConditionType.HEALTHY)
    is_well = is_healthy(draft, status)
    if is_well and not is_held:
        conditions.set(ConditionType.HEALTHY, TRUE, Reason.ROLLOUT_HEALTHY, "Rollout is healthy")
        return False
    if old is None:
        return False
    is_changed = conditions.set(
        ConditionType.HEALTHY, FALSE, Reason.ROLLOUT_HEALTHY, "Rollout is not healthy"
    )
    return is_changed and not is_well


def _set_aborted(draft: Draft, conditions: ConditionList) -> None:
    message = f"Rollout aborted update to revision {draft.revision}"
    if draft.abort_message:
        message += f": {draft.abort_message}"
    if conditions.set(ConditionType.PROGRESSING, FALSE, Reason.ROLLOUT_ABORTED, message):
        draft.event(Reason.ROLLOUT_ABORTED, message, type="Warning")


def _set_progressing(
    draft: Draft,
    status: RolloutStatus,
    conditions: ConditionList,
    became_unhealthy: bool,
    is_paused: bool,
) -> None:
    current = conditions.find(ConditionType.PROGRESSING)
    if is_paused and current is not None and current.reason == Reason.ROLLOUT_PAUSED:
        return
    is_done = (
        current is not None
        and current.reason == Reason.NEW_REPLICA_SET_AVAILABLE
        and status.replicas == status.available_replicas
        and status.stable_rs == status.current_pod_hash
    )
    if is_done and not became_unhealthy:
        return
    if not is_paused and is_healthy(draft, status):
        message = f"{_subject(draft)} has successfully progressed."
        conditions.set(ConditionType.PROGRESSING, TRUE, Reason.NEW_REPLICA_SET_AVAILABLE, message)
    elif became_unhealthy and status.stable_rs == status.current_pod_hash:
        reason = Reason.REPLICA_SET_NOT_AVAILABLE
        conditions.set(ConditionType.PROGRESSING, TRUE, reason, NOT_AVAILABLE_MESSAGE)
    else:
        _set_on_the_way(draft, status, conditions)


def _set_on_the_way(draft: Draft, status: RolloutStatus, conditions: ConditionList) -> None:
    """Set Progressing of an update that is not done: how it began, that it moves, or does not."""
    kind, current = ConditionType.PROGRESSING, conditions.find(ConditionType.PROGRESSING)
    if _is_first_claim(draft, status) and _is_just_created(draft):
        message = f'Created new replica set "{_name_of_new(draft)}"'
        conditions.replace(kind, TRUE, Reason.NEW_REPLICA_SET_CREATED, message)
    elif current is None:
        message = f'Found new replica set "{_name_of_new(draft)}"'
        conditions.set(kind, TRUE, Reason.FOUND_NEW_REPLICA_SET, message)
    elif _is_retry(draft, current):
        conditions.set(kind, UNKNOWN, Reason.ROLLOUT_RETRY, "Retrying Rollout after abort")
    elif is_progressing(draft.status, status) or _was_aborted(current):
        message = f"{_subject(draft)} is progressing."
        conditions.replace(kind, TRUE, Reason.REPLICA_SET_UPDATED, message)
    elif _is_timed_out(draft, conditions.items):
        conditions.set(kind, FALSE, Reason.PROGRESS_DEADLINE_EXCEEDED, timeout_message(draft))


def _name_of_new(draft: Draft) -> str:
    return draft.new.name if draft.new else ""


def _is_first_claim(draft: Draft, status: RolloutStatus) -> bool:
    """Return whether this status is the first to name the new ReplicaSet as the current one."""
    return status.current_pod_hash != draft.status.current_pod_hash


def _is_just_created(draft: Draft) -> bool:
    """Return whether the ReplicaSet was made for this update, and not found.

    Its creation has no status of its own: the claim that follows tells it as well.
    """
    if draft.new is None or draft.new.replicas:
        return False
    annotations = draft.new.manifest["metadata"].get("annotations") or {}
    return annotations.get(labels.CAUSE) == str(draft.revision)


def _was_aborted(current: Condition | None) -> bool:
    return current is not None and current.reason == Reason.ROLLOUT_ABORTED


def _is_retry(draft: Draft, current: Condition | None) -> bool:
    """Return whether a person took the abort back, other than by a new revision."""
    return _was_aborted(current) and not draft.status.abort


def _is_timed_out(draft: Draft, conditions: Sequence[Condition]) -> bool:
    deadline = deadline_of_progress(draft, conditions)
    return deadline is not None and deadline < draft.now


def _set_available(draft: Draft, status: RolloutStatus, conditions: ConditionList) -> None:
    if _is_available(draft, status):
        wanted, message = TRUE, AVAILABLE_MESSAGE
    else:
        wanted, message = FALSE, NOT_AVAILABLE_MESSAGE
    conditions.set(ConditionType.AVAILABLE, wanted, Reason.AVAILABLE, message)


def _is_available(draft: Draft, status: RolloutStatus) -> bool:
    if not draft.is_blue_green:
        return status.available_replicas >= draft.observed.replicas
    active = status.blue_green.active_selector
    return any(
        is_saturated(draft, rs) for rs in draft.observed.replica_sets if rs.pod_hash == active
    )


def _set_stable_broken(draft: Draft, conditions: ConditionList) -> None:
    """Say why a canary takes traffic although the gate would hold it (decision 12)."""
    if fixes_forward(draft):
        conditions.set(
            ConditionType.STABLE_BROKEN, TRUE, Reason.STABLE_BROKEN, STABLE_BROKEN_MESSAGE
        )
    else:
        conditions.remove(ConditionType.STABLE_BROKEN)


def _set_replica_failure(draft: Draft, conditions: ConditionList) -> None:
    ordered = ([draft.new] if draft.new else []) + list(draft.observed.replica_sets)
    failure = next((rs.failure for rs in ordered if rs.failure), None)
    if failure is None:
        conditions.remove(ConditionType.REPLICA_FAILURE)
        return
    status, reason, message = failure
    conditions.set(ConditionType.REPLICA_FAILURE, ConditionStatus(status), reason, message)


def _set_completed(draft: Draft, status: RolloutStatus, conditions: ConditionList) -> None:
    done = bool(status.stable_rs) and status.stable_rs == status.current_pod_hash
    old = conditions.find(ConditionType.COMPLETED)
    wanted = TRUE if done else FALSE
    if old is not None and old.status == wanted:
        return
    conditions.replace(
        ConditionType.COMPLETED, wanted, Reason.ROLLOUT_COMPLETED, Reason.ROLLOUT_COMPLETED
    )
    if not done:
        draft.event(
            Reason.ROLLOUT_NOT_COMPLETED,
            f"Rollout not completed, started update to revision {draft.revision} "
            f"({status.current_pod_hash})",
        )


def _set_paused(
    draft: Draft, status: RolloutStatus, conditions: ConditionList, is_paused: bool
) -> None:
    """Bring Progressing and Paused in line with the pauses (rollout-api 5)."""
    progressing = conditions.find(ConditionType.PROGRESSING)
    reason = progressing.reason if progressing else ""
    if reason == Reason.ROLLOUT_ABORTED:
        return
    is_completed = bool(status.stable_rs) and status.stable_rs == status.current_pod_hash
    if is_paused and reason != Reason.ROLLOUT_PAUSED and not is_completed:
        conditions.set(
            ConditionType.PROGRESSING, UNKNOWN, Reason.ROLLOUT_PAUSED, "Rollout is paused"
        )
    elif not is_paused and reason == Reason.ROLLOUT_PAUSED and not is_completed:
        conditions.set(
            ConditionType.PROGRESSING, UNKNOWN, Reason.ROLLOUT_RESUMED, "Rollout is resumed"
        )
    old = conditions.find(ConditionType.PAUSED)
    was_paused = old is not None and old.status == TRUE
    if is_paused != was_paused:
        conditions.replace(
            ConditionType.PAUSED,
            TRUE if is_paused else FALSE,
            Reason.ROLLOUT_PAUSED,
            "Rollout is paused",
        )
