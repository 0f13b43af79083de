"""What a metric provider is to the runner.

A new provider is one module with a class of this protocol, and one line in `registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from analysis_runner.core.samples import Answer, Unfinished
from headrace.model.analysis import Measurement, Metric
from headrace.model.quantities import Instant


@dataclass(frozen=True, slots=True)
class RunContext:
    """The run that a provider measures for.

    Attributes:
        namespace: Of the run.
        name: Of the run.
        uid: Of the run.
        started_at: status.startedAt; None before the first measurement is written.
        index: Which measurement of the metric, from 0.
    """

    namespace: str
    name: str
    uid: str
    started_at: Instant | None
    index: int


class Provider(Protocol):
    """Asks one kind of metrics store. Metrics come with their arguments in place.

    Every method may raise MeasurementError, whose text becomes the measurement's message. None
    may wait for longer than the time limit of its metric.
    """

    def address(self, metric: Metric) -> str:
        """Return where the load goes; measurements of one address share its limit."""
        ...

    def metadata(self, metric: Metric) -> Mapping[str, str]:
        """Return what the result of the metric shows of the provider."""
        ...

    async def run(self, metric: Metric, context: RunContext) -> Answer:
        """Measure once."""
        ...

    async def resume(self, metric: Metric, context: RunContext, unfinished: Measurement) -> Answer:
        """Go on with a measurement that was not finished."""
        ...

    async def terminate(
        self, metric: Metric, context: RunContext, unfinished: Measurement
    ) -> Answer:
        """End a measurement that is not finished."""
        ...


class InstantProvider:
    """The part of the providers that answer at once: they never leave anything unfinished."""

    async def resume(self, metric: Metric, context: RunContext, unfinished: Measurement) -> Answer:
        """Measure anew: what is unfinished was begun by another kind of provider."""
        return await self.run(metric, context)

    async def terminate(
        self, metric: Metric, context: RunContext, unfinished: Measurement
    ) -> Answer:
        """Leave it as it is (analysis 11.13): the run ends without it."""
        return Unfinished(unfinished.resume_at or Instant(0.0), unfinished.metadata)

    async def run(self, metric: Metric, context: RunContext) -> Answer:
        """Measure once."""
        raise NotImplementedError
