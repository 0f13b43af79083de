"""Number literals."""

from __future__ import annotations

import pytest

from headrace.expression.errors import CompileError
from headrace.expression.literals import parse_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b101", 5),
        ("0o17", 15),
        ("9223372036854775807", 2**63 - 1),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("95e-2", 0.95),
    ],
)
def test_reads_numbers(text: str, number: float) -> None:
    found = parse_number(text)
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0x", 'invalid hex literal: strconv.ParseInt: parsing "0x": invalid syntax'),
        (
            "0x8000000000000000",
            'invalid hex literal: strconv.ParseInt: parsing "0x8000000000000000": '
            "value out of range",
        ),
        ("1e", 'invalid float literal: strconv.ParseFloat: parsing "1e": invalid syntax'),
        ("1e400", 'invalid float literal: strconv.ParseFloat: parsing "1e400": value out of range'),
        ("0b1.5", 'invalid float literal: strconv.ParseFloat: parsing "0b1.5": invalid syntax'),
    ],
)
def test_refuses_what_is_no_number(text: str, message: str) -> None:
    with pytest.raises(CompileError) as refusal:
        parse_number(text)
    assert str(refusal.value) == message


def test_refuses_a_huge_number_at_once() -> None:
    with pytest.raises(CompileError, match="value out of range"):
        parse_number("9" * 10_000)
