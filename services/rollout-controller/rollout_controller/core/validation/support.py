"""What this version does not build yet, and therefore refuses as a whole.

A Rollout that asks for it is told so, instead of being rolled out in another way than it says.
The path is that of the field in the manifest, strategy included:
`spec.strategy.canary.trafficRouting.plugins[a/b]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headrace.model.rollout import RolloutSpec
from headrace.routes.registry import router_of, unsupported_field
from headrace.routes.targets import RenderError
from rollout_controller.core.routers import router_configs
from rollout_controller.core.validation import fields

_PATH: Final = "spec.strategy.canary.trafficRouting"


def errors(spec: RolloutSpec) -> Iterator[str]:
    """Yield one error for each field that this version does not build, in the field's order."""
    for path in _unsupported(spec):
        yield fields.forbidden(path, "not supported by this version")


def _unsupported(spec: RolloutSpec) -> Iterator[str]:
    canary = spec.strategy.canary
    routing = canary.traffic_routing if canary is not None else None
    if routing is None:
        return
    for router in router_configs(routing):
        path = f"{_PATH}.plugins[{router.plugin}]" if router.plugin else f"{_PATH}.{router.kind}"
        if isinstance(router_of(router), RenderError):
            yield path
        elif (field := unsupported_field(router)) is not None:
            yield f"{path}.{field}"
