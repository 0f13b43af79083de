"""The rollout-controller as a process: its settings and its one component."""

from __future__ import annotations

from typing import Final

from headrace.runtime.process import Program
from rollout_controller.controller import RolloutController
from rollout_controller.settings import ControllerSettings

NAME: Final = "rollout-controller"


def build(settings: ControllerSettings) -> Program:
    """Return the program that runs the rollout-controller alone."""
    return Program(NAME, {NAME: lambda ports: RolloutController(ports, settings)})
