"""The ReplicaSets of a canary: stable, new, then the others; one change of size a pass.

Source: canary 1 (stage 11), 4.3, 4.5, 4.7, 4.8, 4.9; rollout-api 9 (scaling events);
architecture, "Share": no ReplicaSet goes below what its share needs.
"""

from __future__ import annotations

from collections.abc import Callable

from headrace.model.conditions import PauseReason, Reason
from headrace.model.meta import format_time, parse_time
from headrace.model.quantities import Instant
from headrace.model.rollout import (
    ABORT_SCALE_DOWN_DELAY_SECONDS_DEFAULT,
    SCALE_DOWN_DELAY_REVISION_LIMIT_DEFAULT,
    SCALE_DOWN_DELAY_SECONDS_DEFAULT,
)
from rollout_controller.core import labels
from rollout_controller.core.canary.counts import desired_counts, max_unavailable
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


def reconcile_replica_sets(draft: Draft) -> None:
    """Plan the first change of size that is due; `draft.scaled` says whether there was one."""
    if is_halted(draft):
        return
    stages: tuple[Callable[[Draft], None], ...] = (_stable, _new, _others)
    for stage in stages:
        stage(draft)
        if draft.scaled:
            return


def _stable(draft: Draft) -> None:
    rs = draft.stable
    if rs is None or rs is draft.new:
        return
    remove_deadline(draft, rs)
    counts = desired_counts(draft.count_facts(draft.status.canary.weights))
    scale(draft, rs, counts.stable)


def _new(draft: Draft) -> None:
    rs = draft.new
    if rs is None:
        return
    if _delays_scale_down(draft):
        _scale_down_aborted(draft, rs)
        return
    remove_deadline(draft, rs)
    if draft.is_aborted and draft.strategy.abort_scale_down_delay_seconds == 0 and draft.is_routed:
        sync_desired_annotation(draft, rs)
        return
    scale(draft, rs, desired_counts(draft.count_facts(draft.weights)).canary)


def _delays_scale_down(draft: Draft) -> bool:
    """Return whether the pods of an aborted canary stay for a while (canary 4.5)."""
    delay = draft.strategy.abort_scale_down_delay_seconds
    return (
        draft.is_aborted
        and draft.stable is not None
        and draft.stable is not draft.new
        and draft.is_routed
        and delay != 0
        and not (draft.strategy.dynamic_stable_scale and delay is None)
    )


def _scale_down_aborted(draft: Draft, rs: ReplicaSet) -> None:
    if rs.scale_down_deadline is None:
        sync_desired_annotation(draft, rs)
        stable = draft.stable
        if rs.replicas > 0 and stable is not None and stable.available >= draft.observed.replicas:
            delay = draft.strategy.abort_scale_down_delay_seconds
            seconds = ABORT_SCALE_DOWN_DELAY_SECONDS_DEFAULT if delay is None else delay
            add_deadline(draft, rs, seconds)
        return
    deadline = deadline_of(rs)
    if deadline is None:
        scale(draft, rs, desired_counts(draft.count_facts(draft.weights)).canary)
    elif draft.now < deadline:
        sync_desired_annotation(draft, rs)
        draft.wake(deadline)
    else:
        scale(draft, rs, 0)


def _others(draft: Draft) -> None:
    """Scale old revisions down within the availability budget (canary 4.7)."""
    active = [rs for rs in draft.others if rs.replicas > 0]
    for rs in sorted(active, key=lambda rs: rs.created_at):
        if rs.replicas != rs.available and rs.available < rs.replicas:
            scale(draft, rs, rs.available)
            if draft.scaled:
                return
    total = sum(rs.available for rs in draft.observed.replica_sets)
    facts = draft.count_facts()
    budget = total - (draft.observed.replicas - max_unavailable(facts))
    kept = 0
    for rs in sorted(active, key=lambda rs: rs.revision, reverse=True):
        if draft.is_routed and _is_referenced(draft, rs):
            continue
        if budget <= 0:
            break
        if not draft.is_routed:
            target = max(0, rs.replicas - budget)
        elif draft.is_fully_promoted or rs.scale_down_deadline is not None:
            target, kept = _delayed_target(draft, rs, kept)
        else:
            target = 0
        budget -= rs.replicas - target
        scale(draft, rs, target)
        if draft.scaled:
            return


def _delayed_target(draft: Draft, rs: ReplicaSet, kept: int) -> tuple[int, int]:
    """Return (wanted size, revisions kept so far) under the scale-down delay (canary 4.7)."""
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
    deadline = deadline_of(rs)
    if kept > limit or deadline is None or draft.now >= deadline:
        return 0, kept
    draft.wake(deadline)
    return rs.replicas, kept


def _is_referenced(draft: Draft, rs: ReplicaSet) -> bool:
    """Return whether anything may still send traffic to this ReplicaSet (canary 4.8)."""
    status = draft.status
    hashes = {status.stable_rs, status.current_pod_hash}
    weights = draft.weights
    if weights is not None:
        hashes |= {weights.canary.pod_template_hash, weights.stable.pod_template_hash}
    services = draft.observed.references.services
    for name in (draft.strategy.canary_service, draft.strategy.stable_service):
        if name in services:
            hashes.add(services[name].pod_hash)
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
    if target == 0 and rs.scale_down_deadline is not None and not _delays_scale_down(draft):
        annotations[labels.SCALE_DOWN_DEADLINE] = None
    draft.effect(PatchReplicaSet(rs.name, replicas=target, annotations=annotations))
    direction = "up" if target > rs.replicas else "down"
    draft.event(
        Reason.SCALING_REPLICA_SET,
        f"Scaled {direction} ReplicaSet {rs.name} (revision {rs.revision}) "
        f"from {rs.replicas} to {target}",
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


def deadline_of(rs: ReplicaSet) -> Instant | None:
    """Return when this ReplicaSet shall go down; None when missing or unreadable."""
    if rs.scale_down_deadline is None:
        return None
    try:
        return parse_time(rs.scale_down_deadline)
    except ValueError:
        return None
