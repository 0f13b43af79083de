"""From results to the status of a run (analysis 4.2 to 4.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from analysis_runner.core.examine import Examined
from analysis_runner.core.judge import (
    last_measurement,
    limit_of,
    measured_count,
    phase_of,
    record,
)
from analysis_runner.core.observed import Finding, Observed
from analysis_runner.core.plan import PlannedEvent
from headrace.model.analysis import (
    AnalysisPhase,
    AnalysisRunStatus,
    Metric,
    MetricResult,
    RunSummary,
    is_completed,
    is_worse,
)
from headrace.model.quantities import Instant

_RUN_TERMINATED = "Run Terminated"
_ENDS_A_RUN = (AnalysisPhase.FAILED, AnalysisPhase.ERROR, AnalysisPhase.INCONCLUSIVE)
_WARNINGS = (AnalysisPhase.FAILED, AnalysisPhase.ERROR)
_SUMMARY_FIELD: Mapping[str, str] = {
    AnalysisPhase.FAILED: "failed",
    AnalysisPhase.INCONCLUSIVE: "inconclusive",
    AnalysisPhase.ERROR: "error",
}


def is_terminating(observed: Observed) -> bool:
    """Return whether measuring ends: by a user, or since a metric that counts has failed."""
    return observed.is_terminating or any(
        result.phase in _ENDS_A_RUN and not result.dry_run
        for result in observed.status.metric_results
    )


def is_current(finding: Finding, results: Mapping[str, MetricResult]) -> bool:
    """Return whether a finding is of the measurement that its metric waits for."""
    result = results.get(finding.metric)
    is_open = result is None or not is_completed(result.phase)
    return is_open and measured_count(result) == finding.flight.index


def assess(
    observed: Observed, findings: Iterable[Finding], *, now: Instant
) -> tuple[AnalysisRunStatus, tuple[PlannedEvent, ...]]:
    """Return the status that follows from the stored one and some findings, and its Events.

    Whether the run is terminating is told by the stored status: when one metric fails, the run
    stays Running for one more pass, in which the others are ended (analysis 4.4).
    """
    examined = observed.examined
    terminating = is_terminating(observed)
    results = {result.name: result for result in observed.status.metric_results}
    for finding in findings:
        if is_current(finding, results):
            results[finding.metric] = _recorded(finding, results, examined)
    tally = _Tally(message=_RUN_TERMINATED if observed.is_terminating else "")
    for metric in examined.metrics:
        is_dry_run = metric.name in examined.dry_run
        result = results.get(metric.name)
        if result is not None:
            result = tally.take(metric, result, is_dry_run=is_dry_run, is_terminating=terminating)
            results[metric.name] = _trimmed(result, examined.retention(metric.name))
        tally.count(metric, result, is_dry_run=is_dry_run)
    phase, message = tally.run_phase(is_terminating=terminating)
    status = observed.status.model_copy(
        update={
            "metric_results": _in_order(results, observed.status, examined.metrics),
            "started_at": now if observed.status.started_at is None else observed.status.started_at,
            "run_summary": RunSummary(**tally.summary),
            "dry_run_summary": RunSummary(**tally.dry_run_summary),
        }
    )
    events = tuple(tally.events)
    if phase != status.phase:
        status = status.model_copy(update={"phase": str(phase), "message": message})
        if is_completed(phase):
            status = status.model_copy(update={"completed_at": now})
            events = (*events, completion_event(phase))
    return status, events


def completion_event(phase: AnalysisPhase) -> PlannedEvent:
    """Return the Event that a run writes when it is over."""
    text = f"Analysis Completed. Result: {phase}"
    return PlannedEvent(f"AnalysisRun{phase}", text, _event_type(phase))


def _recorded(
    finding: Finding, results: Mapping[str, MetricResult], examined: Examined
) -> MetricResult:
    result = results.get(finding.metric)
    if result is None:
        result = MetricResult(
            name=finding.metric,
            phase=AnalysisPhase.RUNNING,
            dry_run=finding.metric in examined.dry_run,
            metadata=dict(finding.metadata),
        )
    return record(result, finding.measurement)


def _trimmed(result: MetricResult, kept: int) -> MetricResult:
    if len(result.measurements) <= kept:
        return result
    return result.model_copy(update={"measurements": result.measurements[-kept:]})


def _in_order(
    results: Mapping[str, MetricResult], status: AnalysisRunStatus, metrics: Sequence[Metric]
) -> tuple[MetricResult, ...]:
    """Return the results as they stand, new ones behind them in the order of the spec."""
    known = [result.name for result in status.metric_results]
    new = [metric.name for metric in metrics if metric.name not in known]
    return tuple(results[name] for name in (*known, *new) if name in results)


def _event_type(phase: AnalysisPhase) -> str:
    return "Warning" if phase in _WARNINGS else "Normal"


@dataclass(slots=True)
class _Tally:
    """What is known of the run while its metrics are gone through, in order."""

    message: str
    worst: AnalysisPhase | None = None
    is_complete: bool = True
    events: list[PlannedEvent] = field(default_factory=list)
    summary: dict[str, int] = field(default_factory=lambda: {"count": 0})
    dry_run_summary: dict[str, int] = field(default_factory=lambda: {"count": 0})

    def take(
        self, metric: Metric, result: MetricResult, *, is_dry_run: bool, is_terminating: bool
    ) -> MetricResult:
        """Return a result with its phase as it is now, and note what it means for the run."""
        phase = phase_of(metric, result, is_terminating=is_terminating)
        if phase != result.phase:
            result = self._changed(result, phase)
        if not is_completed(phase):
            return result
        limit = limit_of(metric, result)
        if is_dry_run:
            if self.worst is None:
                self.worst = AnalysisPhase.SUCCESSFUL
            if limit.text:
                text = f"Metric assessed {phase} due to {limit.text}"
                result = result.model_copy(update={"message": text})
        elif self.worst is None or is_worse(phase, self.worst):
            self.worst = phase
            if limit.text:
                self.message = f'Metric "{metric.name}" assessed {phase} due to {limit.text}'
                if result.message:
                    self.message += f': "Error Message: {result.message}"'
        return result

    def count(self, metric: Metric, result: MetricResult | None, *, is_dry_run: bool) -> None:
        """Count a metric in the summary of its kind."""
        summary = self.dry_run_summary if is_dry_run else self.summary
        summary["count"] += 1
        if result is None or not is_completed(result.phase):
            self.is_complete = False
            return
        outcome = _SUMMARY_FIELD.get(limit_of(metric, result).phase, "successful")
        summary[outcome] = summary.get(outcome, 0) + 1

    def run_phase(self, *, is_terminating: bool) -> tuple[AnalysisPhase, str]:
        """Return phase and message of the run."""
        if is_terminating:
            return self.worst or AnalysisPhase.SUCCESSFUL, self.message
        if not self.is_complete or self.worst is None:
            return AnalysisPhase.RUNNING, ""
        return self.worst, self.message

    def _changed(self, result: MetricResult, phase: AnalysisPhase) -> MetricResult:
        last = last_measurement(result)
        message = result.message if last is None else last.message
        if is_completed(phase):
            text = f"Metric '{result.name}' Completed. Result: {phase}"
            self.events.append(PlannedEvent(f"Metric{phase}", text, _event_type(phase)))
        return result.model_copy(update={"phase": str(phase), "message": message})
