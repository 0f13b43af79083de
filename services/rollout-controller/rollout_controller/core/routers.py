"""Routers and routes: what a Rollout configures, in order (canary 5), and who gets what."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from headrace.model.headrace_status import HeadraceStatus
from headrace.model.rollout_status import RolloutStatus
from headrace.model.route import RouteDocument, RouterConfig
from headrace.model.traffic import TrafficRouting

ROUTER_FIELDS = (
    ("istio", "istio"),
    ("nginx", "nginx"),
    ("alb", "alb"),
    ("smi", "smi"),
    ("ambassador", "ambassador"),
    ("app_mesh", "appMesh"),
    ("traefik", "traefik"),
    ("apisix", "apisix"),
)
"""Attribute and wire name of each router, in the order of canary 5."""


def has_routers(routing: TrafficRouting | None) -> bool:
    """Return whether any router is configured; `trafficRouting: {}` configures none."""
    if routing is None:
        return False
    return bool(routing.plugins) or any(getattr(routing, name) for name, _ in ROUTER_FIELDS)


def router_configs(routing: TrafficRouting) -> tuple[RouterConfig, ...]:
    """Return the configured routers in their fixed order, plugins by name last."""
    configs: list[RouterConfig] = []
    for attribute, kind in ROUTER_FIELDS:
        config = getattr(routing, attribute)
        if config is not None:
            configs.append(RouterConfig(kind=kind, config=_json(config.dump())))
    configs.extend(
        RouterConfig(kind="plugin", plugin=name, config=_json(routing.plugins[name]))
        for name in sorted(routing.plugins)
    )
    return tuple(configs)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def shares_of(route: RouteDocument) -> dict[str, int]:
    """Return the weight of each hash that a route asks for; hashes without any are left out.

    A header or mirror route brings requests to the canary at any weight: it counts as one. One
    without routers brings nobody anything.
    """
    shares: dict[str, int] = {}
    if not route.routers:
        return shares
    has_rules = bool(route.managed.header or route.managed.mirror)
    pairs = [
        (route.hashes.stable, route.weights.stable),
        (route.hashes.canary, max(route.weights.canary, int(has_rules))),
        *((extra.hash, extra.weight) for extra in route.weights.additional),
    ]
    for pod_hash, weight in pairs:
        if pod_hash and weight > 0:
            shares[pod_hash] = shares.get(pod_hash, 0) + weight
    return shares


def weight_of(route: RouteDocument, service: str) -> int | None:
    """Return the weight that a route gives a Service, None where it does not name it."""
    if service == (route.services.canary_role or ""):
        return route.weights.canary
    if service == (route.services.stable_role or ""):
        return route.weights.stable
    return next((each.weight for each in route.weights.additional if each.service == service), None)


def rebased(weight: int, base: int, new_base: int) -> int:
    """Return a weight by another weight of all traffic (maxTrafficWeight was edited), cut off."""
    return weight * new_base // base if base else weight


def may_get_traffic(headrace: HeadraceStatus, service: str) -> bool:
    """Return whether a route may bring a Service what is meant for one version only."""
    route, known = headrace.route, headrace.acknowledged
    if route is None:
        return False
    if known is None or known.epoch != route.epoch:
        return True
    return bool(route.routers and weight_of(route, service))


def raised(shares: Mapping[str, int], base: int, route: RouteDocument) -> dict[str, int]:
    """Return the shares, of a base of their own, once `route` may be applied at any moment."""
    new_base = route.weights.base
    merged = {each: math.ceil(weight * new_base / base) for each, weight in shares.items()}
    for pod_hash, weight in shares_of(route).items():
        merged[pod_hash] = max(merged.get(pod_hash, 0), weight)
    return merged


def known_shares(status: RolloutStatus, headrace: HeadraceStatus) -> dict[str, int]:
    """Return the remembered shares; where they are missing, the persisted weights stand for them.

    They are missing after the adoption of a Rollout that another controller left. Whatever is
    remembered, the stored route may be applied at any moment.
    """
    if headrace.shares is not None:
        return (
            dict(headrace.shares)
            if headrace.route is None
            else raised(headrace.shares, headrace.route.weights.base, headrace.route)
        )
    shares: dict[str, int] = {}
    weights = status.canary.weights
    if weights is not None:
        for destination in (weights.canary, weights.stable, *weights.additional):
            pod_hash = destination.pod_template_hash
            if pod_hash and destination.weight:
                shares[pod_hash] = shares.get(pod_hash, 0) + destination.weight
    return shares
