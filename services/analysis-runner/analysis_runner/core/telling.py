"""The facts that the status of a run shows: the runner's outbox.

A measurement or verdict is written first and said then. What the bus does not have is found by
comparing the status with what was said; after a restart all that recent runs show is said again,
under the same ids.

Source: architecture, "Topics and events" (outbox).
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis_runner.core.judge import measured_count
from analysis_runner.core.observed import About, Observed, Told
from headrace.events.analysis import AnalysisJudged, AnalysisMeasured, RunFact
from headrace.model.analysis import AnalysisRunStatus, MetricResult, is_completed
from headrace.model.quantities import Instant


def is_worth_telling(observed: Observed, now: Instant) -> bool:
    """Return whether the facts of a run are owed to the bus, if it does not have them.

    Runs that were over long before this process began are left in peace: else each restart would
    say the whole history of the cluster again.
    """
    status, told = observed.status, observed.told
    if not is_completed(status.phase) or (told is not None and told.is_followed):
        return True
    # A run that could not be measured has no completedAt.
    ended_at = status.completed_at or observed.created_at
    return now - ended_at <= observed.say_again_seconds


def unsaid(
    about: About, status: AnalysisRunStatus, resource_version: str, told: Told
) -> Iterator[RunFact]:
    """Yield the facts that the status shows and that the bus does not have, in order.

    Args:
        about: Whom they are about.
        status: As it is stored.
        resource_version: Of the run with this status.
        told: What the bus has.
    """
    common = {
        "namespace": about.namespace,
        "rollout": about.rollout,
        "uid": about.uid,
        "revision": about.revision,
        "pod_hash": about.pod_hash,
        "run": about.run,
        "run_uid": about.run_uid,
        "resource_version": resource_version,
    }
    for result in status.metric_results:
        yield from _measurements(result, told.measured.get(result.name, 0), common)
    if is_completed(status.phase) and not told.is_judged:
        yield AnalysisJudged(
            **common,
            reason=f"AnalysisRun{status.phase}",
            message=status.message,
            phase=status.phase,
            started_at=status.started_at,
            completed_at=status.completed_at,
            run_summary=status.run_summary,
            dry_run_summary=status.dry_run_summary,
        )


def _measurements(
    result: MetricResult, said: int, common: dict[str, str]
) -> Iterator[AnalysisMeasured]:
    total = measured_count(result)
    if said >= total:
        return
    finished = [each for each in result.measurements if is_completed(each.phase)]
    for index, measurement in enumerate(finished, start=total - len(finished)):
        if index >= said:
            yield AnalysisMeasured(
                **common,
                message=measurement.message,
                metric=result.name,
                index=index,
                phase=measurement.phase,
                value=measurement.value,
                started_at=measurement.started_at,
                finished_at=measurement.finished_at,
                is_dry_run=result.dry_run,
            )
