"""What a run asks for, once its arguments are in place and its rules are matched.

It depends on the spec alone, so a shell may keep it as long as the spec is the same.

Source: analysis 4, steps 2 to 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from analysis_runner.core.arguments import ArgumentError, resolve_metrics
from analysis_runner.core.validation import find_problem
from headrace.expression.errors import CompileError
from headrace.expression.regexes import cached_pattern
from headrace.model.analysis import AnalysisRunSpec, Metric

RETAINED_DEFAULT: Final = 10
"""Measurements kept per metric where no rule says otherwise (analysis 4.6)."""

_INVALID: Final = "Analysis spec invalid"
_UNRESOLVED: Final = "Unable to resolve metric arguments"


@dataclass(frozen=True, slots=True)
class Examined:
    """A spec that can be measured, or why it cannot.

    Attributes:
        metrics: With arguments in place; a placeholder stands for secrets.
        dry_run: Names of the metrics whose outcome does not count.
        retained: How many measurements a metric keeps, where a rule says so.
        problem: Why nothing can be measured, as the run's message; empty when it can.
    """

    metrics: tuple[Metric, ...] = ()
    dry_run: frozenset[str] = frozenset()
    retained: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""

    def retention(self, name: str) -> int:
        """Return how many measurements of a metric are kept, >= 1."""
        return self.retained.get(name, RETAINED_DEFAULT)


def examine(spec: AnalysisRunSpec, raw_metrics: Sequence[Mapping[str, Any]]) -> Examined:
    """Return what a spec asks for.

    Args:
        spec: As it was decoded, placeholders included.
        raw_metrics: The same metrics as JSON.
    """
    try:
        metrics = resolve_metrics(raw_metrics, spec.args)
    except ArgumentError as error:
        return Examined(problem=unresolved(str(error)))
    problem = find_problem(metrics)
    if problem:
        return Examined(problem=f"{_INVALID}: {problem}")
    names = [metric.name for metric in metrics]
    dry_run: set[str] = set()
    for index, rule in enumerate(spec.dry_run):
        matched = names_matching(rule.metric_name, names)
        if not matched:
            return Examined(problem=_no_match("dryRun", index))
        dry_run.update(matched)
    retained: dict[str, int] = {}
    for index, retention in enumerate(spec.measurement_retention):
        matched = names_matching(retention.metric_name, names)
        if not matched:
            return Examined(problem=_no_match("measurementRetention", index))
        retained.update(dict.fromkeys(matched, retention.limit))
    kept = {name: limit for name, limit in retained.items() if limit > 0}
    return Examined(metrics, frozenset(dry_run), kept)


def invalid(text: str) -> str:
    """Return the message of a run whose spec cannot be read."""
    return f"{_INVALID}: {text}"


def unresolved(text: str) -> str:
    """Return the message of a run whose arguments cannot be resolved."""
    return f"{_UNRESOLVED}: {text}"


def names_matching(rule: str, names: Iterable[str]) -> list[str]:
    """Return the names of metrics that a rule is found in; an invalid one is found nowhere."""
    try:
        pattern = cached_pattern(rule)
    except CompileError:
        return []
    return [name for name in names if pattern.search(name) is not None]


def _no_match(kind: str, index: int) -> str:
    return f"{_INVALID}: {kind}[{index}]: Rule didn't match any metric name(s)"
