"""When metrics are measured, and how long a claim waits for measurements (analysis 4.1, 4.7)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from analysis_runner.core.judge import (
    has_enough,
    is_unfinished,
    last_measurement,
    measured_count,
)
from analysis_runner.core.observed import Finding, Flight, Step
from analysis_runner.core.plan import Ask
from headrace.model.analysis import (
    AnalysisPhase,
    AnalysisRunStatus,
    Metric,
    MetricResult,
    is_completed,
)
from headrace.model.quantities import Instant, parse_duration

INTERVAL_SECONDS: Final = 10.0
"""Between measurements after an error, and where no interval is given. Source: analysis 4.1."""

SETTLE_SECONDS: Final = 0.2
"""Measurements of one round are written in one patch when they end this close together.

The reference writes once per round, however long its slowest query takes; ours must not make a
verdict wait for that.
"""


def due_at(
    metric: Metric, result: MetricResult | None, started_at: Instant | None
) -> Instant | None:
    """Return from when on a metric is to be measured or resumed, None when nothing is planned.

    A time in the past means at once. None: the metric is over, an unfinished measurement is
    resumed by an event only, or the run must be started first.
    """
    if result is not None and is_completed(result.phase):
        return None
    last = last_measurement(result)
    if result is None or last is None:
        if not metric.initial_delay:
            return Instant(0.0)
        if started_at is None:
            return None
        return Instant(started_at + parse_duration(metric.initial_delay))
    if is_unfinished(last):
        return last.resume_at
    if has_enough(metric, result):
        return None
    seconds = INTERVAL_SECONDS
    if last.phase != AnalysisPhase.ERROR and metric.interval:
        seconds = parse_duration(metric.interval)
    return Instant((last.finished_at or 0.0) + seconds)


def due_asks(
    metrics: Iterable[Metric], status: AnalysisRunStatus, busy: Collection[str], now: Instant
) -> tuple[Ask, ...]:
    """Return the measurements to begin or to resume now, at most one per metric.

    Args:
        metrics: Of the run.
        status: As it is stored.
        busy: Metrics with a measurement under way, or ended and not yet in the status.
        now: Decision time.
    """
    results = {result.name: result for result in status.metric_results}
    asks = []
    for metric in metrics:
        result = results.get(metric.name)
        if metric.name in busy or (result is not None and is_completed(result.phase)):
            continue
        last = last_measurement(result)
        if is_unfinished(last):
            # Without a time to resume at it is asked whenever the run is looked at.
            if last is not None and (last.resume_at is None or last.resume_at <= now):
                asks.append(Ask(metric.name, Step.RESUME, measured_count(result), last))
            continue
        due = due_at(metric, result, status.started_at)
        if due is not None and due <= now:
            asks.append(Ask(metric.name, Step.RUN, measured_count(result)))
    return tuple(asks)


def ending_asks(
    metrics: Iterable[Metric],
    status: AnalysisRunStatus,
    busy: Collection[str],
    found: Iterable[Finding] = (),
) -> tuple[Ask, ...]:
    """Return the unfinished measurements that a terminating run has to end.

    Args:
        metrics: Of the run.
        status: As it is stored.
        busy: Metrics with a measurement that is being ended, or has ended.
        found: Unfinished measurements that are newer than the status.
    """
    unfinished = {
        result.name: result.measurements[-1]
        for result in status.metric_results
        if not is_completed(result.phase) and is_unfinished(last_measurement(result))
    }
    unfinished.update({finding.metric: finding.measurement for finding in found})
    results = {result.name: result for result in status.metric_results}
    return tuple(
        Ask(name, Step.TERMINATE, measured_count(results.get(name)), unfinished[name])
        for name in (metric.name for metric in metrics)
        if name in unfinished and name not in busy
    )


def next_look(
    metrics: Iterable[Metric], status: AnalysisRunStatus, busy: Collection[str]
) -> Instant | None:
    """Return when the next measurement is due; those under way wake the run by themselves."""
    results = {result.name: result for result in status.metric_results}
    times = [
        due_at(metric, results.get(metric.name), status.started_at)
        for metric in metrics
        if metric.name not in busy
    ]
    return min((time for time in times if time is not None), default=None)


def settles_at(flights: Iterable[Flight], findings: Iterable[Finding]) -> Instant | None:
    """Return until when what is found waits for what is under way; None when nothing is."""
    begun = [flight.begun_at for flight in flights]
    if not begun:
        return None
    # A chain of rounds that overlap must not keep a finding waiting for ever.
    found = [finding.found_at for finding in findings]
    return Instant(min([max(begun), *found]) + SETTLE_SECONDS)
