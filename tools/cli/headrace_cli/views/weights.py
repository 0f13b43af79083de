"""Step and weights of a Rollout as clients show them (cli-and-clients 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.kubernetes.resources import Manifest
from headrace_cli.views.objects import count, items, section

_WEIGHT_MAX: Final = 100


def strategy_of(rollout: Manifest) -> str:
    """Return `Canary`, `BlueGreen` or `unknown`."""
    strategy = section(rollout, "spec", "strategy")
    if strategy.get("canary") is not None:
        return "Canary"
    return "BlueGreen" if strategy.get("blueGreen") is not None else "unknown"


def step_text(rollout: Manifest) -> str:
    """Return `<index>/<number of steps>`, empty where there is no index or no step."""
    index, steps = _index(rollout), _steps(rollout)
    return f"{index}/{len(steps)}" if index is not None and steps else ""


def set_weight(rollout: Manifest) -> int:
    """Return the weight that the current step asks for."""
    if section(rollout, "status").get("abort"):
        return 0
    index, steps = _index(rollout), _steps(rollout)
    if not _has_current_step(rollout):
        return weight_max(rollout)
    for step in reversed(steps[: (index or 0) + 1]):
        if step.get("setWeight") is not None:
            return int(step["setWeight"])
    return 0


def actual_weight(rollout: Manifest, canary_available: int) -> int:
    """Return the weight that the new version has.

    Args:
        rollout: The Rollout.
        canary_available: Available pods of the new version's ReplicaSet.
    """
    if not _has_current_step(rollout):
        return weight_max(rollout)
    available = count(rollout, "status", "availableReplicas")
    if not available:
        return 0
    if not section(rollout, "spec", "strategy", "canary").get("trafficRouting"):
        return canary_available * weight_max(rollout) // available
    weights = section(rollout, "status", "canary").get("weights")
    if weights is None:
        return set_weight(rollout)
    return count(weights, "canary", "weight")


def weight_max(rollout: Manifest) -> int:
    """Return the weight that stands for all traffic."""
    routing = section(rollout, "spec", "strategy", "canary", "trafficRouting")
    maximum = routing.get("maxTrafficWeight")
    return _WEIGHT_MAX if maximum is None else int(maximum)


def _has_current_step(rollout: Manifest) -> bool:
    steps = _steps(rollout)
    return bool(steps) and (_index(rollout) or 0) < len(steps)


def _index(rollout: Manifest) -> int | None:
    index = section(rollout, "status").get("currentStepIndex")
    return None if index is None else int(index)


def _steps(rollout: Manifest) -> list[Mapping[str, Any]]:
    return [*items(rollout, "spec", "strategy", "canary", "steps")]
