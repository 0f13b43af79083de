"""Whether an update goes back, and how fast it may (canary 3.4)."""

from __future__ import annotations

from rollout_controller.core.draft import Draft


def is_rollback(draft: Draft) -> bool:
    """Return whether the new ReplicaSet is the stable one, or older than it."""
    if draft.new is None or draft.stable is None:
        return False
    return draft.new is draft.stable or draft.new.created_at < draft.stable.created_at


def is_fast_rollback(draft: Draft) -> bool:
    """Return whether the update goes back to the stable ReplicaSet, so that nothing is judged."""
    return is_rollback(draft) and draft.new is draft.stable
