"""The traffic-router as a process: its settings and its one component."""

from __future__ import annotations

from typing import Final

from headrace.runtime.process import Program
from traffic_router.router import TrafficRouter
from traffic_router.settings import RouterSettings

NAME: Final = "traffic-router"


def build(settings: RouterSettings) -> Program:
    """Return the program that runs the traffic-router alone."""
    return Program(NAME, {NAME: lambda ports: TrafficRouter(ports, settings)})
