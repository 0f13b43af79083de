"""Settings of the all-in-one: those of its three services."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from analysis_runner.settings import RunnerSettings
from headrace.runtime.flags import Flag
from rollout_controller.settings import ControllerSettings
from traffic_router.settings import RouterSettings


class AllInOneSettings(ControllerSettings, RouterSettings, RunnerSettings):
    """What the all-in-one takes; each service in it reads the part that is its own."""

    bus: Annotated[Literal["memory", "kafka"], Flag("Bus")] = Field(
        "memory", description="Event bus; memory stays within this process."
    )
