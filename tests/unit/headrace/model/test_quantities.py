from __future__ import annotations

import pytest

from headrace.model import quantities
from headrace.model.quantities import (
    format_duration,
    int_value,
    parse_duration,
    pause_seconds,
    percent_of,
    resolve_percent,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("10s", 10),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("1.s", 1),
        ("-5ms", -0.005),
        ("100ns", 1e-7),
        ("2us", 2e-6),
        ("2µs", 2e-6),
        ("2μs", 2e-6),
        ("1h1m1s1ms", 3661.001),
        ("2562047h47m16.854775807s", 9223372036.854775807),
    ],
)
def test_durations_parse_as_go_parses_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        (".", 'time: invalid duration "."'),
        ("abc", 'time: invalid duration "abc"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1h5", 'time: missing unit in duration "1h5"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("5 s", 'time: unknown unit " s" in duration "5 s"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1s-1s", 'time: unknown unit "s-" in duration "1s-1s"'),
        ("9223372036855s9999999999h", 'time: invalid duration "9223372036855s9999999999h"'),
        ("٣s", r'time: invalid duration "\xd9\xa3s"'),
    ],
)
def test_bad_durations_are_refused_in_the_words_of_go(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_duration(text)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (10, "10s"),
        (60, "1m0s"),
        (3723.5, "1h2m3.5s"),
        (0.15, "150ms"),
        (0.0015, "1.5ms"),
        (1.5e-6, "1.5µs"),
        (1e-9, "1ns"),
        (-90, "-1m30s"),
    ],
)
def test_durations_print_as_go_prints_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        (None, None),
        (10, 10),
        (0, 0),
        (-3, -3),
        ("10", 10),
        ("+10", 10),
        ("-10", -10),
        ("2147483648", -1),
        ("10s", 10),
        ("1h30m", 5400),
        ("1500ms", 1),
        ("999ms", 0),
        ("soon", -1),
        ("", -1),
    ],
)
def test_pause_durations(duration: int | str | None, seconds: int | None) -> None:
    assert pause_seconds(duration) == seconds


@pytest.mark.parametrize(
    ("value", "total", "up", "down"),
    [
        (3, 10, 3, 3),
        ("25%", 10, 3, 2),
        ("25", 10, 3, 2),
        ("0%", 10, 0, 0),
        ("100%", 7, 7, 7),
        ("150%", 2, 3, 3),
        ("29%", 100, 29, 29),
        ("7%", 100, 7, 7),
        ("33%", 0, 0, 0),
    ],
)
def test_percentages_round_up_or_down(value: int | str, total: int, up: int, down: int) -> None:
    assert resolve_percent(value, total, round_up=True) == up
    assert resolve_percent(value, total, round_up=False) == down


@pytest.mark.parametrize("text", ["", "%", "abc", "2.5%", "1e2"])
def test_a_text_without_a_whole_number_is_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match="invalid value for IntOrString"):
        percent_of(text)


@pytest.mark.parametrize(
    ("value", "number"),
    [(None, 0), (7, 7), ("7", 7), ("-1", -1), ("", 0), ("x", 0), ("1.5", 0)],
)
def test_an_int_or_string_counts_as_zero_when_it_is_no_number(
    value: int | str | None, number: int
) -> None:
    assert int_value(value) == number


def test_quotes_and_backslashes_are_escaped_in_messages() -> None:
    assert quantities.go_quote('a"b\\c') == '"a\\"b\\\\c"'
