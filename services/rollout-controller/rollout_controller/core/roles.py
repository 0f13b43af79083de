"""Which Service plays the canary and which the stable role now.

Without pingPong the spec says it once and for all, and a promotion moves the selectors. With
pingPong it is the other way round: selectors stay, and a promotion swaps the roles of the two
Services, so that whatever answers users never changes its pods.

Source: canary 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headrace.model.rollout import CanaryStrategy

PING: Final = "ping"
PONG: Final = "pong"
"""Values of status.canary.stablePingPong; empty counts as pong."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The Services of the two roles, "" where there is none."""

    canary: str
    stable: str


def ping_pong_roles(strategy: CanaryStrategy, stable_ping_pong: str) -> Roles | None:
    """Return the roles of ping and pong; None without pingPong."""
    pair = strategy.ping_pong
    if pair is None:
        return None
    if stable_ping_pong == PING:
        return Roles(canary=pair.pong_service, stable=pair.ping_service)
    return Roles(canary=pair.ping_service, stable=pair.pong_service)


def routed_roles(strategy: CanaryStrategy, stable_ping_pong: str) -> Roles:
    """Return the Services that routers divide the traffic between.

    Ping and pong are these only while the spec names neither a canary nor a stable Service.
    """
    roles = ping_pong_roles(strategy, stable_ping_pong)
    if roles is not None and not strategy.canary_service and not strategy.stable_service:
        return roles
    return Roles(canary=strategy.canary_service, stable=strategy.stable_service)


def swapped(strategy: CanaryStrategy, stable_ping_pong: str) -> str:
    """Return status.canary.stablePingPong after a promotion; without pingPong it stays."""
    if strategy.ping_pong is None:
        return stable_ping_pong
    return PONG if stable_ping_pong == PING else PING
