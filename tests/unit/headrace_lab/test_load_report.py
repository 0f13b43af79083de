from __future__ import annotations

from math import comb

import pytest

from headrace_lab.load_report import Report, binomial_interval, merge


def make_report() -> Report:
    counts = {("v1", 200): 880, ("v2", 200): 70, ("v2", 500): 30, ("", 503): 15, ("", 0): 5}
    return Report(0.0, 10.0, counts, tuple(index / 1000 for index in range(1000)))


def test_shares_are_counted_among_the_versions_that_answered() -> None:
    report = make_report()

    assert report.versions == ["v1", "v2"]
    assert report.share("v2").value == pytest.approx(100 / 980)
    assert report.share("v3").value == 0.0
    assert report.total == 1000
    assert report.rate == 100.0


def test_a_versions_own_errors_are_not_the_releases_failures() -> None:
    report = make_report()

    assert report.statuses("v2") == {200: 70, 500: 30}
    assert report.failed_without_version == 20


def test_the_report_says_the_same_to_programs_and_people() -> None:
    report = make_report()

    document = report.to_json()

    assert document["versions"]["v2"]["statuses"] == {"200": 70, "500": 30}
    assert document["withoutVersion"] == {"0": 5, "503": 15}
    assert "v2" in report.to_text()
    assert "5 x no answer, 15 x 503" in report.to_text()


def test_an_empty_report_has_no_shares() -> None:
    report = merge([])

    assert (report.total, report.rate, report.latency(0.5)) == (0, 0.0, 0.0)
    assert 0.5 in report.share("v1").interval


def test_windows_add_up() -> None:
    whole = merge([Report(0.0, 1.0, {("v1", 200): 3}, (0.1,)), Report(1.0, 2.0, {("v1", 200): 4})])

    assert whole.counts == {("v1", 200): 7}
    assert (whole.started_at, whole.seconds, whole.latencies) == (0.0, 3.0, (0.1,))


def test_latency_quantiles_are_observed_values() -> None:
    report = make_report()

    assert (report.latency(0.5), report.latency(0.99), report.latency(1.0)) == (0.5, 0.99, 0.999)


@pytest.mark.parametrize(("trials", "probability"), [(200, 0.1), (300, 0.33), (100, 0.5)])
def test_the_interval_holds_the_true_share_about_as_often_as_it_says(
    trials: int, probability: float
) -> None:
    held = sum(
        comb(trials, count) * probability**count * (1 - probability) ** (trials - count)
        for count in range(trials + 1)
        if probability in binomial_interval(count, trials)
    )

    assert held == pytest.approx(0.999, abs=0.0008)


def test_a_share_that_is_off_is_seen_with_enough_requests() -> None:
    assert 0.10 in binomial_interval(510, 5000)
    assert 0.33 not in binomial_interval(510, 5000)
    assert 0.10 not in binomial_interval(400, 5000)


def test_counts_at_the_ends_give_one_sided_intervals() -> None:
    assert 0.0 in binomial_interval(0, 1000)
    assert binomial_interval(0, 1000).high < 0.02
    assert 1.0 in binomial_interval(1000, 1000)
    assert (binomial_interval(0, 0).low, binomial_interval(0, 0).high) == (0.0, 1.0)
