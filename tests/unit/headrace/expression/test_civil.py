"""The calendar, against Python's own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.expression import civil
from headrace.expression.civil import Civil
from headrace.expression.errors import EvaluationError
from headrace.expression.values import Time

SECOND = 10**9


@given(st.dates())
def test_counts_days_as_the_calendar_does(day: date) -> None:
    days = civil.days_from_epoch(day.year, day.month, day.day)
    assert days == (day - date(1970, 1, 1)).days
    time = Time(days * 86_400 * SECOND)
    assert civil.civil_of(time) == Civil(day.year, day.month, day.day)
    assert civil.weekday_of(time) == day.isoweekday() % 7
    assert civil.day_of_year(time) == day.timetuple().tm_yday


@given(st.datetimes(timezones=st.just(UTC)))
def test_there_and_back(moment: datetime) -> None:
    elapsed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    time = Time(elapsed // timedelta(microseconds=1) * 1000)
    assert civil.time_of(civil.civil_of(time)) == time


def test_knows_years_that_python_does_not() -> None:
    assert civil.civil_of(civil.time_of(Civil(12_345, 2, 3))) == Civil(12_345, 2, 3)
    assert civil.civil_of(civil.time_of(Civil(-5, 12, 31, 23))) == Civil(-5, 12, 31, 23)


@pytest.mark.parametrize(
    ("year", "month", "days"), [(2024, 2, 29), (1900, 2, 28), (2000, 2, 29), (2023, 4, 30)]
)
def test_knows_the_length_of_months(year: int, month: int, days: int) -> None:
    assert civil.days_in_month(year, month) == days


def test_knows_zones() -> None:
    zurich = civil.load_location("Europe/Zurich")
    winter, summer = (civil.time_of(Civil(2024, month, 1, 12), zurich) for month in (1, 7))
    assert civil.zone_of(winter) == civil.Zone("CET", 3600)
    assert civil.zone_of(summer) == civil.Zone("CEST", 7200)
    assert civil.civil_of(summer).hour == 12
    assert civil.zone_of(Time(10**22, zurich)).offset_seconds in (3600, 7200)


@pytest.mark.parametrize("name", ["Nowhere", "../etc/passwd", "/etc/passwd", "Europe", "a\x00b"])
def test_refuses_unknown_zones(name: str) -> None:
    with pytest.raises(EvaluationError, match="unknown time zone"):
        civil.load_location(name)
