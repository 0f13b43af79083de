"""The facts that a status shows."""

from __future__ import annotations

from analysis_runner.core.observed import About, Told
from analysis_runner.core.telling import unsaid
from headrace.events.analysis import AnalysisJudged, AnalysisMeasured
from headrace.model.analysis import AnalysisRunStatus, Measurement, MetricResult, RunSummary
from headrace.model.quantities import Instant

ABOUT = About("shop", "web", "rollout-uid", "3", "abc", "web-1", "run-uid")


def result(*phases: str, count: int, error: int = 0) -> MetricResult:
    measurements = tuple(Measurement(phase=phase, value=f"[{phase}]") for phase in phases)
    return MetricResult(
        name="m", phase="Running", measurements=measurements, count=count, error=error
    )


def status(phase: str, *results: MetricResult) -> AnalysisRunStatus:
    return AnalysisRunStatus(
        phase=phase,
        message="why",
        metric_results=results,
        started_at=Instant(10.0),
        completed_at=Instant(20.0),
        run_summary=RunSummary(count=1, failed=1),
        dry_run_summary=RunSummary(),
    )


def test_indexes_go_on_where_the_history_was_trimmed() -> None:
    shown = status("Running", result("Successful", "Error", "Failed", count=10, error=3))
    facts = list(unsaid(ABOUT, shown, "7", Told()))
    assert [fact.index for fact in facts if isinstance(fact, AnalysisMeasured)] == [10, 11, 12]


def test_an_unfinished_measurement_is_no_fact() -> None:
    shown = status("Running", result("Successful", "Running", count=1))
    facts = list(unsaid(ABOUT, shown, "7", Told()))
    assert [fact.index for fact in facts if isinstance(fact, AnalysisMeasured)] == [0]


def test_says_only_what_the_bus_does_not_have() -> None:
    shown = status("Failed", result("Successful", "Failed", count=2))
    (measured, judged) = unsaid(ABOUT, shown, "7", Told({"m": 1}))
    assert isinstance(measured, AnalysisMeasured)
    assert (measured.index, measured.value) == (1, "[Failed]")
    assert isinstance(judged, AnalysisJudged)
    assert list(unsaid(ABOUT, shown, "7", Told({"m": 2}, is_judged=True))) == []


def test_a_verdict_says_all_of_the_status() -> None:
    (judged,) = unsaid(ABOUT, status("Failed"), "7", Told())
    assert judged == AnalysisJudged(
        namespace="shop",
        rollout="web",
        uid="rollout-uid",
        revision="3",
        pod_hash="abc",
        reason="AnalysisRunFailed",
        message="why",
        run="web-1",
        run_uid="run-uid",
        resource_version="7",
        phase="Failed",
        started_at=Instant(10.0),
        completed_at=Instant(20.0),
        run_summary=RunSummary(count=1, failed=1),
        dry_run_summary=RunSummary(),
    )


def test_ids_depend_on_nothing_but_the_fact() -> None:
    shown = status("Failed", result("Failed", count=1))
    first = [fact.event_id() for fact in unsaid(ABOUT, shown, "7", Told())]
    again = [fact.event_id() for fact in unsaid(ABOUT, shown, "9", Told())]
    assert first == again
    assert len(set(first)) == 2
