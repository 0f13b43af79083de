"""Which weight the canary gets now, and whether stable can carry the rest.

Source: canary 5.2, 5.3; architecture, deviations 2 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.model.route import AdditionalDestination, ApplyOrder
from rollout_controller.core.canary import steps as canary_steps
from rollout_controller.core.canary.counts import (
    Size,
    at_desired_counts,
    desired_counts,
    threshold_met,
)
from rollout_controller.core.canary.drain import abandoned_canary, drained_weight, has_pods
from rollout_controller.core.canary.experiment import destinations
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.routers import rebased


@dataclass(frozen=True, slots=True)
class DesiredWeight:
    """The outcome of the rules.

    Attributes:
        weight: 0 to base.
        additional: Destinations of a running experiment, with shares of their own.
        keeps_managed_routes: False where the rule removes header and mirror routes.
        is_abort: The rule was the abort.
        canary_hash: Who gets it, where that is not the new version.
    """

    weight: int
    additional: tuple[AdditionalDestination, ...] = ()
    keeps_managed_routes: bool = True
    is_abort: bool = False
    canary_hash: str | None = None

    @property
    def only_lowers(self) -> bool:
        """Whether this is on the way back to stable, so that no weight can rise by it."""
        return self.is_abort or self.canary_hash is not None


def desired_weight(draft: Draft) -> DesiredWeight:
    """Return the weight of the first rule of canary 5.2 that matches."""
    abandoned = abandoned_canary(draft)
    if abandoned is not None:
        return DesiredWeight(drained_weight(draft), canary_hash=abandoned)
    if draft.is_fully_promoted:
        return DesiredWeight(0, keeps_managed_routes=False)
    if draft.is_aborted:
        return DesiredWeight(drained_weight(draft), keeps_managed_routes=False, is_abort=True)
    if draft.new is None or draft.new.available == 0 or not has_scale(draft):
        return DesiredWeight(0, _fitting(draft, 0), keeps_managed_routes=False)
    if draft.status.promote_full:
        return DesiredWeight(_promoting_weight(draft), keeps_managed_routes=False)
    if draft.status.current_step_index is None:
        return DesiredWeight(0)
    if not at_desired_counts(draft.count_facts(weights=None)) and not _may_lower(draft):
        return _with_experiment(draft, _weight_before(draft))
    if draft.step is not None:
        return _with_experiment(draft, canary_steps.set_weight_at(draft.steps, draft.index))
    return DesiredWeight(draft.base)


def has_scale(draft: Draft) -> bool:
    """Return whether the canary shall have pods: its traffic goes before the last of them."""
    return desired_counts(draft.count_facts(weights=None)).canary > 0


def _with_experiment(draft: Draft, weight: int) -> DesiredWeight:
    return DesiredWeight(weight, _fitting(draft, weight))


def _fitting(draft: Draft, weight: int) -> tuple[AdditionalDestination, ...]:
    """Return the destinations of the experiment, none of them when they leave less than nothing."""
    additional = destinations(draft)
    total = weight + sum(each.weight for each in additional)
    if total <= draft.base:
        return additional
    draft.fail(f"canary and experiment would get {total} of {draft.base}", on="experiment")
    return ()


def _persisted_weight(draft: Draft) -> int:
    weights = draft.status.canary.weights
    return rebased(weights.canary.weight, weights.base, draft.base) if weights else 0


def _promoting_weight(draft: Draft) -> int:
    """Return the weight on the way to a full promotion: with a dynamic stable, what pods carry."""
    if not draft.is_dynamic or draft.new is None or draft.observed.replicas == 0:
        return _persisted_weight(draft)
    return min(draft.base, draft.base * draft.new.available // draft.observed.replicas)


def _may_lower(draft: Draft) -> bool:
    """Return whether the step asks for less than it has the pods for.

    The pods of the higher weight go only when it is lowered, so the weight goes first.
    """
    if draft.step is None or draft.new is None:
        return False
    wanted = canary_steps.set_weight_at(draft.steps, draft.index)
    pods = desired_counts(draft.count_facts(weights=None)).canary
    return wanted < _weight_before(draft) and draft.new.available >= pods


def _weight_before(draft: Draft) -> int:
    """Return the weight of the steps already done, capped by what the pods carry.

    Somebody who skips steps, or a rollback window, may leave a high weight before the current
    index although the canary has few pods; only an increase is capped, since the weight that
    holds already was earned with the pods of its own step.
    """
    weight = canary_steps.set_weight_at(draft.steps, draft.index - 1) if draft.index > 0 else 0
    current = _persisted_weight(draft)
    replicas = draft.observed.replicas
    if weight <= current or draft.new is None or replicas == 0:
        return weight
    carried = draft.base * draft.new.available // replicas
    return max(current, min(weight, carried))


def gate_holds(draft: Draft, weight: int) -> bool:
    """Return whether stable has the pods for what the canary does not get (canary 5.3).

    A lowering is not held when nobody beside stable could answer and stable has at least one
    pod: then every request to the canary fails for certain. Nor is a raise when nobody is
    left in stable and the canary can answer: the update may be the repair (decision 12).
    """
    stable = draft.stable
    if stable is None:
        return False
    needed = (draft.base - weight) * draft.observed.replicas // draft.base
    if stable.available >= needed:
        return True
    size = Size(stable.replicas, stable.available, stable.status_replicas)
    threshold = draft.canary.replica_progress_threshold
    if threshold is not None and threshold_met(threshold, size, needed):
        return True
    if _is_raise(draft, weight) and fixes_forward(draft):
        return True
    is_lowering = weight < _persisted_weight(draft)
    return is_lowering and not _is_carried(draft, stable) and stable.available > 0


def _is_carried(draft: Draft, stable: ReplicaSet) -> bool:
    """Return whether the new version, or any but stable that may get traffic, has pods.

    A version that was superseded in mid-update may get it, while the new one has none.
    """
    carriers = {pod_hash for pod_hash, weight in draft.shares.items() if weight > 0}
    carriers.discard(stable.pod_hash)
    carriers.add(abandoned_canary(draft) or draft.new_hash)
    return any(has_pods(draft, pod_hash) for pod_hash in carriers)


def _is_raise(draft: Draft, weight: int) -> bool:
    """Return whether a weight is above what is acknowledged, and not below what may hold by now."""
    stored = draft.observed.headrace.route
    requested = (
        rebased(stored.weights.canary, stored.weights.base, draft.base) if stored is not None else 0
    )
    return weight > _persisted_weight(draft) and weight >= requested


def fixes_forward(draft: Draft) -> bool:
    """Return whether only the new version can answer, since stable has no available pod."""
    new, stable = draft.new, draft.stable
    if new is None or stable is None or new is stable or not draft.has_routers:
        return False
    is_broken = stable.available == 0 and draft.observed.replicas > 0
    return is_broken and new.available > 0 and not draft.is_aborted


def apply_order(draft: Draft) -> ApplyOrder:
    """Return the order of hash and weight writes (canary 5.4, traffic-routing 12)."""
    canary_is_empty = draft.new is None or draft.new.available == 0
    if canary_is_empty and _persisted_weight(draft) > 0:
        return "weight-hash"
    if draft.is_fully_promoted or draft.is_aborted or draft.status.promote_full:
        return "remove-hash-weight"
    return "hash-weight"
