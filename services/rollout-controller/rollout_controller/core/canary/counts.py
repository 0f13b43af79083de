"""How many pods canary and stable shall have.

Basic canaries approximate the weight by replica counts within surge and availability limits;
traffic-routed canaries follow the weight exactly and let the router split the traffic.

Source: canary 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from headrace.model.quantities import resolve_percent
from headrace.model.rollout import (
    MAX_SURGE_DEFAULT,
    MAX_UNAVAILABLE_DEFAULT,
    CanaryStrategy,
    ReplicaProgressThreshold,
)
from headrace.model.traffic import TrafficWeights
from rollout_controller.core.canary import steps as canary_steps

_FLOAT_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True)
class Size:
    """A ReplicaSet's wanted, created and available pods."""

    replicas: int
    available: int
    created: int | None = None


@dataclass(frozen=True, slots=True)
class CountFacts:
    """All that replica counts depend on.

    Attributes:
        replicas: Wanted pods of the Rollout.
        index: status.currentStepIndex.
        is_aborted: status.abort or an abort of this pass.
        promote_full: status.promoteFull.
        is_promoted: stableRS is empty or equals the current hash.
        weights: status.canary.weights that the calculation may rely on.
        canary: The new ReplicaSet, None when missing.
        stable: The stable ReplicaSet when it is another one than the new, else None.
        older: All others.
    """

    strategy: CanaryStrategy
    replicas: int
    index: int | None
    is_aborted: bool
    promote_full: bool
    is_promoted: bool
    weights: TrafficWeights | None = None
    canary: Size | None = None
    stable: Size | None = None
    older: tuple[Size, ...] = ()

    @property
    def base(self) -> int:
        """Weight of all traffic."""
        return canary_steps.weight_base(self.strategy)

    @property
    def is_routed(self) -> bool:
        """Whether a traffic router is configured."""
        return self.strategy.traffic_routing is not None


@dataclass(frozen=True, slots=True)
class Counts:
    """Wanted pods of both sides."""

    canary: int
    stable: int


def max_surge(facts: CountFacts) -> int:
    """Return how many pods above `replicas` are allowed (canary 4.2)."""
    value = MAX_SURGE_DEFAULT if facts.strategy.max_surge is None else facts.strategy.max_surge
    return max(0, resolve_percent(value, facts.replicas, round_up=True))


def max_unavailable(facts: CountFacts) -> int:
    """Return how many pods may be missing (canary 4.2); 1 when surge is 0 too."""
    if facts.replicas == 0:
        return 0
    value = facts.strategy.max_unavailable
    count = resolve_percent(
        MAX_UNAVAILABLE_DEFAULT if value is None else value, facts.replicas, round_up=False
    )
    if count <= 0:
        count = 0 if max_surge(facts) else 1
    return min(count, facts.replicas)


def desired_counts(facts: CountFacts) -> Counts:
    """Return the wanted pods of canary and stable for the current step."""
    return _routed_counts(facts) if facts.is_routed else _basic_counts(facts)


def replicas_or_weight(facts: CountFacts) -> tuple[int | None, int]:
    """Return (explicit replica count, weight) that drive the counts (canary 4.1)."""
    if facts.promote_full or facts.is_promoted:
        return None, facts.base
    scale = canary_steps.scale_in_effect(facts.strategy, facts.index, is_aborted=facts.is_aborted)
    if scale is not None and scale.replicas is not None:
        return max(0, scale.replicas), 0
    if scale is not None and scale.weight is not None:
        return None, max(0, scale.weight)
    return None, desired_canary_weight(facts)


def desired_canary_weight(facts: CountFacts) -> int:
    """Return the weight that the canary's size stands for (canary 4.1 rule 3, 4.6)."""
    if facts.is_aborted and facts.is_routed and facts.strategy.dynamic_stable_scale:
        return abort_step_weight(facts)
    return canary_steps.current_set_weight(
        facts.strategy.steps, facts.index, is_aborted=facts.is_aborted, base=facts.base
    )


def abort_step_weight(facts: CountFacts) -> int:
    """Return the weight of the next step down while stable grows back (canary 4.6)."""
    stable_available = facts.stable.available if facts.stable else 0
    expected = facts.replicas - stable_available
    canary = expected
    if facts.strategy.abort_scale_down_delay_seconds is None:  # else its pods stay (deviation 6)
        canary = max(expected, facts.canary.available if facts.canary else 0)
    for step in reversed(facts.strategy.steps):
        if step.set_weight is not None and _share_of(step.set_weight, facts) < canary:
            return step.set_weight
    return 0


def _share_of(weight: int, facts: CountFacts, base: int = 0) -> int:
    return math.ceil(weight * facts.replicas / (base or facts.base))


def _routed_counts(facts: CountFacts) -> Counts:
    explicit, weight = replicas_or_weight(facts)
    canary = explicit if explicit is not None else _floor(_share_of(weight, facts), facts)
    if not facts.strategy.dynamic_stable_scale:
        return Counts(canary, facts.replicas)
    stable = _share_of(facts.base - weight, facts)
    held = facts.weights
    if held is not None:
        stable = max(stable, _share_of(held.stable.weight, facts, held.base))
        if facts.is_aborted:
            canary = max(canary, _share_of(held.canary.weight, facts, held.base))
    return Counts(_floor(canary, facts), _floor(stable, facts))


def _floor(count: int, facts: CountFacts) -> int:
    floor = facts.strategy.min_pods_per_replica_set
    if count == 0 or floor is None:
        return count
    return max(count, min(floor, facts.replicas))


def _basic_counts(facts: CountFacts) -> Counts:
    _, weight = replicas_or_weight(facts)
    if facts.stable is None:
        wanted = Counts(facts.replicas, 0)
    else:
        wanted = approximate(facts.replicas, weight, facts.base, max_surge(facts))
    return _move_within_limits(wanted, facts)


def approximate(replicas: int, weight: int, base: int, surge: int) -> Counts:
    """Return the pair of counts that comes nearest to a weight (canary 4.2)."""
    if replicas == 0:
        return Counts(0, 0)
    up = math.ceil(replicas * weight / base)
    down = math.floor(replicas * weight / base)
    zero_allowed = weight in (0, base) or (replicas == 1 and surge == 0)

    def is_tied(total: int) -> bool:
        return math.modf(total * (weight / base))[0] == 0.5

    options: list[tuple[int, int]] = []
    if up < replicas or zero_allowed:
        options.append((up, replicas))
    if not is_tied(replicas) and (down != 0 or zero_allowed):
        options.append((down, replicas))
    if surge > 0:
        options.append((up, replicas + 1))
        if not is_tied(replicas + 1) and (down != 0 or zero_allowed):
            options.append((down, replicas + 1))
    if not options:
        return Counts(0, replicas)
    canary, total = min(options, key=lambda pair: abs(base * pair[0] / pair[1] - weight))
    return Counts(canary, total - canary)


def _move_within_limits(wanted: Counts, facts: CountFacts) -> Counts:
    canary = facts.canary.replicas if facts.canary else 0
    stable = facts.stable.replicas if facts.stable else 0
    older = sum(size.replicas for size in facts.older)
    total_max = facts.replicas + max_surge(facts)
    room = total_max - (older + canary + stable)

    if stable < wanted.stable and room > 0:
        step = min(room, wanted.stable - stable)
        stable, room = stable + step, room - step
    if canary < wanted.canary and room > 0:
        canary += min(room, wanted.canary - canary)
    if older > 0:
        return Counts(canary, stable)

    is_increasing = facts.canary is None or wanted.canary >= facts.canary.replicas
    available_min = facts.replicas - max_unavailable(facts)
    budget = (
        _countable(facts.canary, ignore_availability=not is_increasing)
        + _countable(facts.stable, ignore_availability=is_increasing)
        - available_min
    )
    if budget <= 0:
        return Counts(canary, stable)
    if not is_increasing:
        if canary > wanted.canary:
            canary = max(wanted.canary, canary - budget)
        canary, stable = _adjust((facts.canary, canary), (facts.stable, stable), total_max, facts)
    elif facts.stable is not None:
        if stable > wanted.stable:
            stable = max(wanted.stable, stable - budget)
        stable, canary = _adjust((facts.stable, stable), (facts.canary, canary), total_max, facts)
    return Counts(canary, stable)


def _countable(size: Size | None, *, ignore_availability: bool) -> int:
    if size is None:
        return 0
    if size.replicas < size.available or ignore_availability:
        return size.replicas
    return size.available


def _adjust(
    drain: tuple[Size | None, int],
    other: tuple[Size | None, int],
    total_max: int,
    facts: CountFacts,
) -> tuple[int, int]:
    """Return (drain, other) moved back inside the limits (canary 4.2, step 7)."""
    drain_size, draining = drain
    other_size, growing = other
    if other_size is None:
        return draining, growing
    growing -= max(0, growing + draining - total_max)
    drain_available = drain_size.available if drain_size else 0
    total_available = min(drain_available, draining) + min(other_size.available, growing)
    lost = max(0, other_size.available - growing)
    needed = max(0, facts.replicas - max_unavailable(facts) - total_available)
    growing += min(lost, needed)
    draining -= max(0, growing + draining - total_max)
    return draining, growing


def threshold_met(
    threshold: ReplicaProgressThreshold | None, size: Size | None, desired: int
) -> bool:
    """Return whether enough of `desired` pods are available (canary 4.4)."""
    if size is None:
        return False
    if threshold is None or threshold.value < 0:
        return size.replicas == desired == size.available
    if threshold.type == "Percent":
        if desired == 0:
            return True
        return size.available / desired * 100 - threshold.value >= -_FLOAT_TOLERANCE
    return size.available >= threshold.value


def is_threshold_reachable(facts: CountFacts) -> bool:
    """Return whether the pods that the current step asks for are enough, once all are available."""
    desired = desired_counts(facts).canary
    size = Size(desired, desired)
    return threshold_met(facts.strategy.replica_progress_threshold, size, desired)


def at_desired_counts(facts: CountFacts) -> bool:
    """Return whether both sides have the pods that the current step asks for (canary 4.4)."""
    desired = desired_counts(facts)
    if not threshold_met(facts.strategy.replica_progress_threshold, facts.canary, desired.canary):
        return False
    is_dynamic = facts.is_routed and facts.strategy.dynamic_stable_scale
    if not is_dynamic:
        stable = facts.stable
        if stable is None:
            return False
        created = stable.replicas if stable.created is None else stable.created
        if stable.replicas != desired.stable or created != desired.stable:
            return False
    return facts.is_routed or sum(size.available for size in facts.older) == 0
