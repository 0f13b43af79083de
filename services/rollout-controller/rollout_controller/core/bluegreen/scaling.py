"""The ReplicaSets of blue-green: stable, new, then the others, all in one pass.

Neither a pause nor a halt stops it: what serves keeps its size, whatever the update waits for.

Source: bluegreen 3.1, 3.2, 3.3; canary 4.5, 4.7 (delays).
"""

from __future__ import annotations

from dataclasses import replace

from headrace.model.conditions import PauseReason
from rollout_controller.core.bluegreen.analysis import holds_old_replica_sets
from rollout_controller.core.bluegreen.counts import desired_new_count
from rollout_controller.core.draft import Draft
from rollout_controller.core.plan import PatchReplicaSet
from rollout_controller.core.rollback import is_within_delay
from rollout_controller.core.scaling import (
    abort_delay,
    delayed_target,
    drain_aborted,
    is_referenced,
    remove_deadline,
    scale,
)


def reconcile_replica_sets(draft: Draft) -> None:
    """Plan every change of size that is due."""
    if draft.stable is not None:
        remove_deadline(draft, draft.stable)
        scale(draft, draft.stable, draft.observed.replicas)
    _new(draft)
    _others(draft)


def _new(draft: Draft) -> None:
    rs = draft.new
    if rs is None or rs is draft.stable:
        return
    wanted, delay = desired_new_count(draft), abort_delay(draft)
    if delay is not None:
        drain_aborted(draft, rs, delay, wanted)
        return
    if not is_within_delay(draft):
        remove_deadline(draft, rs)
    scale(draft, rs, wanted)


def _others(draft: Draft) -> None:
    """Let old revisions go after their delay; those that may still be reached stay.

    What the API server refuses of it holds nothing else up (bluegreen 3.3).
    """
    if draft.has_pause(PauseReason.INCONCLUSIVE_ANALYSIS_RUN) or holds_old_replica_sets(draft):
        return
    before = len(draft.effects)
    kept = 0
    active = [rs for rs in draft.others if rs.replicas > 0]
    for rs in sorted(active, key=lambda rs: rs.revision, reverse=True):
        if is_referenced(draft, rs):
            continue
        target, kept = delayed_target(draft, rs, kept, draft.observed.replicas)
        scale(draft, rs, target)
    for place, effect in enumerate(draft.effects[before:], start=before):
        if isinstance(effect, PatchReplicaSet):
            draft.effects[place] = replace(effect, is_required=False)
