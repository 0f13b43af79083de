"""How many pods the new version has while the old one serves, and whether they are all there.

Source: bluegreen 3.2, 4.2, 5.2.
"""

from __future__ import annotations

from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.rollback import is_fast_rollback


def desired_new_count(draft: Draft) -> int:
    """Return the wanted pods of the new ReplicaSet (bluegreen 3.2).

    What goes back at once, and stable where the active Service was moved away by hand, is no
    preview: it waits for all of its pods, and would wait for ever for the rest of a few.
    """
    status, replicas = draft.status, draft.observed.replicas
    preview = preview_count(draft)
    is_fast = status.promote_full or is_fast_rollback(draft)
    if preview is None or is_fast or not _does_another_serve(draft):
        return replicas
    is_paused = draft.spec.paused or bool(status.pause_conditions)
    is_this_update = draft.new_hash == status.current_pod_hash
    if is_this_update and not is_paused and draft.has_check_point:
        return replicas
    return preview


def preview_count(draft: Draft) -> int | None:
    """Return how many pods a preview has; None for as many as the active version."""
    count = draft.blue_green.preview_replica_count
    return None if count is None else max(0, count)


def _does_another_serve(draft: Draft) -> bool:
    active = draft.status.blue_green.active_selector
    return active != draft.new_hash and any(
        rs.pod_hash == active for rs in draft.observed.replica_sets
    )


def is_ready_for_pause(draft: Draft) -> bool:
    """Return whether the new ReplicaSet has exactly the pods that it shall have now."""
    rs, wanted = draft.new, desired_new_count(draft)
    return rs is not None and rs.replicas == wanted == rs.available


def is_saturated(draft: Draft, rs: ReplicaSet | None) -> bool:
    """Return whether a ReplicaSet carries all traffic: every number is exactly spec.replicas."""
    replicas = draft.observed.replicas
    return (
        rs is not None
        and rs.replicas == replicas == rs.available
        and rs.desired_annotation == str(replicas)
    )
