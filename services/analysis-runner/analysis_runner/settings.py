"""Settings of the analysis-runner: those of every service, and its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from headrace.runtime.flags import Duration, Flag
from headrace.runtime.settings import ServiceSettings

_ANALYSIS: Final = Flag("Analysis")

_ARGO_NAMES: Final = {"ARGO_ROLLOUTS_PROMETHEUS_ADDRESS": "HEADRACE_PROMETHEUS_ADDRESS"}


class RunnerSettings(ServiceSettings):
    """What the analysis-runner takes."""

    prometheus_address: Annotated[str, _ANALYSIS] = Field(
        "",
        pattern=r"^(https?://[^/\s].*)?$",
        description="Prometheus for metrics that name no address.",
    )
    measurements_max: Annotated[int, _ANALYSIS] = Field(
        128, ge=1, le=10_000, description="Measurements under way at the same time."
    )
    measurements_per_address_max: Annotated[int, _ANALYSIS] = Field(
        32, ge=1, le=10_000, description="Measurements under way at one address of a provider."
    )
    measurement_bytes_max: Annotated[int, _ANALYSIS] = Field(
        4 * 1024 * 1024, ge=1024, description="Bytes that an answer of a provider may have."
    )
    say_again_seconds: Annotated[Duration, _ANALYSIS] = Field(
        3600.0,
        description="Runs that were over for longer are not told again after a restart.",
    )


def with_argo_names(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return an environment in which variables of Argo Rollouts have the names of ours.

    Ours win where both are set.
    """
    renamed = {ours: environ[argo] for argo, ours in _ARGO_NAMES.items() if environ.get(argo)}
    return {**renamed, **{name: value for name, value in environ.items() if value}}
