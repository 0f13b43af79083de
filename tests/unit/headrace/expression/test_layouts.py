"""Times as text."""

from __future__ import annotations

import pytest

from headrace.expression import layouts
from headrace.expression.civil import Civil, time_of
from headrace.expression.errors import EvaluationError
from headrace.expression.values import Location

AFTERNOON = time_of(Civil(2024, 3, 5, 15, 4, 9, 78_000_000), Location("", -5400))


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("2006-01-02 15:04:05", "2024-03-05 15:04:09"),
        ("Mon Jan _2 3:4:5PM 06", "Tue Mar  5 3:4:9PM 24"),
        ("Monday, January 2 03pm", "Tuesday, March 5 03pm"),
        ("1/2 002 __2", "3/5 065  65"),
        ("05.000 05.999 05.9 05,00", "09.078 09.078 09 09,07"),
        ("MST -0700 -07:00 -07 Z0700", "-0130 -0130 -01:30 -01 -0130"),
        ("Janus Monument", "Janus Monument"),
        ("_2006", "_2024"),
    ],
)
def test_formats(layout: str, text: str) -> None:
    assert layouts.format_time(AFTERNOON, layout) == text


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        ("2006-01-02", "2024-03-05", Civil(2024, 3, 5)),
        ("2006-01-02 15:04:05", "2024-03-05  15:04:09.5", Civil(2024, 3, 5, 15, 4, 9, 500_000_000)),
        ("Jan 2 2006 3PM", "mar 5 2024 12AM", Civil(2024, 3, 5, 0)),
        ("2006 002", "2024 366", Civil(2024, 12, 31)),
        ("02 Jan 06 15:04 MST", "05 Mar 69 15:04 GMT+2", Civil(1969, 3, 5, 13, 4)),
        (layouts.RFC3339, "2024-03-05T15:04:09+01:30", Civil(2024, 3, 5, 13, 34, 9)),
        (layouts.RFC3339, "2024-03-05T15:04:09Z", Civil(2024, 3, 5, 15, 4, 9)),
        ("15:04", "23:59", Civil(0, 1, 1, 23, 59)),
    ],
)
def test_parses(layout: str, text: str, expected: Civil) -> None:
    assert layouts.parse_time(layout, text).nanoseconds == time_of(expected).nanoseconds


@pytest.mark.parametrize(
    ("layout", "text", "message"),
    [
        ("2006-01-02", "x", 'parsing time "x" as "2006-01-02": cannot parse "x" as "2006"'),
        ("2006-01-02", "2024/", 'parsing time "2024/" as "2006-01-02": cannot parse "/" as "-"'),
        ("2006-01-02", "2024-13-01", 'parsing time "2024-13-01": month out of range'),
        ("2006-01-02", "2023-02-29", 'parsing time "2023-02-29": day out of range'),
        ("15:04", "24:00", 'parsing time "24:00": hour out of range'),
        ("2006", "2024x", 'parsing time "2024x": extra text: "x"'),
        ("2006", "2" * 5000, "parsing time: text or layout is too long"),
    ],
)
def test_refuses(layout: str, text: str, message: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        layouts.parse_time(layout, text)
    assert str(refusal.value) == message


def test_refuses_a_huge_layout() -> None:
    with pytest.raises(EvaluationError, match="layout is too long"):
        layouts.format_time(AFTERNOON, "2006" * 1000)
