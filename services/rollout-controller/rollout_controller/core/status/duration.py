"""status.duration: how long an update took, and how long a person kept it waiting.

Source: rollout-api 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headrace.model.conditions import PauseReason
from headrace.model.quantities import Instant
from headrace.model.rollout_status import DurationStatus, RolloutStatus
from rollout_controller.core.draft import Draft
from rollout_controller.core.rollback import is_fast_rollback, is_rollback

SUPERSEDED: Final = "Superseded"
"""completionStatus of an update that another version ended."""


def calculate(
    draft: Draft, status: RolloutStatus, *, spec_changed: bool, completion: str
) -> DurationStatus | None:
    """Return the record after this pass.

    Args:
        draft: The pass.
        status: The status with pauses and stableRS as this pass leaves them.
        spec_changed: Template or steps changed, or this is the first pass.
        completion: completionStatus when this pass promoted, else "".
    """
    old = draft.status.duration
    is_promoted = bool(status.stable_rs) and status.stable_rs == status.current_pod_hash
    available = draft.new.available if draft.new else 0
    is_completed = is_promoted and available >= draft.observed.replicas
    record = old
    if record is not None and record.rollout_started_at and not record.finished_at:
        record = _progressed(draft, record, spec_changed, is_completed, completion)
    if record is None or record.finished_at:
        is_retry = bool(draft.status.aborted_at) and not draft.is_aborted and not spec_changed
        starts = spec_changed and (not is_promoted or not old)
        if not is_completed and (starts or is_retry):
            record = DurationStatus(rollout_started_at=draft.stamp)
    if record is None or record.finished_at:
        return record
    return _paused(draft, record, status)


def ended(old: DurationStatus | None, new: DurationStatus | None) -> Iterator[DurationStatus]:
    """Yield the records that are over since `old` was stored.

    The record of an update that another one superseded is stored nowhere: that of the other one
    took its place in the same pass.
    """
    if new is None or new.rollout_started_at is None:
        return
    is_open = old is not None and old.rollout_started_at is not None and old.finished_at is None
    if old is not None and is_open and old.rollout_started_at != new.rollout_started_at:
        yield _finished(old, SUPERSEDED, new.rollout_started_at)
    if new.finished_at is not None and (old is None or old.finished_at != new.finished_at):
        yield new


def _progressed(
    draft: Draft, record: DurationStatus, spec_changed: bool, is_completed: bool, completion: str
) -> DurationStatus:
    if spec_changed:
        if is_rollback(draft):
            kind = "FastRolledBack" if is_fast_rollback(draft) else "RolledBack"
            return record.model_copy(update={"completion_status": kind})
        return _finished(record, SUPERSEDED, draft.stamp)
    if completion and not record.completion_status:
        record = record.model_copy(update={"completion_status": completion})
    if is_completed:
        return _finished(record, record.completion_status or "Promoted", draft.stamp)
    if draft.is_aborted:
        return _finished(record, record.completion_status or "Aborted", draft.stamp)
    return record


def _finished(record: DurationStatus, status: str, now: Instant) -> DurationStatus:
    total = record.total_manual_pause_duration_seconds + _open_pause(record, now)
    return record.model_copy(
        update={
            "completion_status": status,
            "finished_at": now,
            "manual_pause_started_at": None,
            "total_manual_pause_duration_seconds": total,
        }
    )


def _open_pause(record: DurationStatus, now: Instant) -> int:
    started = record.manual_pause_started_at
    return 0 if started is None else max(0, int(now - started))


def _paused(draft: Draft, record: DurationStatus, status: RolloutStatus) -> DurationStatus:
    is_manual = draft.spec.paused or any(
        _needs_a_person(draft, pause.reason) for pause in status.pause_conditions
    )
    if is_manual and record.manual_pause_started_at is None:
        return record.model_copy(update={"manual_pause_started_at": draft.stamp})
    if not is_manual and record.manual_pause_started_at is not None:
        total = record.total_manual_pause_duration_seconds + _open_pause(record, draft.stamp)
        return record.model_copy(
            update={"manual_pause_started_at": None, "total_manual_pause_duration_seconds": total}
        )
    return record


def _needs_a_person(draft: Draft, reason: str) -> bool:
    if reason == PauseReason.BLUE_GREEN_PAUSE:
        return draft.blue_green.auto_promotion_enabled is False
    if reason != PauseReason.CANARY_PAUSE_STEP:
        return True
    step = draft.step
    return step is not None and step.pause is not None and step.pause.duration is None
