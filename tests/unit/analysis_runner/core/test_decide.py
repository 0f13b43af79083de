"""What is done about a run, pass by pass (analysis 4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from analysis_runner.core.decide import decide
from analysis_runner.core.examine import examine
from analysis_runner.core.invariants import check
from analysis_runner.core.observed import About, Finding, Flight, Observed, Step, Told
from analysis_runner.core.plan import Plan, Reason
from headrace.model.analysis import (
    AnalysisRunSpec,
    AnalysisRunStatus,
    Measurement,
    MetricResult,
    RunSummary,
)
from headrace.model.quantities import Instant

T = Instant(1_000.0)
ABOUT = About("shop", "web", "rollout-uid", "1", "abc", "run", "run-uid")


def metric(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "provider": {"prometheus": {"query": "up"}}, **fields}


def observed(*metrics: dict[str, Any], **fields: Any) -> Observed:
    """A run as its user wrote it; `status` and what else is observed by keyword."""
    spec_fields = fields.pop("spec", {})
    spec = AnalysisRunSpec.load({"metrics": metrics, **spec_fields})
    defaults: dict[str, Any] = {
        "key": "shop/run",
        "partition_key": "shop/web",
        "manifest": {},
        "about": ABOUT,
        "resource_version": "7",
        "created_at": T,
        "is_deleting": False,
        "spec": spec,
        "examined": examine(spec, metrics),
        "status": AnalysisRunStatus(),
    }
    return Observed(**{**defaults, **fields})


def finding(name: str, phase: str, *, index: int = 0, message: str = "", at: float = T) -> Finding:
    finished_at = None if phase == "Running" else Instant(at)
    measurement = Measurement(
        phase=phase, message=message, started_at=Instant(at - 1), finished_at=finished_at
    )
    flight = Flight(Step.RUN, index, Instant(at - 1))
    return Finding(name, flight, measurement, Instant(at), {"query": name})


def ended(name: str, phase: str) -> Finding:
    """What came of the end of an unfinished measurement."""
    begun = finding(name, phase, message="Metric Terminated")
    return replace(begun, flight=replace(begun.flight, step=Step.TERMINATE))


def passed(before: Observed, *findings: Finding, now: float = T) -> tuple[Observed, Plan]:
    """One pass, and the run as it leaves it."""
    before = replace(before, findings=(*before.findings, *findings))
    plan = decide(before, now=Instant(now))
    check(before, plan)
    after = before
    if plan.claim is not None:
        after = replace(after, status=plan.claim)
    kept = tuple(each for each in before.findings if each.metric not in plan.taken)
    flights = {name: each for name, each in before.flights.items() if name not in plan.abandon}
    for ask in plan.asks:
        flights[ask.metric] = Flight(ask.step, ask.index, Instant(now))
    return replace(after, findings=kept, flights=flights), plan


def found(before: Observed, *findings: Finding, now: float = T) -> tuple[Observed, Plan]:
    """A pass after measurements under way have ended."""
    names = {each.metric for each in findings}
    flights = {name: each for name, each in before.flights.items() if name not in names}
    return passed(replace(before, flights=flights), *findings, now=now)


def reasons(plan: Plan) -> list[tuple[str, str, str]]:
    return [(event.type, event.reason, event.message) for event in plan.events]


# The first passes


def test_measures_first_and_claims_with_the_first_round() -> None:
    run, plan = passed(observed(metric("a"), metric("b")))
    assert [ask.metric for ask in plan.asks] == ["a", "b"]
    assert plan.claim is None
    assert plan.wake_at == pytest.approx(T + 0.2)
    run, plan = found(run, finding("a", "Successful"))
    assert plan.claim is None
    run, plan = found(run, finding("b", "Successful"))
    assert run.status.phase == "Successful"
    assert run.status.completed_at == T
    assert run.status.run_summary == RunSummary(count=2, successful=2)
    assert [result.name for result in run.status.metric_results] == ["a", "b"]


def test_claims_running_when_the_first_round_is_slow() -> None:
    run, _ = passed(observed(metric("a")))
    run, plan = passed(run, now=T + 0.2)
    assert (run.status.phase, run.status.message) == ("Running", "")
    assert run.status.started_at == T + 0.2
    assert run.status.run_summary == RunSummary(count=1)
    assert run.status.dry_run_summary == RunSummary()
    assert plan.asks == ()
    assert plan.wake_at is None


def test_starts_the_run_before_an_initial_delay() -> None:
    run, plan = passed(observed(metric("a", initialDelay="1m")))
    assert plan.asks == ()
    assert run.status.started_at == T
    assert plan.wake_at == T + 60
    run, plan = passed(run, now=T + 59.9)
    assert (plan.asks, plan.claim) == ((), None)
    _, plan = passed(run, now=T + 60)
    assert len(plan.asks) == 1


def test_the_first_result_shows_dry_run_and_metadata() -> None:
    rules = {"dryRun": [{"metricName": "a"}]}
    run, _ = passed(observed(metric("a", interval="1s"), spec=rules))
    run, _ = found(run, finding("a", "Successful"))
    (result,) = run.status.metric_results
    assert (result.phase, result.dry_run, result.metadata) == ("Running", True, {"query": "a"})


# Limits and messages


def test_a_failure_within_the_only_metric_ends_the_run_at_once() -> None:
    run, _ = passed(observed(metric("a", interval="1s", count=10)))
    run, plan = found(run, finding("a", "Failed", message="too slow"))
    assert run.status.phase == "Failed"
    assert run.status.message == (
        'Metric "a" assessed Failed due to failed (1) > failureLimit (0): "Error Message: too slow"'
    )
    assert run.status.metric_results[0].message == "too slow"
    assert run.status.run_summary == RunSummary(count=1, failed=1)
    assert reasons(plan) == [
        ("Warning", "MetricFailed", "Metric 'a' Completed. Result: Failed"),
        ("Warning", "AnalysisRunFailed", "Analysis Completed. Result: Failed"),
    ]


def test_one_failure_leaves_the_run_running_for_one_more_pass() -> None:
    run, _ = passed(observed(metric("a"), metric("b", interval="1s")))
    run, plan = found(run, finding("a", "Failed"), finding("b", "Successful"))
    assert run.status.phase == "Running"
    assert reasons(plan) == [("Warning", "MetricFailed", "Metric 'a' Completed. Result: Failed")]
    run, plan = passed(run)
    assert run.status.phase == "Failed"
    assert [result.phase for result in run.status.metric_results] == ["Failed", "Successful"]
    assert run.status.message == 'Metric "a" assessed Failed due to failed (1) > failureLimit (0)'
    assert run.status.run_summary == RunSummary(count=2, failed=1, successful=1)
    assert reasons(plan) == [
        ("Normal", "MetricSuccessful", "Metric 'b' Completed. Result: Successful"),
        ("Warning", "AnalysisRunFailed", "Analysis Completed. Result: Failed"),
    ]


def test_the_worst_metric_gives_phase_and_message() -> None:
    metrics = [metric("a"), metric("b"), metric("c", consecutiveErrorLimit=0)]
    run, _ = passed(observed(*metrics))
    run, _ = found(
        run,
        finding("a", "Inconclusive"),
        finding("b", "Failed"),
        finding("c", "Error", message="away"),
    )
    assert run.status.phase == "Failed"
    assert run.status.message.startswith('Metric "b" assessed Failed')
    assert run.status.run_summary == RunSummary(count=3, failed=1, inconclusive=1, error=1)


def test_inconclusive_by_both_limits_gives_no_message_and_counts_as_successful() -> None:
    limits = {"failureLimit": 1, "consecutiveSuccessLimit": 1, "count": 2, "interval": "1s"}
    run = observed(metric("a", **limits, inconclusiveLimit=2))
    run, _ = passed(run)
    run, _ = found(run, finding("a", "Inconclusive"))
    run, _ = passed(run, now=T + 1)
    run, _ = found(run, finding("a", "Inconclusive", index=1, at=T + 1), now=T + 1)
    assert (run.status.phase, run.status.message) == ("Inconclusive", "")
    assert run.status.run_summary == RunSummary(count=1, successful=1)


def test_a_metric_inconclusive_within_its_limit_is_successful() -> None:
    run, _ = passed(observed(metric("a", inconclusiveLimit=1)))
    run, _ = found(run, finding("a", "Inconclusive"))
    assert run.status.phase == "Successful"


def test_five_errors_in_a_row_end_the_run() -> None:
    run, now = observed(metric("a", interval="1m")), T
    for index in range(5):
        run, plan = passed(run, now=now)
        assert [ask.index for ask in plan.asks] == [index]
        run, plan = found(run, finding("a", "Error", index=index, at=now), now=now)
        if index < 4:
            assert run.status.phase == "Running"
            assert plan.wake_at == now + 10
        now = Instant(now + 10)
    assert run.status.phase == "Error"
    assert run.status.message == (
        'Metric "a" assessed Error due to consecutiveErrors (5) > consecutiveErrorLimit (4)'
    )


def test_errors_never_count() -> None:
    run, now = observed(metric("a", interval="1s", count=2)), T
    for index, phase in enumerate(["Error", "Successful", "Error", "Successful"]):
        run, _ = passed(run, now=now)
        run, _ = found(run, finding("a", phase, index=index, at=now), now=now)
        now = Instant(now + 11)
    assert run.status.phase == "Successful"
    (result,) = run.status.metric_results
    assert (result.count, result.error, result.successful) == (2, 2, 2)


# Dry runs


def test_a_dry_run_never_ends_a_run_nor_worsens_it() -> None:
    metrics = [metric("dry", interval="1s", count=2), metric("a", interval="1s", count=2)]
    run, _ = passed(observed(*metrics, spec={"dryRun": [{"metricName": "dry"}]}))
    run, plan = found(run, finding("dry", "Failed", message="bad"), finding("a", "Successful"))
    assert run.status.phase == "Running"
    dry = run.status.metric_results[0]
    assert (dry.phase, dry.message) == (
        "Failed",
        "Metric assessed Failed due to failed (1) > failureLimit (0)",
    )
    assert run.status.dry_run_summary == RunSummary(count=1, failed=1)
    run, plan = passed(run, now=T + 1)
    assert [ask.metric for ask in plan.asks] == ["a"]
    run, _ = found(run, finding("a", "Successful", index=1, at=T + 1), now=T + 1)
    assert (run.status.phase, run.status.message) == ("Successful", "")
    assert run.status.run_summary == RunSummary(count=1, successful=1)


def test_a_run_waits_for_its_dry_runs() -> None:
    metrics = [metric("dry", interval="1s"), metric("a")]
    run, _ = passed(observed(*metrics, spec={"dryRun": [{"metricName": "dry"}]}))
    run, _ = found(run, finding("dry", "Successful"), finding("a", "Successful"))
    assert run.status.phase == "Running"


# Termination


def terminated(run: Observed) -> Observed:
    assert run.spec is not None
    return replace(run, spec=run.spec.model_copy(update={"terminate": True}))


def test_terminating_a_healthy_run_is_a_success() -> None:
    run, _ = passed(observed(metric("a", interval="1s")))
    run, _ = found(run, finding("a", "Successful"))
    run, plan = passed(terminated(run))
    assert (run.status.phase, run.status.message) == ("Successful", "Run Terminated")
    assert reasons(plan)[-1] == (
        "Normal",
        "AnalysisRunSuccessful",
        "Analysis Completed. Result: Successful",
    )


def test_terminating_before_the_first_measurement_is_a_success() -> None:
    run, _ = passed(terminated(observed(metric("a", initialDelay="1h"))))
    assert (run.status.phase, run.status.message) == ("Successful", "Run Terminated")
    assert run.status.metric_results == ()


def test_terminating_gives_up_what_is_under_way() -> None:
    run, _ = passed(observed(metric("a")))
    run, plan = passed(terminated(run), now=T + 0.1)
    assert plan.abandon == {"a"}
    assert run.status.phase == "Successful"


def test_a_limit_overwrites_the_message_of_a_termination() -> None:
    run, _ = passed(observed(metric("a", interval="1s")))
    run, _ = found(terminated(run), finding("a", "Failed"))
    assert run.status.phase == "Failed"
    assert run.status.message == 'Metric "a" assessed Failed due to failed (1) > failureLimit (0)'


def with_unfinished() -> Observed:
    run, _ = passed(observed(metric("job")))
    run, _ = found(run, finding("job", "Running"))
    return run


def test_a_terminating_run_ends_what_is_unfinished_before_its_verdict() -> None:
    run, plan = passed(terminated(with_unfinished()), now=T + 5)
    assert [ask.step for ask in plan.asks] == [Step.TERMINATE]
    assert plan.claim is None
    run, plan = passed(run, now=T + 50)
    assert (plan.asks, plan.claim, plan.wake_at) == ((), None, None)
    run, plan = found(run, ended("job", "Inconclusive"))
    assert run.status.phase == "Inconclusive"
    assert len(run.status.metric_results[0].measurements) == 1


def test_ends_what_was_begun_a_moment_before_the_termination() -> None:
    run, _ = passed(observed(metric("job")))
    run, plan = found(terminated(run), finding("job", "Running"))
    (ask,) = plan.asks
    assert (ask.step, ask.index) == (Step.TERMINATE, 0)
    assert ask.unfinished is not None
    assert (plan.claim, plan.taken) == (None, frozenset({"job"}))
    run, _ = found(run, ended("job", "Inconclusive"))
    assert run.status.phase == "Inconclusive"


def test_what_cannot_be_ended_does_not_hold_the_run() -> None:
    run, _ = passed(terminated(with_unfinished()))
    run, _ = found(run, ended("job", "Running"))
    assert (run.status.phase, run.status.message) == ("Successful", "Run Terminated")


def test_terminating_a_run_that_is_over_is_ignored() -> None:
    run = terminated(observed(metric("a"), status=AnalysisRunStatus(phase="Failed")))
    _, plan = passed(run)
    assert (plan.claim, plan.asks, plan.deletes) == (None, (), False)


# Specs that cannot be measured


def test_an_invalid_spec_ends_the_run_without_completion_time() -> None:
    run, plan = passed(observed())
    assert run.status == AnalysisRunStatus(
        phase="Error", message="Analysis spec invalid: no metrics specified"
    )
    assert reasons(plan) == [("Warning", "AnalysisRunError", "Analysis Completed. Result: Error")]


def test_secrets_that_cannot_be_read_end_the_run() -> None:
    run, plan = passed(observed(metric("a"), arguments_problem='secrets "x" not found'))
    assert plan.reason == Reason.SPEC_INVALID
    assert run.status.message == ('Unable to resolve metric arguments: secrets "x" not found')


def test_a_spec_that_becomes_invalid_keeps_its_results() -> None:
    run, _ = passed(observed(metric("a", interval="1s")))
    run, _ = found(run, finding("a", "Successful"))
    broken = observed(status=run.status, flights={"a": Flight(Step.RUN, 1, T)})
    after, plan = passed(broken)
    assert plan.abandon == {"a"}
    assert after.status.metric_results == run.status.metric_results


# Changes of a live run


def test_a_metric_removed_from_the_spec_keeps_its_result_and_loses_its_say() -> None:
    run, _ = passed(observed(metric("a", interval="1s"), metric("b", interval="1s", count=2)))
    run, _ = found(run, finding("a", "Successful"), finding("b", "Successful"))
    changed = observed(metric("b", interval="1s", count=2), status=run.status)
    run, plan = passed(changed, now=T + 1)
    assert [ask.metric for ask in plan.asks] == ["b"]
    run, _ = found(run, finding("b", "Successful", index=1, at=T + 1), now=T + 1)
    assert run.status.phase == "Successful"
    assert run.status.run_summary == RunSummary(count=1, successful=1)
    assert [result.name for result in run.status.metric_results] == ["a", "b"]


def test_a_measurement_of_a_removed_metric_is_given_up() -> None:
    run, _ = passed(observed(metric("a"), metric("b", interval="1s")))
    removed = replace(observed(metric("b", interval="1s")), flights=run.flights)
    _, plan = passed(removed, now=T + 1)
    assert plan.abandon == {"a"}


@pytest.mark.parametrize("index", [0, 2])
def test_a_finding_of_another_slot_is_worth_nothing(index: int) -> None:
    run, _ = passed(observed(metric("a", interval="1m")))
    run, _ = found(run, finding("a", "Successful"))
    after, plan = passed(run, finding("a", "Failed", index=index))
    assert after.status == run.status
    assert plan.taken == {"a"}


# What is kept, told and deleted


def test_keeps_the_last_ten_measurements() -> None:
    run, now = observed(metric("a", interval="1s")), T
    for index in range(12):
        run, _ = passed(run, now=now)
        run, _ = found(run, finding("a", "Successful", index=index, at=now), now=now)
        now = Instant(now + 1)
    (result,) = run.status.metric_results
    assert (len(result.measurements), result.count) == (10, 12)
    assert result.measurements[-1].finished_at == now - 1


def test_a_rule_keeps_more_or_less() -> None:
    rules = {"measurementRetention": [{"metricName": "a", "limit": 2}]}
    run, now = observed(metric("a", interval="1s"), spec=rules), T
    for index in range(4):
        run, _ = passed(run, now=now)
        run, _ = found(run, finding("a", "Successful", index=index, at=now), now=now)
        now = Instant(now + 1)
    assert len(run.status.metric_results[0].measurements) == 2


def test_a_settled_run_is_quiet_until_the_next_measurement() -> None:
    run, _ = passed(observed(metric("a", interval="1m")))
    run, _ = found(run, finding("a", "Successful"))
    run = replace(run, told=Told({"a": 1}, is_followed=True))
    _, plan = passed(run, now=T + 30)
    assert plan.is_quiet
    assert plan.wake_at == T + 60


def over(phase: str, **ttl: int) -> Observed:
    status = AnalysisRunStatus(phase=phase, completed_at=T)
    run = observed(metric("a"), status=status, spec={"ttlStrategy": ttl} if ttl else {})
    return replace(run, told=Told(is_judged=True))


@pytest.mark.parametrize(
    ("phase", "ttl", "seconds"),
    [
        ("Successful", {"secondsAfterSuccess": 5, "secondsAfterCompletion": 9}, 5),
        ("Failed", {"secondsAfterFailure": 5, "secondsAfterCompletion": 9}, 5),
        ("Failed", {"secondsAfterSuccess": 5, "secondsAfterCompletion": 9}, 9),
        ("Error", {"secondsAfterFailure": 5, "secondsAfterCompletion": 9}, 9),
        ("Inconclusive", {"secondsAfterFailure": 5, "secondsAfterCompletion": 9}, 9),
        ("Error", {"secondsAfterFailure": 5}, None),
        ("Successful", {}, None),
        ("Successful", {"secondsAfterCompletion": 0}, 0),
    ],
)
def test_a_run_is_deleted_after_its_time(
    phase: str, ttl: dict[str, int], seconds: int | None
) -> None:
    run = over(phase, **ttl)
    _, plan = passed(run, now=T + (seconds or 0))
    assert not plan.deletes
    assert plan.wake_at == (None if seconds is None else T + seconds)
    _, plan = passed(run, now=T + (seconds or 0) + 0.1)
    assert plan.deletes == (seconds is not None)


def test_a_run_without_completion_time_is_never_deleted() -> None:
    run = over("Error", secondsAfterCompletion=1)
    status = run.status.model_copy(update={"completed_at": None})
    _, plan = passed(replace(run, status=status), now=T + 100)
    assert not plan.deletes


def test_a_run_in_deletion_is_left_alone() -> None:
    run, _ = passed(observed(metric("a")))
    _, plan = passed(replace(run, is_deleting=True), now=T + 1)
    assert (plan.abandon, plan.claim, plan.asks) == (frozenset({"a"}), None, ())
    _, plan = passed(replace(over("Failed", secondsAfterCompletion=1), is_deleting=True), now=T + 9)
    assert not plan.deletes


@pytest.mark.parametrize(
    ("told", "age", "says"),
    [
        (None, 10, True),
        (None, 4000, False),
        (Told(), 4000, False),
        (Told(is_followed=True), 4000, True),
        (Told({"m": 1}, is_judged=True), 10, False),
    ],
)
def test_owed_and_recent_facts_are_said(told: Told | None, age: float, says: bool) -> None:
    measured = Measurement(phase="Successful", finished_at=T)
    result = MetricResult(name="m", phase="Successful", measurements=(measured,), count=1)
    status = AnalysisRunStatus(phase="Successful", completed_at=T, metric_results=(result,))
    _, plan = passed(observed(metric("m"), status=status, told=told), now=T + age)
    assert plan.says == says
