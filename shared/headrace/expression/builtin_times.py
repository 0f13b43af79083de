"""Functions of the language about times."""

from __future__ import annotations

import math

from headrace.expression import civil, gotypes, layouts
from headrace.expression.durations import SECOND, parse_duration
from headrace.expression.errors import CompileError, EvaluationError
from headrace.expression.evaluation import Evaluation
from headrace.expression.gotypes import GoType, function_of
from headrace.expression.limits import MAX_TIME_CHARACTERS
from headrace.expression.operators import to_string
from headrace.expression.signatures import ArgumentTypes, Builtin
from headrace.expression.values import Location, Time, Value


def _now(evaluation: Evaluation, arguments: list[Value]) -> Time:
    location = arguments[0] if arguments else civil.ZONE_UTC
    if not isinstance(location, Location):
        raise EvaluationError("invalid number of arguments (expected 0, got 1)")
    whole = math.floor(evaluation.now)  # apart, as a float cannot hold all the nanoseconds
    return Time(whole * SECOND + round((evaluation.now - whole) * SECOND), location)


def _validate_now(arguments: ArgumentTypes) -> GoType:
    if arguments and (len(arguments) > 1 or arguments[0] != gotypes.LOCATION):
        raise CompileError(f"invalid number of arguments (expected 0, got {len(arguments)})")
    return gotypes.TIME


def _date(_: Evaluation, arguments: list[Value]) -> Time:
    location = civil.ZONE_UTC
    if isinstance(arguments[0], Location):
        location, *arguments = arguments
    texts = [to_string(argument) for argument in arguments]
    if len(texts) == 3:
        return layouts.parse_time(texts[1], texts[0], civil.load_location(texts[2]))
    if len(texts) == 2:
        return layouts.parse_time(texts[1], texts[0], location)
    for layout in layouts.COMMON_LAYOUTS:
        try:
            return layouts.parse_time(layout, texts[0], location)
        except EvaluationError:
            continue
    raise EvaluationError(f"invalid date {texts[0][:MAX_TIME_CHARACTERS]}")


def _validate_date(arguments: ArgumentTypes) -> GoType:
    if not arguments:
        raise CompileError("invalid number of arguments (expected at least 1, got 0)")
    count = len(arguments) - (arguments[0] == gotypes.LOCATION)
    if count > 3:
        raise CompileError(f"invalid number of arguments (expected at most 3, got {count})")
    return gotypes.TIME


BUILTINS = (
    Builtin("now", _now, validate=_validate_now),
    Builtin(
        "duration",
        lambda _, arguments: parse_duration(to_string(arguments[0])),
        (function_of(gotypes.STRING, result=gotypes.DURATION),),
        cost=40,
    ),
    Builtin("date", _date, validate=_validate_date, cost=200),
    Builtin(
        "timezone",
        lambda _, arguments: civil.load_location(to_string(arguments[0])),
        (function_of(gotypes.STRING, result=gotypes.LOCATION),),
        cost=100,
    ),
)
