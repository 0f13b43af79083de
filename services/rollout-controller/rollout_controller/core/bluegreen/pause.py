"""The pause before the promotion: waits for a person or for a countdown (bluegreen 4)."""

from __future__ import annotations

from headrace.model.conditions import PauseReason
from headrace.model.quantities import Instant
from rollout_controller.core.bluegreen.analysis import is_pre_promotion_passed
from rollout_controller.core.bluegreen.counts import is_ready_for_pause
from rollout_controller.core.bluegreen.services import active_hash, needs_no_judgement
from rollout_controller.core.draft import Draft
from rollout_controller.core.rollback import is_fast_rollback
from rollout_controller.core.scaling import is_halted


def reconcile_pause(draft: Draft) -> None:
    """Begin the pause, end it, or plan the look at its end."""
    draft.remove_pause(PauseReason.CANARY_PAUSE_STEP)  # of a strategy that was given up
    if draft.is_aborted or not is_ready_for_pause(draft) or is_halted(draft):
        return
    if is_fast_tracked(draft) or draft.has_check_point or not _pauses(draft):
        draft.remove_pause(PauseReason.BLUE_GREEN_PAUSE)
        return
    if not is_pre_promotion_passed(draft):
        return
    started_at = _started_at(draft)
    if started_at is None:
        if not draft.status.controller_pause:
            draft.add_pause(PauseReason.BLUE_GREEN_PAUSE)
            _wake_at_end(draft, draft.now)
    elif is_pause_over(draft):
        draft.remove_pause(PauseReason.BLUE_GREEN_PAUSE)
    else:
        _wake_at_end(draft, started_at)


def is_fast_tracked(draft: Draft) -> bool:
    """Return whether the new version is promoted without pause and analysis.

    Going back to what ran a moment ago needs no judgement, and a person may waive it; nothing is
    to be protected before the first promotion, or while the active Service selects the new pods.
    """
    return (
        is_fast_rollback(draft)
        or draft.status.promote_full
        or needs_no_judgement(draft, active_hash(draft))
    )


def is_pause_over(draft: Draft) -> bool:
    """Return whether nothing but the analysis holds the promotion any more.

    A client that empties pauseConditions leaves controllerPause behind: that is how it says that
    the person resumed. It counts only where nothing promotes by itself; a countdown starts again.
    """
    if draft.pauses_added:
        return False
    if draft.has_check_point:
        return True
    started_at = _started_at(draft)
    if draft.blue_green.auto_promotion_enabled is False:
        return draft.status.controller_pause and not draft.status.pause_conditions
    seconds = draft.blue_green.auto_promotion_seconds
    if seconds <= 0:
        return True
    return started_at is not None and draft.now > started_at + seconds


def _pauses(draft: Draft) -> bool:
    strategy = draft.blue_green
    return strategy.auto_promotion_enabled is False or strategy.auto_promotion_seconds > 0


def _wake_at_end(draft: Draft, started_at: Instant) -> None:
    if draft.blue_green.auto_promotion_enabled is not False:
        draft.wake(started_at + draft.blue_green.auto_promotion_seconds + 0.001)


def _started_at(draft: Draft) -> Instant | None:
    for pause in draft.status.pause_conditions:
        if pause.reason == PauseReason.BLUE_GREEN_PAUSE:
            return pause.start_time
    return None
