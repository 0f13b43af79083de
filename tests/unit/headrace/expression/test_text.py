"""Texts as bytes, quoting, and numbers as text."""

from __future__ import annotations

import math

import pytest

from headrace.expression import text


@pytest.mark.parametrize("content", [b"", b"abc", "é😀".encode(), b"\xff\xc3", bytes(range(256))])
def test_keeps_all_bytes(content: bytes) -> None:
    assert text.to_bytes(text.to_text(content)) == content


def test_a_surrogate_that_is_no_byte_becomes_a_replacement_character() -> None:
    assert text.to_bytes("a\ud800b") == "a\ufffdb".encode()


@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        ('a"b\\', r'"a\"b\\"'),
        ("\n\t\x00\x7f", r'"\n\t\x00\x7f"'),
        ("é\u200b\U000e0001", r'"é\u200b\U000e0001"'),
        ("\udcff", r'"\xff"'),
    ],
)
def test_quotes_as_go_does(given: str, quoted: str) -> None:
    assert text.quote(given) == quoted


def test_quotes_in_ascii() -> None:
    assert text.quote_ascii('é"\n') == r'"\xc3\xa9\"\x0a"'


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (-1.5, "-1.5"),
        (100000.0, "100000"),
        (123456.789, "123456.789"),
        (1e6, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (1e-4, "0.0001"),
        (1e-5, "1e-05"),
        (1.5e300, "1.5e+300"),
        (5e-324, "5e-324"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
    ],
)
def test_formats_floats(number: float, shown: str) -> None:
    assert text.format_float(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (1.0, "1"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
    ],
)
def test_formats_floats_for_json(number: float, shown: str) -> None:
    assert text.format_json_float(number) == shown
