"""Methods of times and durations."""

from __future__ import annotations

import pytest

from headrace.expression import times
from headrace.expression.program import evaluate
from headrace.expression.values import Duration, Value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('duration("90m").Hours()', 1.5),
        ('duration("-1500us").Milliseconds()', -1),
        ('duration("-90s").Abs().Minutes()', 1.5),
        ('duration("100s").Truncate(duration("1m")).Seconds()', 60.0),
        ('duration("90s").Round(duration("1m")).Seconds()', 120.0),
        ('duration("-90s").Round(duration("1m")).Seconds()', -120.0),
        ('date("2024-01-31").AddDate(0, 1, 0).Day()', 2),
        ('date("2024-02-29").AddDate(1, 0, 0).Format("2006-01-02")', "2025-03-01"),
        ('date("2024-01-02").Add(duration("36h")).Format("02 15")', "03 12"),
        ('date("2024-01-02").Sub(date("2024-01-01")).Hours()', 24.0),
        ('date("2024-01-02").After(date("2024-01-01"))', True),
        ('date("2024-01-02").Compare(date("2024-01-03"))', -1),
        ('date("2024-01-02T03:44:05Z").Truncate(duration("1h")).Minute()', 0),
        ('date("2024-01-02T03:44:05Z").Round(duration("1h")).Hour()', 4),
        ('date("2024-01-02").In(timezone("Europe/Zurich")).Hour()', 1),
        ('string(date("2024-01-02").Month()) + string(date("2024-01-02").Weekday())',
         "JanuaryTuesday"),
        ('date("1970-01-02").UnixMilli()', 86_400_000),
        ('date("2024-12-31").YearDay()', 366),
        ('date("2024-01-02").IsZero()', False),
    ],
)  # fmt: skip
def test_gives(expression: str, value: Value) -> None:
    assert evaluate(expression, {}, now=0.0) == value


def test_other_values_have_no_methods() -> None:
    assert times.bound_method("text", "String") is None
    assert times.bound_method(Duration(1), "Nope") is None
    assert times.method_type(None, "String") is None
