"""The routers that a Rollout configures, in the order in which they are driven (canary 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headrace.model.route import RouterConfig
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
