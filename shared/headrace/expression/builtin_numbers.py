"""Functions of the language about numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator

from headrace.expression import gotypes
from headrace.expression.errors import EvaluationError
from headrace.expression.evaluation import Evaluation
from headrace.expression.gotypes import Kind, function_of
from headrace.expression.limits import MAX_VALUE_DEPTH, Budget
from headrace.expression.operators import less, more
from headrace.expression.printing import print_value
from headrace.expression.signatures import NUMBER_KINDS, Builtin, aggregating, taking
from headrace.expression.text import quote
from headrace.expression.values import (
    INTEGERS,
    NUMBERS,
    SEQUENCES,
    Value,
    truncate,
    type_name,
    wrap,
)

_INTEGER_TEXT = re.compile(r"[+-]?[0-9]{1,40}\Z")
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_HEX_DIGITS = r"[0-9a-f]+(?:_[0-9a-f]+)*"
_FLOAT_TEXT = re.compile(
    rf"[+-]?(?:inf|infinity|nan|(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:e[+-]?{_DIGITS})?)\Z",
    re.IGNORECASE,
)
_HEX_FLOAT_TEXT = re.compile(
    rf"[+-]?0x_?(?:{_HEX_DIGITS}\.?(?:{_HEX_DIGITS})?|\.{_HEX_DIGITS})p[+-]?{_DIGITS}\Z",
    re.IGNORECASE,
)
_SPECIAL_FLOATS = ("inf", "infinity", "nan")


def parse_int_text(text: str) -> int:
    """Returns the integer that a decimal text says, strictly.

    Raises:
        EvaluationError: the text says none, or 64 bits cannot hold it.
    """
    problem = "invalid syntax"
    if _INTEGER_TEXT.match(text):
        number = int(text)
        if wrap(number) == number:
            return number
        problem = "value out of range"
    raise EvaluationError(f"strconv.ParseInt: parsing {quote(text)}: {problem}")


def parse_float_text(text: str) -> float:
    """Returns the float that a text says.

    Raises:
        EvaluationError: the text says none, or it is out of range.
    """
    problem = "invalid syntax"
    if _FLOAT_TEXT.match(text) or _HEX_FLOAT_TEXT.match(text):
        plain = text.replace("_", "")
        try:
            number = float.fromhex(plain) if "x" in plain.lower() else float(plain)
        except OverflowError:
            number = math.inf
        if math.isfinite(number) or text.lstrip("+-").lower() in _SPECIAL_FLOATS:
            return number
        problem = "value out of range"
    raise EvaluationError(f"strconv.ParseFloat: parsing {quote(text)}: {problem}")


def _absolute(_: Evaluation, arguments: list[Value]) -> Value:
    (number,) = arguments
    if type(number) is float:
        return -number if number < 0 else number
    if type(number) in INTEGERS:
        return type(number)(wrap(abs(number)))
    raise EvaluationError(f"invalid argument for abs (type {type_name(number)})")


def _rounding(name: str, apply: Callable[[float], int]) -> Builtin:
    def call(_: Evaluation, arguments: list[Value]) -> float:
        (number,) = arguments
        if type(number) not in NUMBERS:
            raise EvaluationError(f"invalid argument for {name} (type {type_name(number)})")
        exact = float(number)
        if not math.isfinite(exact):
            return exact
        return math.copysign(float(apply(exact)), exact)

    refusal = f"invalid argument for {name} (type {{}})"
    return Builtin(name, call, validate=taking(refusal, NUMBER_KINDS, gotypes.FLOAT64))


def _round(number: float) -> int:
    """Rounds half away from zero."""
    whole = math.trunc(number)
    return whole + int(math.copysign(1, number)) if abs(number - whole) >= 0.5 else whole


def _to_int(_: Evaluation, arguments: list[Value]) -> int:
    (value,) = arguments
    if type(value) is float:
        return truncate(value)
    if isinstance(value, int) and type(value) is not bool:
        return int(value)
    if type(value) is str:
        try:
            return parse_int_text(value)
        except EvaluationError:
            raise EvaluationError(f"invalid operation: int({value})") from None
    if value is None:
        raise EvaluationError("reflect: call of reflect.Value.Type on zero Value")
    raise EvaluationError(f"invalid operation: int({type_name(value)})")


def _to_float(_: Evaluation, arguments: list[Value]) -> float:
    (value,) = arguments
    if type(value) in NUMBERS:
        return float(value)
    if type(value) is str:
        try:
            return parse_float_text(value)
        except EvaluationError:
            raise EvaluationError(f"invalid operation: float({value})") from None
    raise EvaluationError(f"invalid operation: float({type_name(value)})")


def _extreme(name: str, replaces: Callable[[Value, Value, Budget], bool]) -> Builtin:
    """Returns max or min; a number takes the place of another that it ``replaces``."""

    def call(evaluation: Evaluation, arguments: list[Value]) -> Value:
        if len(arguments) == 1 and not _is_aggregatable(arguments[0]):
            return arguments[0]
        best: Value = None
        for number in _numbers(name, arguments, evaluation.budget, MAX_VALUE_DEPTH):
            if best is None or replaces(best, number, evaluation.budget):
                best = number
        return best

    return Builtin(name, call, validate=aggregating(name))


def _is_aggregatable(value: Value) -> bool:
    return type(value) in NUMBERS or type(value) in SEQUENCES


def _numbers(
    name: str, arguments: list[Value], budget: Budget, levels: int
) -> Iterator[float | int]:
    """Yields all numbers of some arguments and of the arrays among them."""
    budget.spend_steps(8 + 2 * len(arguments))
    for argument in arguments:
        if type(argument) in NUMBERS:
            yield argument
        elif type(argument) in SEQUENCES and levels:
            yield from _numbers(name, argument, budget, levels - 1)
        elif type(argument) in SEQUENCES:
            raise EvaluationError("recursion depth exceeded")
        else:
            raise EvaluationError(f"invalid argument for {name} (type {type_name(argument)})")


def _mean(evaluation: Evaluation, arguments: list[Value]) -> float:
    total, count = 0.0, 0
    for number in _numbers("mean", arguments, evaluation.budget, MAX_VALUE_DEPTH):
        total += number
        count += 1
    return total / count if count else 0.0


def _median(evaluation: Evaluation, arguments: list[Value]) -> float:
    numbers = [
        float(number)
        for number in _numbers("median", arguments, evaluation.budget, MAX_VALUE_DEPTH)
    ]
    numbers.sort(key=lambda number: (not math.isnan(number), number))
    middle = len(numbers) // 2
    if not numbers:
        return 0.0
    if len(numbers) % 2:
        return numbers[middle]
    return (numbers[middle - 1] + numbers[middle]) / 2


def _bitwise(name: str, apply: Callable[[int, int], int]) -> Builtin:
    def call(_: Evaluation, arguments: list[Value]) -> int:
        left, right = (_bits(argument, name) for argument in arguments)
        return wrap(apply(left, right))

    return Builtin(name, call, (function_of(gotypes.INT, gotypes.INT, result=gotypes.INT),))


def _bits(value: Value, name: str) -> int:
    if type(value) in INTEGERS:
        return int(value)
    raise EvaluationError(f"cannot use {type_name(value)} as argument (type int) to call {name}")


def _shift(count: int) -> int:
    if count < 0:
        raise EvaluationError(f"invalid operation: negative shift count {count} (type int)")
    return min(count, 64)


def _bitnot(_: Evaluation, arguments: list[Value]) -> int:
    return ~_bits(arguments[0], "bitnot")


BUILTINS = (
    Builtin("abs", _absolute, validate=taking("invalid argument for abs (type {})", NUMBER_KINDS)),
    _rounding("ceil", math.ceil),
    _rounding("floor", math.floor),
    _rounding("round", _round),
    Builtin(
        "int",
        _to_int,
        validate=taking(
            "invalid argument for int (type {})", NUMBER_KINDS | {Kind.STRING}, gotypes.INT
        ),
    ),
    Builtin(
        "float",
        _to_float,
        validate=taking(
            "invalid argument for float (type {})", NUMBER_KINDS | {Kind.STRING}, gotypes.FLOAT64
        ),
    ),
    Builtin(
        "string",
        lambda evaluation, arguments: print_value(arguments[0], evaluation.budget),
        (function_of(gotypes.ANY, result=gotypes.STRING),),
    ),
    _extreme("max", less),
    _extreme("min", more),
    Builtin("mean", _mean, validate=aggregating("mean")),
    Builtin("median", _median, validate=aggregating("median")),
    _bitwise("bitand", lambda left, right: left & right),
    _bitwise("bitor", lambda left, right: left | right),
    _bitwise("bitxor", lambda left, right: left ^ right),
    _bitwise("bitnand", lambda left, right: left & ~right),
    _bitwise("bitshl", lambda left, right: left << _shift(right)),
    _bitwise("bitshr", lambda left, right: left >> _shift(right)),
    _bitwise("bitushr", lambda left, right: (left % 2**64) >> _shift(right)),
    Builtin("bitnot", _bitnot, (function_of(gotypes.INT, result=gotypes.INT),)),
)
