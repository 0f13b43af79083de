"""Whether an update goes back, and how fast it may (canary 3.4; bluegreen 9)."""

from __future__ import annotations

from rollout_controller.core.draft import Draft


def is_rollback(draft: Draft) -> bool:
    """Return whether the new ReplicaSet is the stable one, or older than it."""
    if draft.new is None or draft.stable is None:
        return False
    return draft.new is draft.stable or draft.new.created_at < draft.stable.created_at


def is_within_window(draft: Draft) -> bool:
    """Return whether the update goes back by fewer revisions than rollbackWindow names.

    What counts are the ReplicaSets that were created between the two and still exist, whatever
    their size. Those of experiments are never among the Rollout's.
    """
    new, stable, window = draft.new, draft.stable, draft.spec.rollback_window
    if new is None or stable is None or window is None or new.created_at >= stable.created_at:
        return False
    between = sum(new.created_at < rs.created_at < stable.created_at for rs in draft.others)
    return between < window.revisions


def is_within_delay(draft: Draft) -> bool:
    """Return whether blue-green goes back to pods that were still waiting to be scaled down.

    The deadline of an abort is no such delay: what was judged bad is neither promoted nor tried
    again without another judgement (deviation 59).
    """
    deadline = draft.new.scale_down_at if draft.new is not None else None
    if deadline is None or not draft.is_blue_green or not is_rollback(draft):
        return False
    if draft.status.abort or draft.status.aborted_at is not None:
        return False
    return draft.now < deadline


def is_fast_rollback(draft: Draft) -> bool:
    """Return whether the update goes back without steps and without anything being judged."""
    if draft.new is None or draft.stable is None:
        return False
    return draft.new is draft.stable or is_within_window(draft) or is_within_delay(draft)
