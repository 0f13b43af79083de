"""The moment of blue-green: the active Service moves to the new version, or back (bluegreen 5).

The way back is not held by the state of the new version, since its failure is why it is
taken; only stable must have somebody who answers. So it is where the Service has lost its hash.
"""

from __future__ import annotations

from rollout_controller.core.bluegreen.analysis import is_pre_promotion_passed
from rollout_controller.core.bluegreen.counts import is_ready_for_pause, is_saturated
from rollout_controller.core.bluegreen.pause import is_fast_tracked, is_pause_over
from rollout_controller.core.bluegreen.services import (
    active_hash,
    can_answer,
    has_begun,
    point_active,
)
from rollout_controller.core.draft import Draft
from rollout_controller.core.scaling import is_halted


def reconcile_active(draft: Draft) -> None:
    """Plan the switch of the active Service that is due."""
    if is_halted(draft):
        return
    if draft.is_aborted:
        point_active(draft, draft.status.stable_rs)
    elif _has_lost_its_hash(draft):
        point_active(draft, _served(draft))
    elif is_ready_for_pause(draft) and is_saturated(draft, draft.new):
        point_active(draft, draft.new_hash if _may_cut_over(draft) else active_hash(draft))


def _has_lost_its_hash(draft: Draft) -> bool:
    """Return whether the active Service selects every version, and has one to go back to."""
    is_lost = has_begun(draft) and not active_hash(draft)
    return is_lost and can_answer(draft, _served(draft))


def _served(draft: Draft) -> str:
    """Return whom the active Service selected before it lost its hash."""
    before = draft.status.blue_green.active_selector
    return before if before == draft.new_hash else draft.status.stable_rs


def _may_cut_over(draft: Draft) -> bool:
    return is_fast_tracked(draft) or (is_pause_over(draft) and is_pre_promotion_passed(draft))
