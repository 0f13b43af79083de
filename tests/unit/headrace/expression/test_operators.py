"""What operators do with values of any types."""

from __future__ import annotations

import math

import pytest

from headrace.expression import gotypes, operators
from headrace.expression.errors import EvaluationError
from headrace.expression.limits import Budget
from headrace.expression.values import (
    NIL_SLICE,
    Duration,
    Int64,
    Time,
    TypedList,
    Uint8,
    Value,
    floats,
)

MAX, MIN = 2**63 - 1, -(2**63)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 1.0, True),
        (Int64(1), 1, True),
        (True, 1, False),
        ("1", 1, False),
        (None, None, True),
        (None, NIL_SLICE, True),
        (None, [], False),
        ([1, 2.0], floats([1, 2]), True),
        (range(1, 3), [1, 2], True),
        (range(1, 3), floats([1, 2]), False),
        ([[1]], [[1.0]], True),
        ({"a": 1}, {"a": 1.0}, False),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": 1}, {"b": 1}, False),
        (math.nan, math.nan, False),
        (Duration(5), Duration(5), True),
        (Duration(5), 5, False),
        (Time(5), Time(5), True),
        (b"a", b"a", True),
    ],
)
def test_compares_values(left: Value, right: Value, expected: bool) -> None:
    assert operators.equal(left, right, Budget()) is expected
    assert operators.equal(right, left, Budget()) is expected


def test_integers_wrap_around() -> None:
    assert operators.add(MAX, 1, Budget()) == MIN
    assert operators.subtract(MIN, 1) == MAX
    assert operators.multiply(MAX, 2) == -2
    assert operators.negate(MIN) == MIN
    assert operators.negate(Uint8(1)) == 255
    assert operators.add(Duration(MAX), Duration(1), Budget()) == MIN


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [(7, 2, 3.5), (1, 0, math.inf), (-1, 0, -math.inf), (1.0, -0.0, -math.inf)],
)
def test_divides(left: Value, right: Value, expected: float) -> None:
    assert operators.divide(left, right) == expected


def test_zero_by_zero_is_not_a_number() -> None:
    assert math.isnan(operators.divide(0, 0))


@pytest.mark.parametrize(
    ("left", "right", "expected"), [(7, 3, 1), (-5, 3, -2), (5, -3, 2), (MIN, -1, 0)]
)
def test_the_remainder_has_the_sign_of_the_dividend(left: int, right: int, expected: int) -> None:
    assert operators.modulo(left, right) == expected


def test_refuses_the_remainder_by_zero() -> None:
    with pytest.raises(EvaluationError, match="runtime error: integer divide by zero"):
        operators.modulo(1, 0)


@pytest.mark.parametrize(
    ("base", "exponent", "expected"),
    [
        (2, 3, 8.0),
        (2, -1, 0.5),
        (4, 0.5, 2.0),
        (0.97, 63, 0.14676390503592948),
        (0, 0, 1.0),
        (0, -1, math.inf),
        (-0.0, -1, -math.inf),
        (-0.0, -2, math.inf),
        (2, 5000, math.inf),
        (-2, 5001, -math.inf),
        (2, -5000, 0.0),
        (1, math.nan, 1.0),
        (-1, math.inf, 1.0),
        (0.5, math.inf, 0.0),
        (-math.inf, 3, -math.inf),
        (-1, 1e300, 1.0),
        (2, 1e300, math.inf),
        (2, -1e300, 0.0),
    ],
)
def test_raises_to_a_power(base: float, exponent: float, expected: float) -> None:
    assert operators.power(base, exponent) == expected


def test_a_broken_power_of_a_negative_number_is_not_a_number() -> None:
    assert math.isnan(operators.power(-8, 1 / 3))


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (1.0, "a", "invalid operation: float64 < string"),
        (None, 1, "invalid operation: <nil> < int"),
        ([], 1, "invalid operation: []interface {} < int"),
        (True, False, "invalid operation: bool < bool"),
        (Duration(1), 1, "invalid operation: time.Duration < int"),
        (TypedList(gotypes.PAIR, (1, 2)), 1, "invalid operation: [2]interface {} < int"),
    ],
)
def test_refuses_to_order_what_has_no_order(left: Value, right: Value, message: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        operators.less(left, right, Budget())
    assert str(refusal.value) == message


def test_times_and_durations_add_up() -> None:
    noon, hour = Time(12 * 3600 * 10**9), Duration(3600 * 10**9)
    assert operators.add(noon, hour, Budget()) == Time(13 * 3600 * 10**9)
    assert operators.add(hour, noon, Budget()) == Time(13 * 3600 * 10**9)
    assert operators.subtract(noon, hour) == Time(11 * 3600 * 10**9)
    assert operators.subtract(noon, Time(0)) == 12 * hour
    assert operators.multiply(2, hour) == 2 * hour
    assert type(operators.multiply(hour, 1.5)) is float


def test_a_difference_of_times_stays_in_64_bits() -> None:
    assert operators.elapsed(Time(0), Time(2**70)) == MAX
    assert operators.elapsed(Time(2**70), Time(0)) == MIN
