"""Values as text and as JSON."""

from __future__ import annotations

import math

import pytest

from headrace.expression import gotypes, printing
from headrace.expression.errors import EvaluationError
from headrace.expression.limits import Budget
from headrace.expression.values import (
    AnyMap,
    Duration,
    Month,
    Struct,
    Time,
    Value,
    Weekday,
    floats,
)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "<nil>"),
        (True, "true"),
        (1.5, "1.5"),
        ([1, "a", None, [True]], "[1 a <nil> [true]]"),
        ({"b": 1, "a": [2]}, "map[a:[2] b:1]"),
        (floats([1, 0.5]), "[1 0.5]"),
        (range(3), "[0 1 2]"),
        (Duration(90 * 60 * 10**9), "1h30m0s"),
        (Month(1), "January"),
        (Weekday(0), "Sunday"),
        (Time(0), "1970-01-01 00:00:00 +0000 UTC"),
        (Struct(gotypes.struct_of("s", (("A", gotypes.INT), ("B", gotypes.INT))), {"B": 2, "A": 1}),
         "{1 2}"),
    ],
)  # fmt: skip
def test_prints(value: Value, shown: str) -> None:
    assert printing.print_value(value, Budget()) == shown


def test_orders_the_keys_of_a_map() -> None:
    entries = AnyMap(gotypes.ANY_MAP)
    for key in ("b", 2, 1.5, "a", None):
        entries[key] = 0
    assert printing.print_value(entries, Budget()) == "map[<nil>:0 1.5:0 2:0 a:0 b:0]"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        ([], "[]"),
        ({}, "{}"),
        ({"b": 1.0, "a": [True]}, '{\n  "a": [\n    true\n  ],\n  "b": 1\n}'),
        ('<&>"\u2028', '"\\u003c\\u0026\\u003e\\"\\u2028"'),
        (b"abc", '"YWJj"'),
        (Duration(5), "5"),
        (Time(0), '"1970-01-01T00:00:00Z"'),
    ],
)
def test_prints_json(value: Value, shown: str) -> None:
    assert printing.print_json(value, Budget()) == shown


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "json: unsupported value: NaN"),
        (AnyMap(gotypes.ANY_MAP), "json: unsupported type: map[interface {}]interface {}"),
    ],
)
def test_refuses_to_print_as_json(value: Value, message: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        printing.print_json(value, Budget())
    assert str(refusal.value) == message


def nested(levels: int) -> Value:
    value: Value = 1
    for _ in range(levels):
        value = [value]
    return value


def test_refuses_to_print_what_is_nested_too_deeply() -> None:
    for apply in (printing.print_value, printing.print_json):
        with pytest.raises(EvaluationError, match="recursion depth exceeded"):
            apply(nested(300), Budget())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unexpected end of JSON input"),
        ('"abc', "unexpected end of JSON input"),
        ("[1,", "unexpected end of JSON input"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("1 2", "invalid character '2' after top-level value"),
        ("[1 2]", "invalid character '2' after array element"),
        ('{"a":1 2}', "invalid character '2' after object key:value pair"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        ("NaN", "invalid character 'N' looking for beginning of value"),
        ("1e999", "json: cannot unmarshal number 1e999 into Go value of type float64"),
        ("[" * 100_000, "exceeded max depth"),
    ],
)
def test_refuses_what_is_no_json(text: str, message: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        printing.parse_json(text)
    assert str(refusal.value) == message
