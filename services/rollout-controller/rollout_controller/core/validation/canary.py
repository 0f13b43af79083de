"""Rules about the canary strategy as a whole (rollout-api 4.1, canary 1-11 and 27)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from headrace.model.quantities import percent_of
from headrace.model.rollout import (
    MAX_SURGE_DEFAULT,
    MAX_UNAVAILABLE_DEFAULT,
    CanaryStrategy,
    PingPong,
)
from headrace.model.traffic import TrafficRouting
from rollout_controller.core.validation import fields
from rollout_controller.core.validation.anti_affinity import anti_affinity_errors
from rollout_controller.core.validation.steps import step_errors

PATH: Final = "spec.strategy"

_SAME_SERVICE: Final = (
    "This rollout uses the same service for the stable and canary services, "
    "but two different services are required."
)
_SAME_PING_PONG: Final = (
    "This rollout uses the same service for the ping and pong services, "
    "but two different services are required."
)
_PING_PONG_ROUTERS: Final = (
    "Ping-pong feature works with the ALB, Istio, and plugin-based traffic routers only"
)
_PING_PONG_NEEDED: Final = "Ping service and Pong service must to be set to use Ping-Pong feature"
_ROOT_SERVICE_NEEDED: Final = (
    "Root service field is required for the configuration with ALB and ping-pong feature enabled"
)
_SERVICES_NEEDED: Final = "Canary service and Stable service must to be set to use Traffic Routing"
_MAX_WEIGHT_ROUTERS: Final = (
    "Canary maxTrafficWeight in traffic routing only supported in Nginx and Plugins"
)


def errors(strategy: CanaryStrategy) -> Iterator[str]:
    """Yield every violated rule, in order."""
    yield from _limit_errors(strategy)
    stable, canary = strategy.stable_service, strategy.canary_service
    if stable and stable == canary:
        yield fields.invalid(f"{PATH}.stableService", stable, _SAME_SERVICE)
    if strategy.ping_pong is not None:
        yield from _ping_pong_errors(strategy.ping_pong, strategy.traffic_routing)
    if _needs_services(strategy):
        if not stable:
            yield fields.invalid(f"{PATH}.stableService", stable, _SERVICES_NEEDED)
        if not canary:
            yield fields.invalid(f"{PATH}.canaryService", canary, _SERVICES_NEEDED)
    yield from _routing_errors(strategy)
    for index, step in enumerate(strategy.steps):
        yield from step_errors(strategy, step, f"{PATH}.steps[{index}]")
    yield from anti_affinity_errors(strategy.anti_affinity)


def _limit_errors(strategy: CanaryStrategy) -> Iterator[str]:
    limits = (
        ("maxSurge", strategy.max_surge, MAX_SURGE_DEFAULT),
        ("maxUnavailable", strategy.max_unavailable, MAX_UNAVAILABLE_DEFAULT),
    )
    numbers = []
    for name, value, default in limits:
        try:
            numbers.append(_number(default if value is None else value))
        except ValueError as error:
            # The reference counts it as 0; a typing error is better told.
            yield fields.invalid(f"{PATH}.{name}", value, str(error))
    if numbers == [0, 0]:
        detail = "MaxSurge and MaxUnavailable both can not be zero"
        yield fields.invalid(f"{PATH}.maxSurge", strategy.max_surge, detail)


def _number(value: int | str) -> int:
    return value if isinstance(value, int) else percent_of(value)


def _ping_pong_errors(pair: PingPong, routing: TrafficRouting | None) -> Iterator[str]:
    path = f"{PATH}.pingPong"
    routed_by = (routing.alb, routing.istio, routing.plugins) if routing else ()
    if routing is not None and not any(routed_by):
        yield fields.invalid(f"{PATH}.trafficRouting.alb", routing.alb, _PING_PONG_ROUTERS)
    if not pair.ping_service:
        yield fields.invalid(f"{path}.pingService", pair.ping_service, _PING_PONG_NEEDED)
    if not pair.pong_service:
        yield fields.invalid(f"{path}.pongService", pair.pong_service, _PING_PONG_NEEDED)
    if pair.ping_service == pair.pong_service:
        yield fields.invalid(f"{path}.pingService", pair.ping_service, _SAME_PING_PONG)
    if routing is not None and routing.alb is not None and not routing.alb.root_service:
        yield fields.invalid(f"{PATH}.trafficRouting.alb.rootService", "", _ROOT_SERVICE_NEEDED)


def _needs_services(strategy: CanaryStrategy) -> bool:
    """Return whether a router needs both Services (rollout-api 4.1, canary 7)."""
    routing = strategy.traffic_routing
    if routing is None:
        return False
    if strategy.ping_pong is None:
        if routing.alb is not None:
            return True
        if routing.istio is not None and routing.istio.destination_rule is None:
            return True
    return any(
        router is not None
        for router in (
            routing.smi,
            routing.apisix,
            routing.ambassador,
            routing.nginx,
            routing.app_mesh,
            routing.traefik,
        )
    )


def _routing_errors(strategy: CanaryStrategy) -> Iterator[str]:
    routing, delay = strategy.traffic_routing, strategy.scale_down_delay_seconds
    dynamic = f"{PATH}.dynamicStableScale"
    if routing is None:
        if delay is not None:
            detail = "Canary scaleDownDelaySeconds can only be used with traffic routing"
            yield fields.invalid(f"{PATH}.scaleDownDelaySeconds", delay, detail)
        if strategy.dynamic_stable_scale:
            detail = "Canary dynamicStableScale can only be used with traffic routing"
            yield fields.invalid(dynamic, True, detail)
        return
    if delay is not None and strategy.dynamic_stable_scale:
        detail = "Canary dynamicStableScale cannot be used with scaleDownDelaySeconds"
        yield fields.invalid(dynamic, True, detail)
    path, weight = f"{PATH}.trafficRouting.maxTrafficWeight", routing.max_traffic_weight
    if weight is not None and routing.nginx is None and not routing.plugins:
        yield fields.invalid(path, weight, _MAX_WEIGHT_ROUTERS)
    elif weight is not None and weight < 1:
        # The reference divides by it.
        yield fields.invalid(path, weight, "must be greater than 0")
