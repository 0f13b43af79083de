"""The ReplicaSets of a canary: stable, new, then the others; one change of size a pass.

Source: canary 1 (stage 11), 4.3, 4.5, 4.7.
"""

from __future__ import annotations

from collections.abc import Callable

from rollout_controller.core.canary.counts import desired_counts, max_unavailable
from rollout_controller.core.draft import Draft
from rollout_controller.core.scaling import (
    abort_delay,
    delayed_target,
    drain_aborted,
    is_halted,
    is_referenced,
    remove_deadline,
    scale,
    sync_desired_annotation,
)
from rollout_controller.core.services import is_canary_elsewhere


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
    weights = draft.status.canary.weights
    counts = desired_counts(draft.count_facts(weights))
    # Before the first route, and while the canary Service still selects another version, what is
    # asked for is that stable carries everything: its gate would never hold for fewer pods.
    carries_all = draft.is_dynamic and (weights is None or is_canary_elsewhere(draft))
    scale(draft, rs, draft.observed.replicas if carries_all else counts.stable)


def _new(draft: Draft) -> None:
    rs = draft.new
    if rs is None:
        return
    delay = abort_delay(draft)
    if delay is not None:
        drain_aborted(draft, rs, delay, _wanted(draft))
        return
    remove_deadline(draft, rs)
    if draft.is_aborted and draft.canary.abort_scale_down_delay_seconds == 0 and draft.is_routed:
        sync_desired_annotation(draft, rs)
        return
    scale(draft, rs, _wanted(draft))


def _wanted(draft: Draft) -> int:
    return desired_counts(draft.count_facts(draft.weights)).canary


def _others(draft: Draft) -> None:
    """Scale old revisions down within the availability budget (canary 4.7)."""
    active = [rs for rs in draft.others if rs.replicas > 0]
    for rs in sorted(active, key=lambda rs: rs.created_at):
        if rs.available < rs.replicas:
            scale(draft, rs, rs.available)
            if draft.scaled:
                return
    # A pod that is to go counts no more, though the status may still say that it is available.
    total = sum(min(rs.replicas, rs.available) for rs in draft.observed.replica_sets)
    facts = draft.count_facts()
    budget = total - (draft.observed.replicas - max_unavailable(facts))
    kept = 0
    for rs in sorted(active, key=lambda rs: rs.revision, reverse=True):
        if draft.is_routed and is_referenced(draft, rs):
            continue
        if budget <= 0:
            break
        if not draft.is_routed:
            target = max(0, rs.replicas - budget)
        elif draft.is_dynamic:
            target = 0
        elif draft.is_fully_promoted or rs.scale_down_deadline is not None:
            target, kept = delayed_target(draft, rs, kept, rs.replicas)
        else:
            target = 0
        budget -= rs.replicas - target
        scale(draft, rs, target)
        if draft.scaled:
            return
