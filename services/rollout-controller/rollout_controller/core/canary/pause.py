"""The pause step: waits for a person or for a duration (canary 2.4)."""

from __future__ import annotations

from headrace.model.conditions import PauseReason
from headrace.model.quantities import Instant
from rollout_controller.core.draft import Draft


def reconcile_pause(draft: Draft) -> None:
    """Begin the pause of the current step, or plan the look at its end."""
    step = draft.step
    if draft.spec.paused or draft.status.promote_full or step is None or step.pause is None:
        return
    started_at = _started_at(draft)
    if started_at is not None:
        _wake_at_end(draft, started_at)
    elif not draft.is_fully_promoted and not _is_resumed(draft):
        draft.add_pause(PauseReason.CANARY_PAUSE_STEP)
        _wake_at_end(draft, draft.now)


def is_pause_over(draft: Draft) -> bool:
    """Return whether the current pause step is done (canary 2.4)."""
    started_at = _started_at(draft)
    if started_at is None:
        return _is_resumed(draft)
    seconds = _seconds(draft)
    return seconds is not None and draft.now > started_at + seconds


def _is_resumed(draft: Draft) -> bool:
    """Return whether a person ended the pause.

    A client that empties pauseConditions leaves controllerPause behind: that is how it says so.
    While the Rollout is paused for another reason nobody has said anything about this step.
    """
    return draft.status.controller_pause and not draft.status.pause_conditions


def _wake_at_end(draft: Draft, started_at: Instant) -> None:
    seconds = _seconds(draft)
    if seconds is not None:
        draft.wake(started_at + seconds + 0.001)


def _seconds(draft: Draft) -> int | None:
    step = draft.step
    return step.pause.seconds() if step is not None and step.pause is not None else None


def _started_at(draft: Draft) -> Instant | None:
    for pause in draft.status.pause_conditions:
        if pause.reason == PauseReason.CANARY_PAUSE_STEP:
            return pause.start_time
    return None
