"""The steps of a canary: what the current one is, and which weight and scale it stands for.

Source: canary 2.1, 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.model.rollout import MAX_TRAFFIC_WEIGHT_DEFAULT, CanaryStrategy
from headrace.model.steps import CanaryStep, SetCanaryScale


def weight_base(strategy: CanaryStrategy) -> int:
    """Return the weight that stands for all traffic: maxTrafficWeight or 100."""
    routing = strategy.traffic_routing
    if routing is None or routing.max_traffic_weight is None:
        return MAX_TRAFFIC_WEIGHT_DEFAULT
    return routing.max_traffic_weight


def step_at(steps: Sequence[CanaryStep], index: int | None) -> CanaryStep | None:
    """Return the step at `index` (None counts as 0), or None past the end or without steps."""
    position = index or 0
    return steps[position] if 0 <= position < len(steps) else None


def set_weight_at(steps: Sequence[CanaryStep], index: int) -> int:
    """Return the nearest setWeight at or before `index`, 0 when there is none."""
    for step in reversed(steps[: index + 1]):
        if step.set_weight is not None:
            return step.set_weight
    return 0


def current_set_weight(
    steps: Sequence[CanaryStep], index: int | None, *, is_aborted: bool, base: int
) -> int:
    """Return the weight that the steps ask for now (canary 4.1, rule 3).

    Args:
        steps: All steps.
        index: status.currentStepIndex.
        is_aborted: An aborted canary gets nothing.
        base: Weight of all traffic, returned past the last step.
    """
    if is_aborted:
        return 0
    if step_at(steps, index) is None:
        return base
    return set_weight_at(steps, index or 0)


def scale_in_effect(
    strategy: CanaryStrategy, index: int | None, *, is_aborted: bool
) -> SetCanaryScale | None:
    """Return the setCanaryScale that overrides the weight, if one does (canary 4.1, rule 2).

    An explicit abortScaleDownDelaySeconds of 0 keeps it in effect under abort.
    """
    if strategy.traffic_routing is None or step_at(strategy.steps, index) is None:
        return None
    if is_aborted and strategy.abort_scale_down_delay_seconds != 0:
        return None
    for step in reversed(strategy.steps[: (index or 0) + 1]):
        if step.set_canary_scale is not None:
            scale = step.set_canary_scale
            return None if scale.match_traffic_weight else scale
    return None


def describe(step: CanaryStep) -> str:
    """Return the step as Events and clients show it (canary 2.1)."""
    if step.set_weight is not None:
        return f"setWeight: {step.set_weight}"
    if step.pause is not None:
        return "pause" if step.pause.duration is None else f"pause: {step.pause.duration}"
    if step.experiment is not None:
        return "experiment"
    if step.analysis is not None:
        return "analysis"
    if step.set_canary_scale is not None:
        return _describe_scale(step.set_canary_scale)
    if step.plugin is not None:
        return f"plugin: {step.plugin.name}"
    if step.set_header_route is not None:
        return f"setHeaderRoute: {step.set_header_route.name}"
    if step.set_mirror_route is not None:
        return f"setMirrorRoute: {step.set_mirror_route.name}"
    return "invalid"


def _describe_scale(scale: SetCanaryScale) -> str:
    if scale.weight is not None:
        return f"setCanaryScale{{weight: {scale.weight}}}"
    if scale.match_traffic_weight:
        return "setCanaryScale{matchTrafficWeight: true}"
    if scale.replicas is not None:
        return f"setCanaryScale{{replicas: {scale.replicas}}}"
    return "invalid"
