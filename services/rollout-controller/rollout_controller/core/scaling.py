"""Sizes of ReplicaSets: what both strategies do with one, and when nothing may be done.

Source: rollout-api 9 (scaling, scaling events); canary 4.5, 4.7 (delays), 4.8, 4.9;
bluegreen 3; architecture, "Share": no ReplicaSet goes below what its share needs.
"""

from __future__ import annotations

from headrace.model.conditions import PauseReason, Reason
from headrace.model.meta import format_time, parse_time
from headrace.model.rollout import (
    ABORT_SCALE_DOWN_DELAY_SECONDS_DEFAULT,
    SCALE_DOWN_DELAY_REVISION_LIMIT_DEFAULT,
    SCALE_DOWN_DELAY_SECONDS_DEFAULT,
)
from rollout_controller.core import labels
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.plan import PatchReplicaSet
from rollout_controller.core.share import replicas_needed, share


def is_halted(draft: Draft) -> bool:
    """Return whether no ReplicaSet may be touched now (canary 4.9)."""
    return draft.spec.paused or draft.has_pause(PauseReason.INCONCLUSIVE_ANALYSIS_RUN)


def is_scaling_event(draft: Draft) -> bool:
    """Return whether somebody changed spec.replicas since the last scaling (rollout-api 9).

    While nothing may be scaled it is no event: an abort must be heard all the same.
    """
    wanted = str(draft.observed.replicas)
    return not is_halted(draft) and any(
        rs is not None
        and rs.replicas > 0
        and rs.desired_annotation is not None
        and rs.desired_annotation != wanted
        for rs in (draft.new, draft.stable)
    )


def abort_delay(draft: Draft) -> float | None:
    """Return how long the pods of an aborted update are kept before they go (canary 4.5).

    None when no such delay applies: nothing is aborted, or the pods go at once, or stay.
    """
    delay = draft.strategy.abort_scale_down_delay_seconds
    if not draft.is_aborted or draft.stable in (None, draft.new) or delay == 0:
        return None
    if not draft.is_blue_green:
        is_dynamic = draft.canary.dynamic_stable_scale and delay is None
        if not draft.is_routed or is_dynamic:
            return None
    return ABORT_SCALE_DOWN_DELAY_SECONDS_DEFAULT if delay is None else delay


def drain_aborted(draft: Draft, rs: ReplicaSet, delay: float, computed: int) -> None:
    """Plan the end of an aborted update's pods, once stable can do without them.

    Args:
        draft: The pass.
        rs: The new ReplicaSet.
        delay: Seconds to keep it.
        computed: Its size while its deadline cannot be read.
    """
    if rs.scale_down_deadline is None:
        sync_desired_annotation(draft, rs)
        stable = draft.stable
        if rs.replicas > 0 and stable is not None and stable.available >= draft.observed.replicas:
            add_deadline(draft, rs, delay)
        return
    deadline = rs.scale_down_at
    if deadline is None:
        scale(draft, rs, computed)
    elif draft.now < deadline:
        sync_desired_annotation(draft, rs)
        draft.wake(deadline)
    else:
        scale(draft, rs, 0)


def delayed_target(draft: Draft, rs: ReplicaSet, kept: int, keep: int) -> tuple[int, int]:
    """Return (wanted size, revisions kept so far) under the scale-down delay (canary 4.7).

    Args:
        draft: The pass.
        rs: An old ReplicaSet, newest revision first.
        kept: Revisions that the delay keeps already.
        keep: Size while it waits for its deadline.
    """
    strategy = draft.strategy
    limit = strategy.scale_down_delay_revision_limit
    limit = SCALE_DOWN_DELAY_REVISION_LIMIT_DEFAULT if limit is None else limit
    if rs.scale_down_deadline is None:
        if kept >= limit:
            return 0, kept
        delay = strategy.scale_down_delay_seconds
        delay = SCALE_DOWN_DELAY_SECONDS_DEFAULT if delay is None else delay
        if delay > 0:
            add_deadline(draft, rs, delay)
            return rs.replicas, kept + 1
        return 0, kept + 1
    kept += 1
    deadline = rs.scale_down_at
    if kept > limit or deadline is None or draft.now >= deadline:
        return 0, kept
    draft.wake(deadline)
    return keep, kept


def is_referenced(draft: Draft, rs: ReplicaSet) -> bool:
    """Return whether anything may still send traffic to this ReplicaSet (canary 4.8).

    Ping and pong do not count: one of them selects the version before for as long as no newer
    one comes. Whether it has traffic says the share. At 0 replicas a Service finds no other pods to
    go to, and nobody wants those that it selects.
    """
    status, canary, blue_green = draft.status, draft.canary, draft.blue_green
    hashes = {
        status.stable_rs,
        status.current_pod_hash,
        status.blue_green.active_selector,
        status.blue_green.preview_selector,
    }
    weights = draft.weights
    if weights is not None:
        hashes |= {weights.canary.pod_template_hash, weights.stable.pod_template_hash}
    services = draft.observed.references.services
    names = (
        canary.canary_service,
        canary.stable_service,
        blue_green.active_service,
        blue_green.preview_service,
    )
    if draft.observed.replicas > 0:
        hashes |= {services[name].pod_hash for name in names if name in services}
    return rs.pod_hash in hashes or share(draft, rs) > 0


def scale(draft: Draft, rs: ReplicaSet, target: int) -> None:
    """Plan the size `target`, never below what the share needs (rollout-api 9)."""
    floor = min(rs.replicas, replicas_needed(draft, rs))
    target = max(target, floor)
    wanted = str(draft.observed.replicas)
    if target == rs.replicas:
        sync_desired_annotation(draft, rs)
        return
    annotations: dict[str, str | None] = {labels.DESIRED_REPLICAS: wanted}
    if target == 0 and rs.scale_down_deadline is not None and abort_delay(draft) is None:
        annotations[labels.SCALE_DOWN_DEADLINE] = None
    direction = "up" if target > rs.replicas else "down"
    effect = PatchReplicaSet(rs.name, replicas=target, annotations=annotations)
    draft.effect(effect)
    draft.event(
        Reason.SCALING_REPLICA_SET,
        f"Scaled {direction} ReplicaSet {rs.name} (revision {rs.revision}) "
        f"from {rs.replicas} to {target}",
        tells=effect,
    )
    draft.scaled = True


def sync_desired_annotation(draft: Draft, rs: ReplicaSet) -> None:
    """Record spec.replicas on a ReplicaSet whose size does not change.

    Only the new and the stable one get it: intermediate revisions never do (canary 10.1).
    """
    wanted = str(draft.observed.replicas)
    if rs.desired_annotation != wanted and rs in (draft.new, draft.stable):
        draft.effect(PatchReplicaSet(rs.name, annotations={labels.DESIRED_REPLICAS: wanted}))


def add_deadline(draft: Draft, rs: ReplicaSet, seconds: float) -> None:
    """Plan a scale-down `seconds` from now."""
    deadline = format_time(draft.now + seconds)
    draft.effect(PatchReplicaSet(rs.name, annotations={labels.SCALE_DOWN_DEADLINE: deadline}))
    draft.wake(parse_time(deadline))


def remove_deadline(draft: Draft, rs: ReplicaSet) -> None:
    """Take a planned scale-down back."""
    if rs.scale_down_deadline is not None:
        draft.effect(PatchReplicaSet(rs.name, annotations={labels.SCALE_DOWN_DEADLINE: None}))
