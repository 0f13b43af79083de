"""Rules about the blue-green strategy (rollout-api 4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headrace.model.rollout import REVISION_HISTORY_LIMIT_DEFAULT, BlueGreenStrategy
from rollout_controller.core.validation import fields
from rollout_controller.core.validation.anti_affinity import anti_affinity_errors

_SAME_SERVICE: Final = (
    "This rollout uses the same service for the active and preview services, "
    "but two different services are required."
)
_LIMIT_TOO_SMALL: Final = (
    "This rollout's revision history limit can not be smaller than the rollout's scale down limit"
)


def errors(strategy: BlueGreenStrategy, revision_history_limit: int | None) -> Iterator[str]:
    """Yield every violated rule, in order."""
    if strategy.active_service == strategy.preview_service:
        path = "spec.strategy.activeService"
        yield fields.invalid(path, strategy.active_service, _SAME_SERVICE)
    limit = strategy.scale_down_delay_revision_limit
    kept = revision_history_limit
    kept = REVISION_HISTORY_LIMIT_DEFAULT if kept is None else kept
    if limit is not None and limit > kept:
        path = "spec.strategy.scaleDownDelayRevisionLimit"
        yield fields.invalid(path, limit, _LIMIT_TOO_SMALL)
    yield from anti_affinity_errors(strategy.anti_affinity)
