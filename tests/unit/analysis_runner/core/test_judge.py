"""Judging measurements and metrics (analysis 4.2, 4.3, 6, 11)."""

from __future__ import annotations

from typing import Any

import pytest

from analysis_runner.core.judge import (
    Limit,
    failure,
    judge,
    limit_of,
    phase_of,
    record,
    terminated,
)
from analysis_runner.core.samples import Judged, Samples, Unfinished
from headrace.expression.values import floats
from headrace.model.analysis import AnalysisPhase, Measurement, Metric, MetricResult
from headrace.model.quantities import Instant

BEGAN, NOW = Instant(100.0), Instant(101.5)


def metric(**fields: Any) -> Metric:
    return Metric.load({"name": "m", "provider": {"prometheus": {"query": "up"}}, **fields})


def measurement(phase: str) -> Measurement:
    return Measurement(phase=phase, started_at=BEGAN, finished_at=NOW)


def result_of(*phases: str, phase: str = "Running", **fields: Any) -> MetricResult:
    result = MetricResult(name="m", phase=phase)
    for each in phases:
        result = record(result, measurement(each))
    return result.model_copy(update=fields)


@pytest.mark.parametrize(
    ("success", "failed", "phase"),
    [
        ("", "", "Successful"),
        ("result[0] > 0", "", "Successful"),
        ("result[0] > 1", "", "Failed"),
        ("", "result[0] > 0", "Failed"),
        ("", "result[0] > 1", "Successful"),
        ("result[0] > 0", "result[0] > 0", "Failed"),
        ("result[0] > 0", "result[0] > 1", "Successful"),
        ("result[0] > 1", "result[0] > 1", "Inconclusive"),
    ],
)
def test_conditions_judge_samples(success: str, failed: str, phase: str) -> None:
    judged = judge(
        metric(successCondition=success, failureCondition=failed),
        Samples(floats([0.5]), "[0.5]", {"warnings": '"w"'}),
        started_at=BEGAN,
        now=NOW,
    )
    assert judged == Measurement(
        phase=phase,
        value="[0.5]",
        metadata={"warnings": '"w"'},
        started_at=BEGAN,
        finished_at=NOW,
    )


def test_a_condition_that_cannot_be_evaluated_is_an_error_without_value() -> None:
    judged = judge(
        metric(successCondition="result[0] > 1"),
        Samples(floats([]), "[]"),
        started_at=BEGAN,
        now=NOW,
    )
    assert judged.phase == "Error"
    assert judged.value == ""
    assert judged.message == (
        'could not evaluate successCondition "result[0] > 1": metric result is nil or empty: '
        "no data returned from the metric provider"
    )


def test_nan_fails_unless_it_is_guarded() -> None:
    nan = Samples(floats([float("nan")]), "[NaN]")
    plain = judge(metric(successCondition="result[0] > 0.9"), nan, started_at=BEGAN, now=NOW)
    guarded = metric(successCondition="isNaN(result[0]) || result[0] > 0.9")
    assert plain.phase == "Failed"
    assert judge(guarded, nan, started_at=BEGAN, now=NOW).phase == "Successful"


def test_a_provider_may_judge_by_itself() -> None:
    answer = Judged(AnalysisPhase.FAILED, "job failed", "3", {"job-name": "j"})
    judged = judge(metric(successCondition="true"), answer, started_at=BEGAN, now=NOW)
    assert (judged.phase, judged.message, judged.value) == ("Failed", "job failed", "3")
    assert judged.finished_at == NOW


def test_an_unfinished_measurement_has_no_end() -> None:
    answer = Unfinished(Instant(120.0), {"job-name": "j"})
    judged = judge(metric(), answer, started_at=BEGAN, now=NOW)
    assert (judged.phase, judged.finished_at, judged.resume_at) == ("Running", None, 120.0)


def test_a_terminated_measurement_says_so_unless_it_failed() -> None:
    assert terminated(measurement("Inconclusive")).message == "Metric Terminated"
    assert terminated(measurement("Successful")).message == "Metric Terminated"
    assert terminated(measurement("Failed")).message == ""


def test_counts_each_phase() -> None:
    result = result_of("Successful", "Successful", "Error", "Error", "Failed", "Inconclusive")
    counters = (
        result.count,
        result.successful,
        result.failed,
        result.inconclusive,
        result.error,
        result.consecutive_error,
        result.consecutive_success,
    )
    assert counters == (4, 2, 1, 1, 2, 0, 0)


@pytest.mark.parametrize(
    ("phases", "consecutive_error", "consecutive_success"),
    [
        (("Error", "Error"), 2, 0),
        (("Error", "Successful"), 0, 1),
        (("Error", "Failed"), 0, 0),
        (("Error", "Inconclusive"), 0, 0),
        (("Successful", "Successful"), 0, 2),
        (("Successful", "Error"), 1, 0),
        (("Successful", "Failed"), 0, 0),
        (("Successful", "Inconclusive"), 0, 0),
    ],
)
def test_counts_what_is_in_a_row(
    phases: tuple[str, ...], consecutive_error: int, consecutive_success: int
) -> None:
    result = result_of(*phases)
    assert result.consecutive_error == consecutive_error
    assert result.consecutive_success == consecutive_success


def test_an_unfinished_measurement_is_replaced_and_not_counted() -> None:
    unfinished = Measurement(phase="Running", resume_at=NOW)
    result = record(result_of("Successful"), unfinished)
    assert (len(result.measurements), result.count) == (2, 1)
    result = record(result, unfinished.model_copy(update={"resume_at": Instant(200.0)}))
    assert len(result.measurements) == 2
    result = record(result, measurement("Failed"))
    assert (len(result.measurements), result.count, result.failed) == (2, 2, 1)


@pytest.mark.parametrize(
    ("fields", "phases", "limit"),
    [
        ({}, ("Failed",), Limit(AnalysisPhase.FAILED, "failed (1) > failureLimit (0)")),
        ({"failureLimit": 1}, ("Failed",), Limit()),
        ({"failureLimit": -1, "consecutiveSuccessLimit": 1}, ("Failed",) * 9, Limit()),
        (
            {},
            ("Inconclusive",),
            Limit(AnalysisPhase.INCONCLUSIVE, "inconclusive (1) > inconclusiveLimit (0)"),
        ),
        ({}, ("Error",) * 4, Limit()),
        (
            {},
            ("Error",) * 5,
            Limit(AnalysisPhase.ERROR, "consecutiveErrors (5) > consecutiveErrorLimit (4)"),
        ),
        (
            {"consecutiveErrorLimit": 0},
            ("Error",),
            Limit(AnalysisPhase.ERROR, "consecutiveErrors (1) > consecutiveErrorLimit (0)"),
        ),
        (
            {"consecutiveErrorLimit": "1"},
            ("Error", "Error"),
            Limit(AnalysisPhase.ERROR, "consecutiveErrors (2) > consecutiveErrorLimit (1)"),
        ),
        # A later limit overrides an earlier one.
        (
            {},
            ("Failed", "Inconclusive"),
            Limit(AnalysisPhase.INCONCLUSIVE, "inconclusive (1) > inconclusiveLimit (0)"),
        ),
    ],
)
def test_finds_the_limit_that_is_exceeded(
    fields: dict[str, Any], phases: tuple[str, ...], limit: Limit
) -> None:
    assert limit_of(metric(**fields), result_of(*phases)) == limit


EVERY_SECOND = {"interval": "1s"}
BOTH_LIMITS = {"failureLimit": 1, "consecutiveSuccessLimit": 2, "count": 3, **EVERY_SECOND}
SUCCESSES_ONLY = {**BOTH_LIMITS, "failureLimit": -1}


@pytest.mark.parametrize(
    ("fields", "phases", "is_terminating", "phase"),
    [
        ({}, (), False, "Pending"),
        ({}, (), True, "Successful"),
        ({}, ("Running",), False, "Running"),
        ({}, ("Running",), True, "Running"),
        ({}, ("Successful",), False, "Successful"),
        (EVERY_SECOND, ("Successful",), False, "Running"),
        (EVERY_SECOND, ("Successful",), True, "Successful"),
        ({**EVERY_SECOND, "count": 2}, ("Successful",), False, "Running"),
        ({**EVERY_SECOND, "count": 2}, ("Successful",) * 2, False, "Successful"),
        ({**EVERY_SECOND, "count": 2}, ("Successful", "Error"), False, "Running"),
        ({**EVERY_SECOND, "count": 10}, ("Failed",), False, "Failed"),
        ({}, ("Error",), False, "Running"),
        # A limit comes before termination.
        ({}, ("Error",) * 5, True, "Error"),
        (BOTH_LIMITS, ("Successful",) * 2, False, "Successful"),
        (BOTH_LIMITS, ("Successful", "Failed", "Successful"), False, "Inconclusive"),
        (SUCCESSES_ONLY, ("Successful", "Failed", "Successful"), False, "Failed"),
        ({"inconclusiveLimit": 1}, ("Inconclusive",), False, "Successful"),
        ({"count": "0", **EVERY_SECOND}, ("Successful",), False, "Running"),
        ({"count": "none"}, ("Successful",), False, "Successful"),
    ],
)
def test_the_first_rule_that_matches_gives_the_phase(
    fields: dict[str, Any], phases: tuple[str, ...], is_terminating: bool, phase: str
) -> None:
    found = phase_of(metric(**fields), result_of(*phases), is_terminating=is_terminating)
    assert found == phase


def test_a_completed_metric_keeps_its_phase() -> None:
    result = result_of("Failed", phase="Successful")
    assert phase_of(metric(), result, is_terminating=True) == "Successful"


def test_no_measurement_is_too_large_for_a_status() -> None:
    long = "x" * 100_000
    samples = judge(metric(), Samples(1.0, long, {"w": long}), started_at=BEGAN, now=NOW)
    judged = judge(metric(), Judged(AnalysisPhase.FAILED, long, long), started_at=BEGAN, now=NOW)
    assert samples.metadata is not None
    failed = failure(long, started_at=BEGAN, now=NOW)
    texts = (samples.value, samples.metadata["w"], judged.value, judged.message, failed.message)
    assert {len(text) for text in texts} == {8192}
    assert all(text.endswith("…") for text in texts)
