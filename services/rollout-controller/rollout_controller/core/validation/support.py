"""What this version does not build yet, and therefore refuses as a whole.

A Rollout that asks for it is told so, instead of being rolled out in another way than it says.
The path is that of the field in the manifest, strategy included:
`spec.strategy.canary.pingPong`, `spec.strategy.canary.trafficRouting.plugins[a/b]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headrace.model.rollout import CanaryStrategy, RolloutSpec
from headrace.model.route import RouterConfig
from headrace.model.traffic import TrafficRouting
from headrace.routes.registry import router_of
from headrace.routes.targets import RenderError
from rollout_controller.core.routers import ROUTER_FIELDS
from rollout_controller.core.validation import fields

_CANARY: Final = "spec.strategy.canary"


def errors(spec: RolloutSpec) -> Iterator[str]:
    """Yield one error for each field that this version does not build, in the field's order."""
    for path in _unsupported(spec):
        yield fields.forbidden(path, "not supported by this version")


def _unsupported(spec: RolloutSpec) -> Iterator[str]:
    if spec.strategy.canary is not None:
        yield from _of_canary(spec.strategy.canary)


def _of_canary(strategy: CanaryStrategy) -> Iterator[str]:
    if strategy.traffic_routing is not None:
        yield from _of_routing(strategy.traffic_routing, f"{_CANARY}.trafficRouting")
    fields_used = {
        "pingPong": strategy.ping_pong is not None,
    }
    yield from (f"{_CANARY}.{name}" for name, is_used in fields_used.items() if is_used)


def _of_routing(routing: TrafficRouting, path: str) -> Iterator[str]:
    for attribute, kind in ROUTER_FIELDS:
        is_known = _is_supported(RouterConfig(kind=kind))
        if getattr(routing, attribute) is not None and not is_known:
            yield f"{path}.{kind}"
    for name in sorted(routing.plugins):
        if not _is_supported(RouterConfig(kind="plugin", plugin=name)):
            yield f"{path}.plugins[{name}]"


def _is_supported(router: RouterConfig) -> bool:
    return not isinstance(router_of(router), RenderError)
