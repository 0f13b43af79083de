"""Which provider a metric is measured by (analysis 7)."""

from __future__ import annotations

from collections.abc import Mapping

from analysis_runner.core.samples import MeasurementError
from analysis_runner.providers.provider import Provider
from headrace.model.analysis import Metric
from headrace.model.provider_kinds import kind_of


class Providers:
    """The providers that there are, by their name on the wire."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._providers = dict(providers)

    def of(self, metric: Metric) -> Provider:
        """Return the provider of a metric.

        Raises:
            MeasurementError: None is configured, or this version has none of that kind.
        """
        kind = kind_of(metric.provider)
        if kind is None:
            raise MeasurementError(f"no valid provider in metric '{metric.name}'")
        provider = self._providers.get(kind.name)
        if provider is None:
            raise MeasurementError(f"provider {kind.name}: not supported by this version")
        return provider
