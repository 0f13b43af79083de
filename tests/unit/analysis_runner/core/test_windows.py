"""When metrics are measured (analysis 4.1, 4.7)."""

from __future__ import annotations

from typing import Any

import pytest

from analysis_runner.core.observed import Finding, Flight, Step
from analysis_runner.core.windows import due_asks, due_at, ending_asks, next_look, settles_at
from headrace.model.analysis import AnalysisRunStatus, Measurement, Metric, MetricResult
from headrace.model.quantities import Instant

T = 1000.0


def metric(name: str = "m", **fields: Any) -> Metric:
    return Metric.load({"name": name, "provider": {"prometheus": {"query": "up"}}, **fields})


def result(phase: str = "Successful", **fields: Any) -> MetricResult:
    measured = Measurement(phase=phase, started_at=Instant(T - 1), finished_at=Instant(T))
    defaults: dict[str, Any] = {"name": "m", "phase": "Running", "count": 1}
    return MetricResult(**{**defaults, "measurements": (measured,), **fields})


def status(*results: MetricResult, started_at: float | None = T - 60) -> AnalysisRunStatus:
    return AnalysisRunStatus(
        phase="Running",
        metric_results=results,
        started_at=None if started_at is None else Instant(started_at),
    )


@pytest.mark.parametrize(
    ("fields", "found", "due"),
    [
        ({"interval": "30s"}, result(), T + 30),
        ({"interval": "30s"}, result("Failed"), T + 30),
        ({"interval": "30s"}, result("Error", count=0, error=1), T + 10),
        ({}, result("Error", count=0, error=1), T + 10),
        ({"interval": "30s", "count": 2}, result(), T + 30),
        ({"interval": "30s", "count": 1}, result(), None),
        ({}, result(), None),
        ({"interval": "30s"}, result(phase="Successful"), T + 30),
        ({"interval": "200ms"}, result(), T + 0.2),
    ],
)
def test_the_interval_begins_when_a_measurement_ends(
    fields: dict[str, Any], found: MetricResult, due: float | None
) -> None:
    assert due_at(metric(**fields), found, Instant(T - 60)) == due


def test_a_metric_that_is_over_is_never_due() -> None:
    over = result().model_copy(update={"phase": "Failed"})
    assert due_at(metric(interval="1s"), over, Instant(T)) is None


def test_the_first_measurement_waits_for_the_initial_delay() -> None:
    delayed = metric(initialDelay="1m")
    assert due_at(delayed, None, None) is None
    assert due_at(delayed, None, Instant(T)) == T + 60
    assert due_asks([delayed], status(started_at=None), (), Instant(T)) == ()
    assert due_asks([delayed], status(started_at=T - 59), (), Instant(T)) == ()
    assert len(due_asks([delayed], status(started_at=T - 60), (), Instant(T))) == 1


def test_without_delay_it_is_due_before_the_run_is_started() -> None:
    (ask,) = due_asks([metric()], status(started_at=None), (), Instant(T))
    assert (ask.step, ask.index, ask.unfinished) == (Step.RUN, 0, None)


def test_the_index_counts_errors_too() -> None:
    found = result("Error", count=3, error=2)
    (ask,) = due_asks([metric(interval="1s")], status(found), (), Instant(T + 10))
    assert ask.index == 5


def test_a_busy_metric_is_not_asked() -> None:
    metrics = [metric("a"), metric("b")]
    asks = due_asks(metrics, status(), {"a"}, Instant(T))
    assert [ask.metric for ask in asks] == ["b"]


def unfinished(resume_at: float | None) -> MetricResult:
    measurement = Measurement(
        phase="Running", resume_at=None if resume_at is None else Instant(resume_at)
    )
    return MetricResult(name="m", phase="Running", measurements=(measurement,))


@pytest.mark.parametrize(("resume_at", "is_due"), [(T, True), (T + 1, False), (None, True)])
def test_an_unfinished_measurement_is_resumed_at_its_time(
    resume_at: float | None, is_due: bool
) -> None:
    asks = due_asks([metric()], status(unfinished(resume_at)), (), Instant(T))
    assert [ask.step for ask in asks] == ([Step.RESUME] if is_due else [])
    assert next_look([metric()], status(unfinished(resume_at)), ()) == resume_at


def test_a_terminating_run_ends_what_is_unfinished() -> None:
    (ask,) = ending_asks([metric()], status(unfinished(T + 60)), ())
    assert ask.step == Step.TERMINATE
    assert ask.unfinished is not None
    assert ending_asks([metric()], status(result()), ()) == ()
    assert ending_asks([metric()], status(unfinished(T)), {"m"}) == ()
    assert ending_asks([metric("other")], status(unfinished(T)), ()) == ()


def test_the_next_look_is_the_earliest() -> None:
    metrics = [metric(interval="30s"), metric("b", initialDelay="2m"), metric("c")]
    found = status(result(), started_at=T - 60)
    assert next_look(metrics, found, {"c"}) == T + 30
    assert next_look(metrics, found, {"c", "m"}) == T + 60
    assert next_look(metrics, found, {"c", "m", "b"}) is None


def flight(begun_at: float) -> Flight:
    return Flight(Step.RUN, 0, Instant(begun_at))


def finding(found_at: float) -> Finding:
    return Finding("m", flight(T), Measurement(phase="Successful"), Instant(found_at))


@pytest.mark.parametrize(
    ("flights", "findings", "settles"),
    [
        ([], [finding(T)], None),
        ([flight(T)], [], T + 0.2),
        ([flight(T - 5)], [finding(T)], T - 4.8),
        ([flight(T), flight(T - 5)], [finding(T + 0.1)], T + 0.2),
        # Overlapping rounds do not keep the first finding waiting.
        ([flight(T)], [finding(T - 0.15)], T + 0.05),
    ],
)
def test_findings_wait_a_moment_for_their_round(
    flights: list[Flight], findings: list[Finding], settles: float | None
) -> None:
    assert settles_at(flights, findings) == (None if settles is None else pytest.approx(settles))
