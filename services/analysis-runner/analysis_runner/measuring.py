"""Measures: the part of the runner that waits for metrics stores and for Secrets.

Each measurement is a task of its own, within limits for all and for each address, so that a store
that is slow or dead delays its own metrics only. What comes of it is put into the memory, and the
run is woken.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import structlog

from analysis_runner.core.arguments import (
    ArgumentError,
    redact,
    resolve_metrics,
    secret_references,
    secret_value,
)
from analysis_runner.core.judge import failure, judge, terminated
from analysis_runner.core.observed import Finding, Flight, Step
from analysis_runner.core.plan import Ask
from analysis_runner.core.samples import MeasurementError
from analysis_runner.memory import RunMemory
from analysis_runner.providers.provider import Provider, RunContext
from analysis_runner.providers.registry import Providers
from headrace.backoff import CONNECTION
from headrace.errors import PermanentError, TransientError
from headrace.kubernetes.resources import SECRETS, Manifest
from headrace.model.analysis import Argument, Measurement, Metric
from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import Cluster

log = structlog.get_logger(__name__)

_FRAMES_SHOWN: Final = 5
"""Innermost frames that are logged of a bug in a provider."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many measurements may be under way.

    Attributes:
        total: In this process, >= 1.
        per_address: At one address of a provider, >= 1; less than `total`, so that one dead
            server leaves room for the others.
    """

    total: int = 128
    per_address: int = 32


@dataclass(frozen=True, slots=True)
class Round:
    """Measurements of one run that begin together.

    Attributes:
        key: Of the run, to wake it.
        namespace: Of the run, and of its Secrets.
        name: Of the run.
        uid: Of the run.
        started_at: Of the run.
        names: Of all metrics, in their order, as plans know them.
        raw_metrics: The same metrics as the run's spec has them, placeholders included.
        arguments: Of the run's spec.
        asks: What to ask.
    """

    key: str
    namespace: str
    name: str
    uid: str
    started_at: Instant | None
    names: Sequence[str]
    raw_metrics: Sequence[Mapping[str, Any]]
    arguments: Sequence[Argument]
    asks: Sequence[Ask]


class Measuring(Protocol):
    """What the rest of the runner needs of a measurer."""

    async def run(self) -> None:
        """Measure until cancelled."""
        ...

    def begin(self, round_: Round, now: Instant) -> None:
        """Begin a round; returns at once."""
        ...

    def abandon(self, uid: str, metric: str) -> None:
        """End a measurement whose answer nobody wants any more."""
        ...

    def forget(self, uid: str) -> None:
        """End all measurements of a run."""
        ...


class Measurer:
    """Carries rounds out while `run` runs.

    Args:
        providers: Whom to ask.
        cluster: Where Secrets are read.
        clock: Gives the times of measurements.
        memory: Takes what is found.
        wake: Told the key of a run about which something was found.
        bounds: How much at a time.
    """

    def __init__(
        self,
        providers: Providers,
        cluster: Cluster,
        clock: Clock,
        memory: RunMemory,
        wake: Callable[[str], None],
        bounds: Bounds | None = None,
    ) -> None:
        self._providers = providers
        self._cluster = cluster
        self._clock = clock
        self._memory = memory
        self._wake = wake
        self._slots = _Slots(bounds or Bounds())
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Measure until cancelled; measurements under way end then."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    def begin(self, round_: Round, now: Instant) -> None:
        """Begin a round; returns at once."""
        flights = {ask.metric: Flight(ask.step, ask.index, now) for ask in round_.asks}
        for metric, flight in flights.items():
            self._memory.begin(round_.uid, metric, flight)
        if secret_references(round_.arguments):
            self._spawn(self._begin_with_secrets(round_, flights))
        else:
            self._fan_out(round_, flights, {})

    def abandon(self, uid: str, metric: str) -> None:
        """End a measurement whose answer nobody wants any more."""
        self._memory.abandon(uid, metric)
        task = self._tasks.pop((uid, metric), None)
        if task is not None:
            task.cancel()

    def forget(self, uid: str) -> None:
        """End all measurements of a run."""
        for metric in self._memory.flights(uid):
            self.abandon(uid, metric)
        self._memory.forget(uid)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        if self._group is None:
            work.close()  # the process ends
            return None
        return self._group.create_task(work)

    # Secrets

    async def _begin_with_secrets(self, round_: Round, flights: Mapping[str, Flight]) -> None:
        try:
            secrets = await self._read_secrets(round_)
        except PermanentError as error:
            self._memory.fail_arguments(round_.uid, str(error))
            self._wake(round_.key)
            return
        wanted = {
            metric: flight
            for metric, flight in flights.items()
            if self._memory.is_under_way(round_.uid, metric, flight)
        }
        self._fan_out(round_, wanted, secrets)

    async def _read_secrets(self, round_: Round) -> Mapping[str, str]:
        """Return the values of the secret arguments, read live in every round (analysis 3)."""
        read: dict[str, Manifest] = {}
        values = {}
        for name, reference in secret_references(round_.arguments).items():
            if reference.name not in read:
                read[reference.name] = await self._read_secret(round_, reference.name)
            values[name] = secret_value(reference, read[reference.name])
        return values

    async def _read_secret(self, round_: Round, name: str) -> Manifest:
        """Return a Secret; an API server that is away for a moment is no verdict."""
        failures = 0
        while True:
            try:
                return await self._cluster.get(SECRETS, round_.namespace, name)
            except TransientError as error:
                failures += 1
                log.info("secret not read for now", key=round_.key, secret=name, error=str(error))
                await self._clock.sleep(CONNECTION.delay_seconds(failures))

    # Measurements

    def _fan_out(
        self, round_: Round, flights: Mapping[str, Flight], secrets: Mapping[str, str]
    ) -> None:
        try:
            resolved = resolve_metrics(round_.raw_metrics, round_.arguments, secrets)
        except ArgumentError as error:
            self._memory.fail_arguments(round_.uid, redact(str(error), secrets.values()))
            self._wake(round_.key)
            return
        metrics = dict(zip(round_.names, resolved, strict=True))
        for ask in round_.asks:
            flight = flights.get(ask.metric)
            if flight is None:
                continue
            work = _Work(round_, ask, flight, metrics[ask.metric], secrets)
            task = self._spawn(self._measure(work))
            if task is not None:
                key = (round_.uid, ask.metric)
                self._tasks[key] = task
                task.add_done_callback(partial(self._ended, key))

    def _ended(self, key: tuple[str, str], task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    async def _measure(self, work: _Work) -> None:
        # Gathered, so that a bug in a provider is the error of this measurement and not the end
        # of all others.
        (outcome,) = await asyncio.gather(self._ask(work), return_exceptions=True)
        if isinstance(outcome, BaseException):
            # Without the error's text and the values around it: these may hold secrets.
            log.error(
                "provider crashed",
                key=work.round.key,
                metric=work.ask.metric,
                error=type(outcome).__name__,
                where=traceback.format_tb(outcome.__traceback__, limit=-_FRAMES_SHOWN),
            )
            now = self._clock.now()
            message = f"{type(outcome).__name__} in the provider"
            outcome = Finding(work.ask.metric, work.flight, work.failed(message, now), found_at=now)
        if not self._memory.find(work.round.uid, outcome):
            return
        measurement = outcome.measurement
        log.info(
            "measurement made",
            key=work.round.key,
            metric=work.ask.metric,
            index=work.ask.index,
            phase=measurement.phase,
            value=measurement.value,
            message=measurement.message,
        )
        self._wake(work.round.key)

    async def _ask(self, work: _Work) -> Finding:
        metadata: Mapping[str, str] = {}
        began_at = self._clock.now()
        try:
            provider = self._providers.of(work.metric)
            metadata = provider.metadata(work.metric)
            async with self._slots.hold(provider.address(work.metric)):
                began_at = self._clock.now()
                measurement = await self._answer(work, provider, began_at)
        except MeasurementError as error:
            measurement = work.failed(str(error), self._clock.now(), began_at)
        return Finding(
            work.ask.metric,
            work.flight,
            work.redacted(measurement),
            found_at=self._clock.now(),
            metadata={name: redact(text, work.secrets.values()) for name, text in metadata.items()},
        )

    async def _answer(self, work: _Work, provider: Provider, began_at: Instant) -> Measurement:
        context = RunContext(
            work.round.namespace,
            work.round.name,
            work.round.uid,
            work.round.started_at,
            work.ask.index,
        )
        metric, unfinished = work.metric, work.ask.unfinished
        if work.ask.step is Step.RUN or unfinished is None:
            answer = await provider.run(metric, context)
            return judge(metric, answer, started_at=began_at, now=self._clock.now())
        began_at = unfinished.started_at or began_at
        if work.ask.step is Step.RESUME:
            answer = await provider.resume(metric, context, unfinished)
            return judge(metric, answer, started_at=began_at, now=self._clock.now())
        answer = await provider.terminate(metric, context, unfinished)
        return terminated(judge(metric, answer, started_at=began_at, now=self._clock.now()))


@dataclass(frozen=True, slots=True)
class _Work:
    """One measurement.

    Attributes:
        round: The round that it belongs to.
        ask: What is asked.
        flight: As it is remembered.
        metric: With arguments and secrets in place.
        secrets: Values that must not be shown.
    """

    round: Round
    ask: Ask
    flight: Flight
    metric: Metric
    secrets: Mapping[str, str]

    def failed(self, message: str, now: Instant, began_at: Instant | None = None) -> Measurement:
        """Return the measurement that could not be made."""
        unfinished = self.ask.unfinished
        started_at = unfinished.started_at if unfinished is not None else None
        started_at = started_at or began_at or self.flight.begun_at
        return failure(message, started_at=started_at, now=now)

    def redacted(self, measurement: Measurement) -> Measurement:
        """Return a measurement whose message shows no secret."""
        message = redact(measurement.message, self.secrets.values())
        if message == measurement.message:
            return measurement
        return measurement.model_copy(update={"message": message})


class _Slots:
    """Limits of what is under way: for each address, and for all."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._total = asyncio.Semaphore(bounds.total)
        self._addresses: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def hold(self, address: str) -> AsyncIterator[None]:
        """Wait for a slot, and hold it."""
        slots = self._addresses.setdefault(address, asyncio.Semaphore(self._bounds.per_address))
        self._users[address] += 1
        try:
            # That of the address first: who waits for a slow server takes no room from others.
            async with slots, self._total:
                yield
        finally:
            self._users[address] -= 1
            if not self._users[address]:
                del self._users[address], self._addresses[address]
