"""Validation of the metrics of a run, arguments in place (analysis 5)."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.model.analysis import Metric
from headrace.model.provider_kinds import configured_count
from headrace.model.quantities import int_value, parse_duration_nanoseconds


def find_problem(metrics: Sequence[Metric]) -> str:
    """Return what is wrong with the metrics of a run, an empty text when nothing is.

    The first problem counts; the order is that of analysis 5.
    """
    if not metrics:
        return "no metrics specified"
    names: set[str] = set()
    for index, metric in enumerate(metrics):
        if metric.name in names:
            return f"metrics[{index}]: duplicate name '{metric.name}'"
        names.add(metric.name)
        problem = _limits(metric) or _counts(metric) or _times(metric) or _provider(metric)
        if problem:
            return f"metrics[{index}]: {problem}"
    return ""


def _limits(metric: Metric) -> str:
    failure_limit = int_value(metric.failure_limit)
    success_limit = int_value(metric.consecutive_success_limit)
    if success_limit < 0:
        return "consecutiveSuccessLimit must be >= 0"
    if failure_limit < -1:
        return "failureLimit must be >= 0, or -1 to be disabled"
    if success_limit == 0 and failure_limit == -1:
        return "failureLimit and consecutiveSuccessLimit cannot both be disabled"
    if int_value(metric.inconclusive_limit) < 0:
        return "inconclusiveLimit must be >= 0"
    if metric.consecutive_error_limit is not None and int_value(metric.consecutive_error_limit) < 0:
        return "consecutiveErrorLimit must be >= 0"
    return ""


def _counts(metric: Metric) -> str:
    count = int_value(metric.count)
    if count <= 0:
        return ""
    failures = int_value(metric.failure_limit)
    successes = int_value(metric.consecutive_success_limit)
    if failures >= 0 and count < failures + successes:
        return (
            f"count ({count}) must be >= failureLimit + consecutiveSuccessLimit "
            f"({failures} + {successes}) if both >= 0"
        )
    if failures < 0 and count < successes:
        return "count must be >= consecutiveSuccessLimit"
    if count < int_value(metric.inconclusive_limit):
        return "count must be >= inconclusiveLimit"
    if count > 1 and not metric.interval:
        return "interval must be specified when count > 1"
    return ""


def _times(metric: Metric) -> str:
    for kind, text in (("interval", metric.interval), ("startDelay", metric.initial_delay)):
        if text:
            try:
                parse_duration_nanoseconds(text)
            except ValueError as error:
                return f"invalid {kind} string: {error}"
    return ""


def _provider(metric: Metric) -> str:
    count = configured_count(metric.provider)
    if count == 1:
        return ""
    return "multiple providers specified" if count else "no provider specified"
