"""What the operators do with values whose types are known only when they meet.

Integers are Go's: 64 bits that wrap around. Messages name Go's types.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from headrace.expression.errors import EvaluationError
from headrace.expression.limits import MAX_VALUE_DEPTH, Budget
from headrace.expression.text import rejoin
from headrace.expression.values import (
    INTEGERS,
    MAPS,
    NUMBERS,
    SEQUENCES,
    AnyMap,
    Duration,
    Struct,
    Time,
    Value,
    is_nil,
    truncate,
    type_name,
    type_of,
    wrap,
)


def equal(left: Value, right: Value, budget: Budget) -> bool:
    """Compares by value: numbers across types, collections element by element."""
    if is_nil(left) and is_nil(right):
        return True
    return _equal(left, right, budget, MAX_VALUE_DEPTH, strict=False)


def _equal(left: Value, right: Value, budget: Budget, levels: int, *, strict: bool) -> bool:
    """Compares; ``strict`` where the reference compares types too (inside maps and structs)."""
    left_type, right_type = type(left), type(right)
    if left_type in NUMBERS and right_type in NUMBERS:
        if left_type is not right_type and (strict or float in (left_type, right_type)):
            return not strict and float(left) == float(right)
        return bool(left == right)
    if left_type in SEQUENCES and right_type in SEQUENCES:
        return _equal_sequences(left, right, budget, levels, strict=strict)
    if left_type in MAPS and right_type in MAPS:
        return _equal_maps(left, right, budget, levels)
    if left_type is not right_type:
        return False
    if left_type is Time:
        return bool(left.nanoseconds == right.nanoseconds)
    if left_type is str:
        budget.spend_reading(len(left))
    if left_type is Struct:
        return left.type == right.type and _equal_maps(left.fields, right.fields, budget, levels)
    return bool(left == right)


def _equal_sequences(
    left: Value, right: Value, budget: Budget, levels: int, *, strict: bool
) -> bool:
    if not levels:
        raise EvaluationError("recursion depth exceeded")
    left_type, right_type = type_of(left), type_of(right)
    if left_type != right_type and (strict or list not in (type(left), type(right))):
        return False
    if len(left) != len(right):
        return False
    budget.spend_steps(6 * len(left))
    return all(
        _equal(one, other, budget, levels - 1, strict=strict)
        for one, other in zip(left, right, strict=True)
    )


def _equal_maps(left: Value, right: Value, budget: Budget, levels: int) -> bool:
    if not levels:
        raise EvaluationError("recursion depth exceeded")
    if type_of_map(left) != type_of_map(right) or len(left) != len(right):
        return False
    budget.spend_steps(6 * len(left))
    return all(
        key in right and _equal(element, right.get(key), budget, levels - 1, strict=True)
        for key, element in left.items()
    )


def type_of_map(value: Value) -> object:
    """Returns what tells the types of two maps apart."""
    return value.type if isinstance(value, AnyMap) else dict


def _comparison(
    symbol: str, compare: Callable[[Value, Value], bool]
) -> Callable[[Value, Value, Budget], bool]:
    def operate(left: Value, right: Value, budget: Budget) -> bool:
        left_type, right_type = type(left), type(right)
        if left_type in NUMBERS and right_type in NUMBERS:
            if float in (left_type, right_type):
                return compare(float(left), float(right))
            return compare(left, right)
        if left_type is right_type:
            if left_type is str:
                budget.spend_reading(len(left))
                return compare(left, right)
            if left_type is Duration:
                return compare(left, right)
            if left_type is Time:
                return compare(left.nanoseconds, right.nanoseconds)
        raise _invalid(symbol, left, right)

    return operate


less = _comparison("<", lambda left, right: left < right)
less_or_equal = _comparison("<=", lambda left, right: left <= right)
more = _comparison(">", lambda left, right: left > right)
more_or_equal = _comparison(">=", lambda left, right: left >= right)


def add(left: Value, right: Value, budget: Budget) -> Value:
    """Adds numbers, times and durations; joins texts."""
    left_type, right_type = type(left), type(right)
    if left_type in NUMBERS and right_type in NUMBERS:
        if float in (left_type, right_type):
            return float(left) + float(right)
        return wrap(left + right)
    if left_type is str and right_type is str:
        budget.spend_text(len(left) + len(right))
        return rejoin(left + right)
    if left_type is Time and right_type is Duration:
        return Time(left.nanoseconds + right, left.location)
    if left_type is Duration and right_type is Time:
        return Time(right.nanoseconds + left, right.location)
    if left_type is Duration and right_type is Duration:
        return Duration(wrap(left + right))
    raise _invalid("+", left, right)


def subtract(left: Value, right: Value) -> Value:
    """Subtracts numbers, times and durations."""
    left_type, right_type = type(left), type(right)
    if left_type in NUMBERS and right_type in NUMBERS:
        if float in (left_type, right_type):
            return float(left) - float(right)
        return wrap(left - right)
    if left_type is Time and right_type is Time:
        return elapsed(right, left)
    if left_type is Time and right_type is Duration:
        return Time(left.nanoseconds - right, left.location)
    if left_type is Duration and right_type is Duration:
        return Duration(wrap(left - right))
    raise _invalid("-", left, right)


def elapsed(since: Time, until: Time) -> Duration:
    """Returns the time between two instants; as long as 64 bits allow."""
    difference = until.nanoseconds - since.nanoseconds
    return Duration(max(-(2**63), min(difference, 2**63 - 1)))


def multiply(left: Value, right: Value) -> Value:
    """Multiplies numbers and durations; a duration times a float is a float."""
    left_type, right_type = type(left), type(right)
    multiplicands = NUMBERS | {Duration}
    if left_type not in multiplicands or right_type not in multiplicands:
        raise _invalid("*", left, right)
    if float in (left_type, right_type):
        return float(left) * float(right)
    product = wrap(int(left) * int(right))
    return Duration(product) if Duration in (left_type, right_type) else product


def divide(left: Value, right: Value) -> float:
    """Divides numbers; the result is a float, and division by zero infinite or NaN."""
    if type(left) not in NUMBERS or type(right) not in NUMBERS:
        raise _invalid("/", left, right)
    dividend, divisor = float(left), float(right)
    if divisor:
        return dividend / divisor
    if math.isnan(divisor) or math.isnan(dividend) or not dividend:
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, divisor)


def modulo(left: Value, right: Value) -> int:
    """Returns what integer division leaves; it has the sign of the dividend."""
    if type(left) not in INTEGERS or type(right) not in INTEGERS:
        raise _invalid("%", left, right)
    if not right:
        raise EvaluationError("runtime error: integer divide by zero")
    remainder: int = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def power(left: Value, right: Value) -> float:
    """Raises to a power, in floats."""
    base, exponent = to_float(left), to_float(right)
    if not base or not math.isfinite(base) or not math.isfinite(exponent):
        return _special_power(base, exponent)
    if base < 0 and not exponent.is_integer():
        return math.nan
    return _finite_power(base, exponent)


def _special_power(base: float, exponent: float) -> float:
    """Returns powers of zero, and powers with infinity or NaN."""
    if not base and exponent < 0:
        odd = exponent.is_integer() and math.fmod(exponent, 2) != 0
        return math.copysign(math.inf, base) if odd else math.inf
    return math.pow(base, exponent)


def _finite_power(base: float, exponent: float) -> float:
    """Multiplies by squaring, as the reference does, so that the last digit is the same."""
    if abs(exponent) == 0.5:
        return math.sqrt(base) if exponent > 0 else 1 / math.sqrt(base)
    fraction, whole = math.modf(abs(exponent))
    if whole >= 2.0**63:
        if abs(base) == 1:
            return 1.0
        return 0.0 if (abs(base) < 1) == (exponent > 0) else math.inf
    mantissa, scale = 1.0, 0
    if fraction > 0.5:
        fraction, whole = fraction - 1, whole + 1
    if fraction:
        mantissa = math.exp(fraction * math.log(base))
    factor, factor_scale = math.frexp(base)
    remaining = int(whole)
    while remaining:
        if abs(factor_scale) > 1 << 12:  # out of range, whatever follows
            scale += factor_scale
            break
        if remaining & 1:
            mantissa *= factor
            scale += factor_scale
        factor *= factor
        factor_scale <<= 1
        if factor < 0.5:
            factor += factor
            factor_scale -= 1
        remaining >>= 1
    if exponent < 0:
        mantissa, scale = 1 / mantissa, -scale
    try:
        return math.ldexp(mantissa, scale)
    except OverflowError:
        return math.copysign(math.inf, mantissa)


def make_range(first: Value, last: Value, budget: Budget) -> range:
    """Returns the integers from first to last, both included."""
    start, end = to_int(first), to_int(last)
    integers = range(start, end + 1)
    if end - start >= 2**62:
        raise EvaluationError("memory budget exceeded")
    budget.spend_memory(len(integers))
    return integers


def negate(value: Value) -> Value:
    """Changes the sign of a number."""
    if type(value) is float:
        return -value
    if type(value) in INTEGERS:
        return type(value)(-value % 256 if type(value).__name__ == "Uint8" else wrap(-value))
    raise EvaluationError(f"invalid operation: - {type_name(value)}")


def to_int(value: Value) -> int:
    """Returns a number as an int, cut off."""
    if type(value) is float:
        return truncate(value)
    if type(value) in INTEGERS:
        return int(value)
    raise EvaluationError(f"invalid operation: int({type_name(value)})")


def to_float(value: Value) -> float:
    """Returns a number as a float."""
    if type(value) in NUMBERS:
        return float(value)
    raise EvaluationError(f"invalid operation: float({type_name(value)})")


def to_bool(value: Value) -> bool:
    """Returns a bool that has to be one."""
    if type(value) is bool:
        return value
    raise wrong_type(value, "bool")


def to_string(value: Value) -> str:
    """Returns a text that has to be one."""
    if type(value) is str:
        return value
    raise wrong_type(value, "string")


def wrong_type(value: Value, wanted: str) -> EvaluationError:
    """Returns the error of a value whose type is not the one that is needed."""
    found = "nil" if value is None else type_name(value)
    return EvaluationError(f"interface conversion: interface {{}} is {found}, not {wanted}")


def _invalid(symbol: str, left: Value, right: Value) -> EvaluationError:
    return EvaluationError(f"invalid operation: {type_name(left)} {symbol} {type_name(right)}")
