"""The all-in-one as a process: the three services over one set of ports and of Leases."""

from __future__ import annotations

from typing import Final

from analysis_runner.app import NAME as ANALYSIS_RUNNER
from analysis_runner.runner import AnalysisRunner
from headrace.runtime.process import Program
from headrace_all_in_one.settings import AllInOneSettings
from rollout_controller.app import NAME as ROLLOUT_CONTROLLER
from rollout_controller.controller import RolloutController
from traffic_router.app import NAME as TRAFFIC_ROUTER
from traffic_router.router import TrafficRouter

NAME: Final = "all-in-one"


def build(settings: AllInOneSettings) -> Program:
    """Return the program that runs the three services in one process."""
    return Program(
        NAME,
        {
            ROLLOUT_CONTROLLER: lambda ports: RolloutController(ports, settings),
            TRAFFIC_ROUTER: lambda ports: TrafficRouter(ports, settings),
            ANALYSIS_RUNNER: lambda ports: AnalysisRunner(ports, settings),
        },
    )
