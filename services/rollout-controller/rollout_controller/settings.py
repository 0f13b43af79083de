"""Settings of the rollout-controller: those of every service and of routes, and its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headrace.routes.smi import SUPPORTED_VERSIONS
from headrace.runtime.flags import Duration, Flag
from headrace.runtime.settings import RouteSettings


class ControllerSettings(RouteSettings):
    """What the rollout-controller takes."""

    abort_claim_seconds: Annotated[Duration, Flag("Routes")] = Field(
        2.0, description="An abort is said at the latest this long after it, route or not."
    )
    traffic_split_api_version: Annotated[str, Flag("Routes")] = Field(
        "",
        pattern=rf"^({'|'.join(SUPPORTED_VERSIONS)})?$",
        description="API version of TrafficSplit; default: the one that the server prefers.",
    )
