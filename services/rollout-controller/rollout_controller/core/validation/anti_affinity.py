"""Rules about keeping pods of different revisions apart (rollout-api 4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headrace.model.rollout import AntiAffinity
from rollout_controller.core.validation import fields

_PATH: Final = "spec.strategy.antiAffinity"
_WEIGHT_MAX: Final = 100


def anti_affinity_errors(anti_affinity: AntiAffinity | None) -> Iterator[str]:
    """Yield every violated rule; the same rules for both strategies."""
    if anti_affinity is None:
        return
    preferred = anti_affinity.preferred_during_scheduling_ignored_during_execution
    required = anti_affinity.required_during_scheduling_ignored_during_execution
    if (preferred is None) == (required is None):
        is_set = "true" if preferred is not None else "false"
        value = (
            f"antiAffinity.PreferredDuringSchedulingIgnoredDuringExecution: {is_set} "
            f"antiAffinity.RequiredDuringSchedulingIgnoredDuringExecution: {is_set}"
        )
        yield fields.invalid(_PATH, value, "AntiAffinity must have exactly one strategy listed")
    if preferred is not None and not 1 <= preferred.weight <= _WEIGHT_MAX:
        detail = "AntiAffinity weight must be between 1-100"
        yield fields.invalid(f"{_PATH}.weight", preferred.weight, detail)
