"""Traffic goes back step by step where stable has only the pods of its share (dynamicStableScale).

The weight follows the available pods of stable and never rises again on the way. The pods of the
canary follow the acknowledged weight, and its Service is the last to move.

While the spec is invalid there are no steps and no strategy to go by: then the weight follows the
pods of stable as far as the stored route and the ReplicaSets tell (deviation 4).

Source: canary 4.6; architecture, section 4 (rows dynamicStableScale and dynamic rollback).
"""

from __future__ import annotations

from dataclasses import replace

from headrace.model.route import RouteDocument, Weights
from rollout_controller.core.canary.counts import abort_step_weight
from rollout_controller.core.draft import Draft, size_of
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.routers import rebased


def abandoned_canary(draft: Draft) -> str | None:
    """Return the hash that still has the canary's share on a dynamic way back to stable.

    That is the update which somebody undid, until stable has all its pods again.
    """
    weights, stable = draft.status.canary.weights, draft.stable
    if not draft.is_dynamic or weights is None or stable is None or not draft.is_fully_promoted:
        return None
    pod_hash = weights.canary.pod_template_hash
    if pod_hash in ("", draft.new_hash) or stable.available >= draft.observed.replicas:
        return None
    return pod_hash


def drained_weight(draft: Draft) -> int:
    """Return the weight that the canary keeps for now on the way back to stable."""
    stable, replicas = draft.stable, draft.observed.replicas
    if not draft.is_dynamic or stable is None or draft.new is None or replicas == 0:
        return 0
    if not has_pods(draft, abandoned_canary(draft) or draft.new_hash):
        return 0
    facts = replace(draft.count_facts(), stable=size_of(stable), canary=size_of(draft.new))
    desired = abort_step_weight(facts)
    carried = draft.base * stable.available // replicas
    expected = max(0, draft.base - carried)
    current = _current_weight(draft)
    if current is None:
        return max(expected, desired)
    if desired <= 0:
        return min(expected, current)
    return current if carried < draft.base - desired else min(desired, current)


def is_drained(draft: Draft) -> bool:
    """Return whether the canary Service may be pointed back at stable."""
    if not draft.is_dynamic or draft.stable is None:
        return True
    known = draft.acknowledged
    is_empty = known is not None and known.epoch == draft.epoch and known.canary == 0
    return is_empty and draft.stable.available >= draft.observed.replicas


def has_pods(draft: Draft, pod_hash: str) -> bool:
    """Return whether anybody answers for a hash."""
    rs = _replica_set(draft, pod_hash)
    return rs is not None and rs.available > 0


def stored_weights(draft: Draft, stored: RouteDocument) -> Weights:
    """Return who keeps what for now on the way back, by the stored route instead of the spec.

    Stable never gets more than its available pods carry, and nobody else more than before.
    """
    weights, base = stored.weights, stored.weights.base
    stable = _replica_set(draft, stored.hashes.stable)
    if stable is None:
        return weights
    back = Weights(canary=0, stable=base, base=base)
    if not has_pods(draft, stored.hashes.canary):
        return back if stable.available else weights
    size = stored_size(draft, stored)
    kept = base - min(base, base * stable.available // size) if size else 0
    if kept == 0:
        return back
    extra = sum(each.weight for each in weights.additional)
    canary = max(0, min(weights.canary, kept - extra))
    return weights.model_copy(update={"canary": canary, "stable": base - canary - extra})


def stored_size(draft: Draft, stored: RouteDocument) -> int:
    """Return how many pods carry all traffic, as the ReplicaSets of the route remember it."""
    hashes = (stored.hashes.stable, stored.hashes.canary)
    sets = [rs for rs in (_replica_set(draft, each) for each in hashes) if rs is not None]
    known = [rs.desired_annotation for rs in sets if (rs.desired_annotation or "").isdecimal()]
    return int(known[0] or 0) if known else max((rs.replicas for rs in sets), default=0)


def shrunken_stable(draft: Draft, stored: RouteDocument) -> ReplicaSet | None:
    """Return the stable ReplicaSet when it has too few pods for all traffic."""
    stable = _replica_set(draft, stored.hashes.stable)
    is_short = stable is not None and stable.replicas < stored_size(draft, stored)
    return stable if is_short else None


def _replica_set(draft: Draft, pod_hash: str) -> ReplicaSet | None:
    return next((rs for rs in draft.observed.replica_sets if rs.pod_hash == pod_hash), None)


def _current_weight(draft: Draft) -> int | None:
    """Return what the canary surely has no less of: a lowering not yet acknowledged counts."""
    weights, stored = draft.weights, draft.observed.headrace.route
    if weights is None:
        return None
    held = rebased(weights.canary.weight, weights.base, draft.base)
    if stored is None:
        return held
    return min(held, rebased(stored.weights.canary, stored.weights.base, draft.base))
