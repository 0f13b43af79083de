"""What this version does not build yet, and therefore refuses as a whole.

A Rollout that asks for it is told so, instead of being rolled out in another way than it says.
The path is that of the field in the manifest, strategy included:
`spec.strategy.canary.trafficRouting.plugins[a/b]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headrace.model.rollout import RolloutSpec
from headrace.model.route import RouterConfig
from headrace.routes.registry import router_of
from headrace.routes.targets import RenderError
from rollout_controller.core.routers import ROUTER_FIELDS
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
    for attribute, kind in ROUTER_FIELDS:
        is_known = _is_supported(RouterConfig(kind=kind))
        if getattr(routing, attribute) is not None and not is_known:
            yield f"{_PATH}.{kind}"
    for name in sorted(routing.plugins):
        if not _is_supported(RouterConfig(kind="plugin", plugin=name)):
            yield f"{_PATH}.plugins[{name}]"


def _is_supported(router: RouterConfig) -> bool:
    return not isinstance(router_of(router), RenderError)
