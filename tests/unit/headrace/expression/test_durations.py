"""Durations as text."""

from __future__ import annotations

import pytest

from headrace.expression.durations import format_duration, parse_duration
from headrace.expression.errors import EvaluationError

SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1h30m", 5400 * SECOND),
        ("1.5s", 1_500_000_000),
        (".5s", SECOND // 2),
        ("-1m", -60 * SECOND),
        ("+1m", 60 * SECOND),
        ("1µs1us1ns", 2001),
        ("9223372036854775807ns", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
        ("0.3333333333333333333h", 1_199_999_999_999),
    ],
)
def test_reads(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        (".s", 'time: invalid duration ".s"'),
        ("1", 'time: missing unit in duration "1"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("1000000000h", 'time: invalid duration "1000000000h"'),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        parse_duration(text)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (2_000_000, "2ms"),
        (SECOND, "1s"),
        (90 * SECOND, "1m30s"),
        (3600 * SECOND, "1h0m0s"),
        (-1_500_000_000, "-1.5s"),
        (-(2**63), "-2562047h47m16.854775808s"),
    ],
)
def test_formats(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text
