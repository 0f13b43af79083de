from __future__ import annotations

import pytest

from headrace.kubernetes.quantities import NANOS, parse_quantity


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("0Gi", "0"),
        ("2000m", "2"),
        ("150m", "150m"),
        ("8192M", "8192M"),
        ("512000", "512k"),
        ("1024", "1024"),
        ("1024Ki", "1Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("1.", "1."),
        ("1.500", "1.500"),
        ("+5", "+5"),
        ("-5", "-5"),
        ("05", "05"),
        ("1e3", "1e3"),
        ("1E3", "1E3"),
        ("10e3", "10e3"),
        ("1000e3", "1e6"),
        ("0.5Ki", "512"),
        ("0.0001Ki", "102400u"),
        ("1.1Ki", "1126400m"),
        ("0.1n", "1n"),
        ("-0.1n", "-1n"),
        ("9223372036854775808Ki", "9223372036854775807"),
        ("1000E", "1"),
        ("99999999999999999999", "99999999999999999999"),
        (" 1 ", "1"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert parse_quantity(text).canonical() == canonical


@pytest.mark.parametrize("text", ["", "x", "1x", "1 k", "1e", "Ei", "e-12", "1e1.5", "--1", "1KI"])
def test_other_texts_are_no_quantities(text: str) -> None:
    with pytest.raises(ValueError):
        parse_quantity(text)


def test_quantities_of_one_amount_compare_by_their_nanos() -> None:
    amounts = {parse_quantity(text).nanos for text in ("1", "1000m", "1e0", "0.001k")}
    assert amounts == {NANOS}


@pytest.mark.parametrize(
    ("text", "rounded"),
    [("1u", "1m"), ("-1u", "-1m"), ("1.0001", "1001m"), ("5m", "5m"), ("1Gi", "1Gi")],
)
def test_amounts_below_a_milli_are_rounded_away_from_zero(text: str, rounded: str) -> None:
    assert parse_quantity(text).round_up_to_milli().canonical() == rounded
