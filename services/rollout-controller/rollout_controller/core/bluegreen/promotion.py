"""When the new version becomes the stable one, and the trip-wire before it (bluegreen 8)."""

from __future__ import annotations

from rollout_controller.core.bluegreen.analysis import (
    is_post_promotion_passed,
    is_pre_promotion_passed,
)
from rollout_controller.core.bluegreen.counts import preview_count
from rollout_controller.core.bluegreen.pause import is_pause_over
from rollout_controller.core.bluegreen.services import active_hash, has_begun
from rollout_controller.core.draft import Draft
from rollout_controller.core.rollback import is_fast_rollback, is_within_window
from rollout_controller.core.status.sync import Outcome, promote


def advance(draft: Draft) -> Outcome:
    """Return what the order of bluegreen 8 decides."""
    status = draft.status
    if status.promote_full or is_within_window(draft):
        draft.clear_pauses()
        draft.remove_abort()
    reason = promotion_reason(draft)
    if reason is not None:
        return promote(draft, reason, None)
    draft.check_point = _check_point(draft)
    promote_full = status.promote_full and status.stable_rs != draft.new_hash
    return Outcome(None, status.stable_rs, promote_full)


def promotion_reason(draft: Draft) -> str | None:
    """Return why the new version is promoted now, or None when it is not."""
    active = active_hash(draft)
    if draft.stable is None or not (active or has_begun(draft)):
        return "Initial deploy"
    if active != draft.new_hash:
        return None
    if draft.status.promote_full:
        return "Full promotion requested"
    if is_fast_rollback(draft):
        return "Rollback within window" if is_within_window(draft) else "Fast rollback"
    if draft.is_aborted or not is_post_promotion_passed(draft):
        return None
    return "Completed blue-green update"


def _check_point(draft: Draft) -> bool:
    """Return whether the pause is over for good, so that the preview grows to full size.

    It remembers a resume, which a client says only once, until all pods are there. An abort ends
    no wait, although the runs that it ends do not look bad.
    """
    preview, new = preview_count(draft), draft.new
    if preview is None:
        return False
    if draft.has_check_point:
        return True
    if draft.is_aborted or not is_pause_over(draft) or not is_pre_promotion_passed(draft):
        return False
    return new is not None and new.available == preview
