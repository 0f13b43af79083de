"""Judges measurements and metrics (analysis 4.2, 4.3, 6).

Called by the measuring shell for one answer of a provider, and by `assess` for the metrics of a
run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from analysis_runner.core.samples import Answer, Judged, Samples, Unfinished
from headrace.expression.conditions import evaluate_conditions
from headrace.model.analysis import AnalysisPhase, Measurement, Metric, MetricResult, is_completed
from headrace.model.quantities import Instant, int_value

CONSECUTIVE_ERROR_LIMIT: Final = 4
"""Source: analysis 1."""

TERMINATED: Final = "Metric Terminated"

TEXT_LENGTH_MAX: Final = 8_192
"""Characters of a value, message or datum of a measurement that are kept.

A status that the API server refuses for its size would leave the run without a verdict for ever:
etcd takes 1.5 MB an object, and every metric keeps ten measurements and more.
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """Which limit of a metric is exceeded.

    Attributes:
        phase: What follows from it; Successful when none is.
        text: Why; empty when none is.
    """

    phase: AnalysisPhase = AnalysisPhase.SUCCESSFUL
    text: str = ""


def judge(metric: Metric, answer: Answer, *, started_at: Instant, now: Instant) -> Measurement:
    """Return the measurement that an answer is.

    Args:
        metric: With its arguments, secrets included, in place.
        answer: Of its provider.
        started_at: When the measurement began.
        now: When the answer came.
    """
    match answer:
        case Samples(result, text, metadata):
            verdict = evaluate_conditions(
                result, metric.success_condition, metric.failure_condition, now=now
            )
            if verdict.phase == "Error":
                return failure(verdict.message, started_at=started_at, now=now)
            return Measurement(
                phase=verdict.phase,
                value=_bounded(text),
                metadata=_copy(metadata),
                started_at=started_at,
                finished_at=now,
            )
        case Judged(phase, message, value, metadata):
            return Measurement(
                phase=phase,
                message=_bounded(message),
                value=_bounded(value),
                metadata=_copy(metadata),
                started_at=started_at,
                finished_at=now,
            )
        case Unfinished(resume_at, metadata, message):
            return Measurement(
                phase=AnalysisPhase.RUNNING,
                message=_bounded(message),
                metadata=_copy(metadata),
                started_at=started_at,
                resume_at=resume_at,
            )


def failure(message: str, *, started_at: Instant, now: Instant) -> Measurement:
    """Return a measurement that has no result."""
    return Measurement(
        phase=AnalysisPhase.ERROR,
        message=_bounded(message),
        started_at=started_at,
        finished_at=now,
    )


def terminated(measurement: Measurement) -> Measurement:
    """Return what becomes of a measurement that was ended before its time."""
    if measurement.phase in (AnalysisPhase.SUCCESSFUL, AnalysisPhase.INCONCLUSIVE):
        return measurement.model_copy(update={"message": TERMINATED})
    return measurement


def measured_count(result: MetricResult | None) -> int:
    """Return how many measurements of a metric are over: the index of the next one."""
    return result.count + result.error if result is not None else 0


def last_measurement(result: MetricResult | None) -> Measurement | None:
    """Return the newest measurement, None before the first."""
    return result.measurements[-1] if result is not None and result.measurements else None


def is_unfinished(measurement: Measurement | None) -> bool:
    """Return whether a measurement waits to be resumed."""
    return measurement is not None and not is_completed(measurement.phase)


def record(result: MetricResult, measurement: Measurement) -> MetricResult:
    """Return a result with one more measurement, or with its unfinished one replaced."""
    kept = result.measurements
    if is_unfinished(last_measurement(result)):
        kept = kept[:-1]
    counters = _counters(result, measurement.phase)
    return result.model_copy(update={"measurements": (*kept, measurement), **counters})


def limit_of(metric: Metric, result: MetricResult) -> Limit:
    """Return which limit is exceeded; a later one overrides an earlier (analysis 4.3, 4)."""
    limit = Limit()
    failures = int_value(metric.failure_limit)
    if failures >= 0 and result.failed > failures:
        text = f"failed ({result.failed}) > failureLimit ({failures})"
        limit = Limit(AnalysisPhase.FAILED, text)
    inconclusive = int_value(metric.inconclusive_limit)
    if result.inconclusive > inconclusive:
        text = f"inconclusive ({result.inconclusive}) > inconclusiveLimit ({inconclusive})"
        limit = Limit(AnalysisPhase.INCONCLUSIVE, text)
    errors = CONSECUTIVE_ERROR_LIMIT
    if metric.consecutive_error_limit is not None:
        errors = int_value(metric.consecutive_error_limit)
    if result.consecutive_error > errors:
        text = f"consecutiveErrors ({result.consecutive_error}) > consecutiveErrorLimit ({errors})"
        limit = Limit(AnalysisPhase.ERROR, text)
    return limit


def phase_of(metric: Metric, result: MetricResult, *, is_terminating: bool) -> AnalysisPhase:
    """Return the phase of a metric: the first rule of analysis 4.3 that matches."""
    if is_completed(result.phase):
        return AnalysisPhase(result.phase)
    if not result.measurements:
        return AnalysisPhase.SUCCESSFUL if is_terminating else AnalysisPhase.PENDING
    if is_unfinished(last_measurement(result)):
        return AnalysisPhase.RUNNING
    limit = limit_of(metric, result)
    if limit.text:
        return limit.phase
    successes = int_value(metric.consecutive_success_limit)
    if 0 < successes <= result.consecutive_success:
        return AnalysisPhase.SUCCESSFUL
    if has_enough(metric, result):
        return _phase_at_count(metric)
    return AnalysisPhase.SUCCESSFUL if is_terminating else AnalysisPhase.RUNNING


def has_enough(metric: Metric, result: MetricResult) -> bool:
    """Return whether the metric's count is reached; errors do not count."""
    count = metric.effective_count()
    return count is not None and result.count >= count


def _phase_at_count(metric: Metric) -> AnalysisPhase:
    has_failures = int_value(metric.failure_limit) >= 0
    has_successes = int_value(metric.consecutive_success_limit) > 0
    if has_failures and has_successes:
        return AnalysisPhase.INCONCLUSIVE
    return AnalysisPhase.FAILED if has_successes else AnalysisPhase.SUCCESSFUL


def _counters(result: MetricResult, phase: str) -> dict[str, int]:
    match phase:
        case AnalysisPhase.SUCCESSFUL:
            return {
                "successful": result.successful + 1,
                "count": result.count + 1,
                "consecutive_error": 0,
                "consecutive_success": result.consecutive_success + 1,
            }
        case AnalysisPhase.FAILED:
            own = {"failed": result.failed + 1}
        case AnalysisPhase.INCONCLUSIVE:
            own = {"inconclusive": result.inconclusive + 1}
        case AnalysisPhase.ERROR:
            return {
                "error": result.error + 1,
                "consecutive_error": result.consecutive_error + 1,
                "consecutive_success": 0,
            }
        case _:
            return {}
    return {**own, "count": result.count + 1, "consecutive_error": 0, "consecutive_success": 0}


def _copy(metadata: Mapping[str, str] | None) -> dict[str, str] | None:
    if metadata is None:
        return None
    return {name: _bounded(text) for name, text in metadata.items()}


def _bounded(text: str) -> str:
    return text if len(text) <= TEXT_LENGTH_MAX else f"{text[: TEXT_LENGTH_MAX - 1]}…"
