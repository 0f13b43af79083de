"""Who carries which share of the traffic, and what that forbids.

share(rs) is the maximum over the acknowledged route, every newer unacknowledged one, and what
is observed where it is measured. It is kept in `status.headrace.shares`, raised in the same
patch as the intent, and reset when the newest epoch is acknowledged; so a restart knows it.

Source: architecture, "Share".
"""

from __future__ import annotations

import math

from rollout_controller.core.canary import steps as canary_steps
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.routers import weight_of
from rollout_controller.core.services import roles_selecting


def share(draft: Draft, rs: ReplicaSet) -> int:
    """Return the highest weight, of `share_base`, that may reach this ReplicaSet.

    For a canary without routers it is 0.

    In blue-green the active Service carries all of it, wherever it points now.
    """
    if draft.is_blue_green:
        active = draft.observed.references.services.get(draft.blue_green.active_service)
        return draft.share_base if active is not None and active.pod_hash == rs.pod_hash else 0
    return max(draft.shares.get(rs.pod_hash, 0), _selected(draft, rs)) if draft.is_routed else 0


def _selected(draft: Draft, rs: ReplicaSet) -> int:
    """Return what the newest route gives the Services that select a ReplicaSet.

    Where they change their roles (names swapped, pingPong switched on), that is not what it gives
    to the hash.
    """
    stored = draft.observed.headrace.route
    if stored is None or not stored.routers:
        return 0
    weight = sum(weight_of(stored, name) or 0 for name in roles_selecting(draft, rs.pod_hash))
    return math.ceil(weight * draft.share_base / stored.weights.base)


def replicas_needed(draft: Draft, rs: ReplicaSet) -> int:
    """Return how many pods this ReplicaSet must keep for its share.

    An explicit setCanaryScale is the user's word on how many pods carry a weight: then one
    pod is the floor.
    """
    weight = share(draft, rs)
    if weight == 0 or draft.observed.replicas == 0:
        return 0
    scale = canary_steps.scale_in_effect(
        draft.canary, draft.status.current_step_index, is_aborted=draft.is_aborted
    )
    if rs is draft.new and rs is not draft.stable and scale is not None:
        return 1
    return max(1, math.ceil(weight * draft.observed.replicas / draft.share_base))
