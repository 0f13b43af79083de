"""Gauges about AnalysisRuns, read from the cache when they are scraped (cli-and-clients 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from analysis_runner.core.examine import names_matching
from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import AnalysisPhase
from headrace.model.provider_kinds import metric_types
from headrace.runtime.metrics import Metrics, Reading
from headrace.runtime.store import Store

_PHASES: Final = tuple(str(phase) for phase in AnalysisPhase)


def export_gauges(metrics: Metrics, runs: Store) -> None:
    """Let the gauges of AnalysisRuns be read from their cache."""
    metrics.sample("analysis_run_info", lambda: _each(runs, _info))
    metrics.sample("analysis_run_phase", lambda: _each(runs, _phase))
    metrics.sample("analysis_run_metric_type", lambda: _each(runs, _types))
    metrics.sample("analysis_run_metric_phase", lambda: _each(runs, _metric_phases))


def _each(runs: Store, read: Callable[[Manifest], Iterable[Reading]]) -> Iterator[Reading]:
    for run in runs.list():
        metadata = run["metadata"]
        owner = (metadata.get("namespace", ""), metadata["name"])
        for labels, value in read(run):
            yield (*owner, *labels), value


def _info(run: Manifest) -> Iterator[Reading]:
    yield (str((run.get("status") or {}).get("phase", "")),), 1.0


def _phase(run: Manifest) -> Iterator[Reading]:
    current = (run.get("status") or {}).get("phase") or AnalysisPhase.PENDING
    for phase in _PHASES:
        yield (phase,), float(phase == current)


def _types(run: Manifest) -> Iterator[Reading]:
    for name, kind in _metric_types(run).items():
        yield (name, kind), 1.0


def _metric_phases(run: Manifest) -> Iterator[Reading]:
    """One series per metric of the spec and phase; pending before its first measurement."""
    results = {each["name"]: each for each in (run.get("status") or {}).get("metricResults") or ()}
    types = _metric_types(run)
    rules = (run.get("spec") or {}).get("dryRun") or ()
    dry = {name for rule in rules for name in names_matching(rule["metricName"], types)}
    for name, kind in types.items():
        result = results.get(name) or {}
        is_dry_run = "true" if name in dry else "false"
        current = result.get("phase") or AnalysisPhase.PENDING
        for phase in _PHASES:
            yield (name, kind, is_dry_run, phase), float(phase == current)


def _metric_types(run: Manifest) -> dict[str, str]:
    return metric_types(run.get("spec") or {})
