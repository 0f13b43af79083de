"""Settings of the traffic-router: those of every service and of routes, and its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headrace.routes.smi import SUPPORTED_VERSIONS
from headrace.runtime.flags import Duration, Flag
from headrace.runtime.settings import RouteSettings


class RouterSettings(RouteSettings):
    """What the traffic-router takes."""

    traffic_split_api_version: Annotated[str, Flag("Routes")] = Field(
        "",
        pattern=rf"^({'|'.join(SUPPORTED_VERSIONS)})?$",
        description="API version of TrafficSplit; default: the one that the server prefers.",
    )
    rediscover_seconds: Annotated[Duration, Flag("Routes")] = Field(
        30.0,
        description="Pause before a kind of traffic object that is not served is sought again.",
    )
