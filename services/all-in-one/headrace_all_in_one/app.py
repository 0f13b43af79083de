"""The all-in-one as a process: the three services over one set of ports and of Leases."""

from __future__ import annotations

from typing import Final

from analysis_runner.app import NAME as ANALYSIS_RUNNER
from analysis_runner.runner import AnalysisRunner
from headrace.runtime.component import Ports
from headrace.runtime.process import Program
from headrace.runtime.store import Store
from headrace_all_in_one.settings import AllInOneSettings
from rollout_controller.app import NAME as ROLLOUT_CONTROLLER
from rollout_controller.controller import RolloutController
from traffic_router.app import NAME as TRAFFIC_ROUTER
from traffic_router.router import TrafficRouter

NAME: Final = "all-in-one"


def build(settings: AllInOneSettings) -> Program:
    """Return the program that runs the three services in one process."""
    services = _Services(settings)
    return Program(
        NAME,
        {
            ROLLOUT_CONTROLLER: services.controller,
            TRAFFIC_ROUTER: services.router,
            ANALYSIS_RUNNER: lambda ports: AnalysisRunner(ports, settings),
        },
    )


class _Services:
    """Makers of services, of which the router reads the Rollouts that the controller follows."""

    def __init__(self, settings: AllInOneSettings) -> None:
        self._settings = settings
        self._rollouts: Store | None = None

    def controller(self, ports: Ports) -> RolloutController:
        controller = RolloutController(ports, self._settings)
        self._rollouts = controller.objects.rollouts
        return controller

    def router(self, ports: Ports) -> TrafficRouter:
        return TrafficRouter(ports, self._settings, self._rollouts)
