"""Any measurements in any order: a run ends as its limits say, and its counters add up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_runner.core.decide import decide
from analysis_runner.core.examine import examine
from analysis_runner.core.invariants import check
from analysis_runner.core.judge import measured_count
from analysis_runner.core.observed import About, Finding, Flight, Observed, Told
from analysis_runner.core.telling import unsaid
from headrace.model.analysis import (
    AnalysisRunSpec,
    AnalysisRunStatus,
    Measurement,
    is_completed,
)
from headrace.model.quantities import Instant

ABOUT = About("shop", "run", "uid", "", "", "run", "uid")
PHASES = ("Successful", "Failed", "Inconclusive", "Error", "Running")
STEPS_MAX = 60


@st.composite
def metrics(draw: st.DrawFn, name: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": name, "provider": {"prometheus": {"query": "up"}}}
    if draw(st.booleans()):
        fields["interval"] = draw(st.sampled_from(["100ms", "1s", "1m"]))
        fields["count"] = draw(st.integers(0, 5))
    limits = ("failureLimit", "inconclusiveLimit", "consecutiveErrorLimit")
    for limit in limits:
        if draw(st.booleans()):
            fields[limit] = draw(st.integers(0, 3))
    if draw(st.booleans()):
        fields["consecutiveSuccessLimit"] = draw(st.integers(0, 3))
        fields["failureLimit"] = draw(st.integers(-1, 2))
    if draw(st.booleans()):
        fields["initialDelay"] = draw(st.sampled_from(["0s", "5s"]))
    return fields


@st.composite
def runs(draw: st.DrawFn) -> Observed:
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    raw = [draw(metrics(name)) for name in names]
    dry_run = [{"metricName": name} for name in names if draw(st.integers(0, 3)) == 0]
    spec = AnalysisRunSpec.load({"metrics": raw, "dryRun": dry_run})
    return Observed(
        key="shop/run",
        partition_key="shop/run",
        manifest={},
        about=ABOUT,
        resource_version="1",
        created_at=Instant(0.0),
        is_deleting=False,
        spec=spec,
        examined=examine(spec, raw),
        status=AnalysisRunStatus(),
    )


def _advance(run: Observed, now: Instant) -> Observed:
    """One pass; its effects are what the next one observes."""
    plan = decide(run, now=now)
    check(run, plan)
    assert decide(run, now=now) == plan
    flights = {name: each for name, each in run.flights.items() if name not in plan.abandon}
    flights.update({ask.metric: Flight(ask.step, ask.index, now) for ask in plan.asks})
    return replace(
        run,
        status=plan.claim or run.status,
        findings=tuple(each for each in run.findings if each.metric not in plan.taken),
        flights=flights,
    )


def _found(run: Observed, name: str, phase: str, now: Instant) -> Observed:
    flight = run.flights[name]
    is_over = phase != "Running"
    measurement = Measurement(
        phase=phase,
        started_at=flight.begun_at,
        finished_at=now if is_over else None,
        resume_at=None if is_over else Instant(now + 1),
    )
    finding = Finding(name, flight, measurement, now)
    flights = {other: each for other, each in run.flights.items() if other != name}
    return replace(run, flights=flights, findings=(*run.findings, finding))


def _check_counters(run: Observed) -> None:
    for result in run.status.metric_results:
        assert result.count == result.successful + result.failed + result.inconclusive
        finished = [each for each in result.measurements if is_completed(each.phase)]
        assert len(finished) <= 10
        assert len(finished) == min(10, measured_count(result)) or len(result.measurements) == 10
        assert result.consecutive_error <= result.error
        assert result.consecutive_success <= result.successful
    for summary in (run.status.run_summary, run.status.dry_run_summary):
        if summary is not None:
            outcomes = (summary.successful, summary.failed, summary.inconclusive, summary.error)
            assert sum(outcomes) <= summary.count


def _drive(data: st.DataObject, run: Observed) -> Observed:
    now = Instant(1_000.0)
    for _ in range(STEPS_MAX):
        run = _advance(run, now)
        _check_counters(run)
        if is_completed(run.status.phase):
            break
        choice = data.draw(st.integers(0, 9))
        if run.flights and choice < 7:
            name = data.draw(st.sampled_from(sorted(run.flights)))
            run = _found(run, name, data.draw(st.sampled_from(PHASES)), now)
        elif choice == 9 and data.draw(st.integers(0, 4)) == 0:
            assert run.spec is not None
            run = replace(run, spec=run.spec.model_copy(update={"terminate": True}))
        else:
            now = Instant(now + data.draw(st.sampled_from([0.05, 0.5, 3.0, 15.0, 70.0])))
    return run


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_counters_add_up_whatever_comes(data: st.DataObject) -> None:
    run = _drive(data, data.draw(runs()))
    if run.examined.problem:
        assert (run.status.phase, run.status.completed_at) == ("Error", None)
        return
    if not is_completed(run.status.phase):
        return
    assert run.status.completed_at is not None
    counted = [each for each in run.status.metric_results if not each.dry_run]
    phases = {each.phase for each in counted if is_completed(each.phase)}
    order = ("Failed", "Error", "Inconclusive", "Successful")
    assert run.status.phase == next((each for each in order if each in phases), "Successful")


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_run_that_is_over_stays_as_it_is(data: st.DataObject) -> None:
    run = _drive(data, data.draw(runs()))
    if is_completed(run.status.phase):
        for name in sorted(run.flights):
            run = _found(run, name, data.draw(st.sampled_from(PHASES)), Instant(1e6))
        assert _advance(run, Instant(1e6)).status == run.status


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_each_fact_has_one_id_for_ever(data: st.DataObject) -> None:
    run = _drive(data, data.draw(runs()))
    facts = list(unsaid(ABOUT, run.status, "1", Told()))
    ids = [fact.event_id() for fact in facts]
    assert len(ids) == len(set(ids))
    stored = AnalysisRunStatus.load(run.status.dump())
    assert ids == [fact.event_id() for fact in unsaid(ABOUT, stored, "2", Told())]


@given(st.permutations(["a", "b", "c"]), st.lists(st.sampled_from(PHASES[:4]), min_size=3))
@settings(max_examples=50, deadline=None)
def test_the_order_of_findings_of_a_round_does_not_matter(
    order: list[str], phases: list[str]
) -> None:
    raw = [{"name": name, "provider": {"prometheus": {"query": "up"}}} for name in "abc"]
    spec = AnalysisRunSpec.load({"metrics": raw})
    outcomes = dict(zip("abc", phases, strict=False))
    statuses = []
    for names in (order, ["a", "b", "c"]):
        run = Observed(
            key="shop/run",
            partition_key="shop/run",
            manifest={},
            about=ABOUT,
            resource_version="1",
            created_at=Instant(0.0),
            is_deleting=False,
            spec=spec,
            examined=examine(spec, raw),
            status=AnalysisRunStatus(),
        )
        now = Instant(1_000.0)
        run = _advance(run, now)
        for name in names:
            run = _advance(_found(run, name, outcomes[name], now), now)
        statuses.append(_advance(run, now).status)
    assert statuses[0] == statuses[1]
