"""Metrics of a world: what the runner's measurements find, without an event loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final, Protocol

from analysis_runner.core.arguments import ArgumentError, resolve_metrics
from analysis_runner.core.judge import failure, judge
from analysis_runner.core.observed import Finding, Flight
from analysis_runner.core.samples import Samples
from analysis_runner.measuring import Round
from analysis_runner.memory import RunMemory
from headrace.expression.values import floats
from headrace.model.analysis import Metric
from headrace.model.quantities import Instant
from headrace.runtime.clock import Timer
from headrace_sandbox.clock import NodeClock
from headrace_sandbox.faults import Kind
from headrace_sandbox.world import World

_ANSWER_SECONDS: Final = 0.05


class Workload(Protocol):
    """What the application does."""

    def error_ratio(self, query: str) -> float | None:
        """Return the ratio of errors that a query asks for; None where nothing was counted."""
        ...


class Host(Protocol):
    """The process that measures.

    Attributes:
        name: As `analysis-runner-1`.
        incarnation: Another one with each start.
        clock: What it takes the time for.
    """

    name: str
    incarnation: int
    clock: NodeClock

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something later, unless the process is gone by then."""
        ...


class SimulatedMeasurer:
    """Carries rounds out in virtual time.

    Args:
        where: The world, and which process measures; a crash ends its measurements.
        workload: What is measured.
        memory: Takes what is found.
        wake: Told the key of a run about which something was found.
    """

    def __init__(
        self,
        where: tuple[World, Host],
        workload: Workload,
        memory: RunMemory,
        wake: Callable[[str], None],
    ) -> None:
        self._world, self._node = world, node = where
        self._workload = workload
        self._memory = memory
        self._wake = wake
        self._rng: Random = world.stream(f"measuring/{node.name}/{node.incarnation}")

    async def run(self) -> None:
        """Do nothing: measurements are appointments of the node."""

    def begin(self, round_: Round, now: Instant) -> None:
        """Begin a round; returns at once."""
        flights = {ask.metric: Flight(ask.step, ask.index, now) for ask in round_.asks}
        for metric, flight in flights.items():
            self._memory.begin(round_.uid, metric, flight)
        try:
            resolved = resolve_metrics(round_.raw_metrics, round_.arguments, {})
        except ArgumentError as error:
            self._memory.fail_arguments(round_.uid, str(error))
            self._wake(round_.key)
            return
        metrics = dict(zip(round_.names, resolved, strict=True))
        for metric, flight in flights.items():
            delay = self._rng.expovariate(1 / _ANSWER_SECONDS)
            self._node.later(
                delay, partial(self._find, round_, (metric, metrics[metric]), flight, now)
            )

    def abandon(self, uid: str, metric: str) -> None:
        """End a measurement whose answer nobody wants any more."""
        self._memory.abandon(uid, metric)

    def forget(self, uid: str) -> None:
        """End all measurements of a run."""
        self._memory.forget(uid)

    def _find(
        self, round_: Round, named: tuple[str, Metric], flight: Flight, began: Instant
    ) -> None:
        name, metric = named
        now = self._node.clock.now()
        query = metric.provider.prometheus.query if metric.provider.prometheus else ""
        ratio = self._workload.error_ratio(query)
        if self._world.faults.strikes(Kind.METRICS_GAP, self._node.name) is not None:
            measurement = failure("the metrics store is away", started_at=began, now=now)
        else:
            samples = Samples(floats([] if ratio is None else [ratio]), f"[{ratio}]")
            measurement = judge(metric, samples, started_at=began, now=now)
        finding = Finding(name, flight, measurement, found_at=now)
        if self._memory.find(round_.uid, finding):
            self._wake(round_.key)
