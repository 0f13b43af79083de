"""Judges a measurement by the conditions of its metric (analysis 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from headrace.expression import gotypes
from headrace.expression.builtin_numbers import parse_float_text, parse_int_text
from headrace.expression.durations import SECOND
from headrace.expression.errors import EvaluationError, ExpressionError
from headrace.expression.evaluation import Evaluation
from headrace.expression.gotypes import function_of
from headrace.expression.limits import MAX_MESSAGE_CHARACTERS
from headrace.expression.operators import to_float, to_int
from headrace.expression.printing import print_value
from headrace.expression.program import evaluate
from headrace.expression.values import (
    NUMBERS,
    SEQUENCES,
    Function,
    Int64,
    Time,
    Value,
    type_name,
)

Phase = Literal["Successful", "Failed", "Inconclusive", "Error"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The phase of a measurement, and why it is Error where it is."""

    phase: Phase
    message: str = ""


def evaluate_conditions(
    result: Value, success_condition: str, failure_condition: str, *, now: float
) -> Verdict:
    """Judges a result by the truth table of analysis 6.

    Args:
        result: what the provider measured, as ``values`` describes it.
        success_condition: an expression, or empty for none.
        failure_condition: an expression, or empty for none.
        now: what now() says, in seconds since the Unix epoch.
    """
    success: bool | None = None
    failure: bool | None = None
    condition, expression = "successCondition", success_condition
    try:
        if success_condition:
            success = _holds(result, success_condition, now)
        condition, expression = "failureCondition", failure_condition
        if failure_condition:
            failure = _holds(result, failure_condition, now)
    except ExpressionError as error:
        reason: object = error
        if result is None or (type(result) in SEQUENCES and not result):
            reason = "metric result is nil or empty: no data returned from the metric provider"
        text = f'could not evaluate {condition} "{expression}": {reason}'
        return Verdict("Error", text[:MAX_MESSAGE_CHARACTERS])
    return Verdict(_judge(success, failure))


def _judge(success: bool | None, failure: bool | None) -> Phase:
    """The truth table; None stands for no condition."""
    if failure:
        return "Failed"
    if success or (success is None and not failure):
        return "Successful"
    return "Failed" if failure is None else "Inconclusive"


def _holds(result: Value, condition: str, now: float) -> bool:
    value = evaluate(condition, environment_of(result), now=now)
    if type(value) is not bool:
        raise EvaluationError(f"expected bool, but got {type_name(value)}")
    return value


def evaluate_time(expression: str, now: float) -> float:
    """Returns the time that an expression says, for the bounds of a range query.

    Args:
        expression: such as ``now() - duration("1h")``.
        now: what now() says, in seconds since the Unix epoch.

    Returns:
        Seconds since the Unix epoch.

    Raises:
        ExpressionError: the expression says no time.
    """
    value = evaluate(expression, _TIME_ENVIRONMENT, now=now)
    if type(value) is not Time:
        raise EvaluationError(f"expected time.Time, but got {type_name(value)}")
    return value.nanoseconds / SECOND


# The functions of the environment.


def _as_int(evaluation: Evaluation, arguments: list[Value]) -> Int64:
    (value,) = arguments
    if type(value) in NUMBERS:
        return Int64(to_int(value))
    if type(value) is str:
        return Int64(parse_int_text(value))
    raise _unsupported("asInt", value, evaluation)


def _as_float(evaluation: Evaluation, arguments: list[Value]) -> float:
    (value,) = arguments
    if type(value) in NUMBERS:
        return to_float(value)
    if type(value) is str:
        return parse_float_text(value)
    raise _unsupported("asFloat", value, evaluation)


def _unsupported(name: str, value: Value, evaluation: Evaluation) -> EvaluationError:
    shown = print_value(value, evaluation.budget)
    return EvaluationError(f"{name}() not supported on {type_name(value)} {shown}")


_IS_NAN = Function(
    "isNaN",
    function_of(gotypes.FLOAT64, result=gotypes.BOOL),
    lambda _, arguments: math.isnan(arguments[0]),
)
_IS_INF = Function(
    "isInf",
    function_of(gotypes.FLOAT64, result=gotypes.BOOL),
    lambda _, arguments: math.isinf(arguments[0]),
)
_AS_INT = Function("asInt", function_of(gotypes.ANY, result=gotypes.INT64), _as_int)
_AS_FLOAT = Function("asFloat", function_of(gotypes.ANY, result=gotypes.FLOAT64), _as_float)
_IS_NIL = function_of(gotypes.ANY, result=gotypes.BOOL)
_DEFAULT = function_of(gotypes.ANY, gotypes.ANY, result=gotypes.ANY)
_TIME_ENVIRONMENT = {"isNaN": _IS_NAN, "isInf": _IS_INF}


def environment_of(result: Value) -> dict[str, Value]:
    """Returns what a condition on a result may name.

    As in the reference, isNil and default look at the whole result, whatever their argument.
    """
    return {
        "result": result,
        "asInt": _AS_INT,
        "asFloat": _AS_FLOAT,
        "isNaN": _IS_NAN,
        "isInf": _IS_INF,
        "isNil": Function("isNil", _IS_NIL, lambda _, __: result is None),
        "default": Function(
            "default",
            _DEFAULT,
            lambda _, arguments: arguments[1] if result is None else result,
        ),
    }
