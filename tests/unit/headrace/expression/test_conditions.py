"""The reference's answers, and the truth table around the expressions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.expression import gotypes
from headrace.expression.conditions import Verdict, evaluate_conditions, evaluate_time
from headrace.expression.errors import ExpressionError
from headrace.expression.values import Struct, TypedList, Value, floats, from_json

NOW = 1_800_000_000.25
VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "conditions.json").read_text())


def value_of(case: dict[str, Any]) -> Value:
    match case["kind"]:
        case "float":
            return case.get("result")
        case "floats":
            return floats(case["result"])
        case "nilptr":
            return None
        case _:
            return from_json(case["result"])


@pytest.mark.parametrize(
    "case", VECTORS, ids=lambda case: f"{case['kind']}:{case.get('success', case.get('failure'))}"
)
def test_agrees_with_the_reference(case: dict[str, Any]) -> None:
    verdict = evaluate_conditions(
        value_of(case), case.get("success", ""), case.get("failure", ""), now=NOW
    )
    assert verdict == Verdict(case["phase"], case.get("error", ""))


@pytest.mark.parametrize(
    ("success", "failure", "phase"),
    [
        ("", "", "Successful"),
        ("true", "", "Successful"),
        ("false", "", "Failed"),
        ("", "true", "Failed"),
        ("", "false", "Successful"),
        ("true", "true", "Failed"),
        ("false", "true", "Failed"),
        ("true", "false", "Successful"),
        ("false", "false", "Inconclusive"),
    ],
)
def test_follows_the_truth_table(success: str, failure: str, phase: str) -> None:
    assert evaluate_conditions(1.0, success, failure, now=NOW).phase == phase


@pytest.mark.parametrize("result", [None, floats([]), []])
def test_no_conditions_are_successful_even_without_a_result(result: Value) -> None:
    assert evaluate_conditions(result, "", "", now=NOW) == Verdict("Successful")


def test_evaluates_the_success_condition_first() -> None:
    verdict = evaluate_conditions(1.0, "nope", "nope too(", now=NOW)
    assert verdict.message == 'could not evaluate successCondition "nope": unknown name nope'


@pytest.mark.parametrize(
    ("expression", "type_name"),
    [
        ("result", "float64"),
        ("asInt(result)", "int64"),
        ("nil", "<nil>"),
        ("[1]", "[]interface {}"),
        ("duration('1s')", "time.Duration"),
    ],
)
def test_wants_a_bool(expression: str, type_name: str) -> None:
    verdict = evaluate_conditions(1.0, "", expression, now=NOW)
    assert verdict.phase == "Error"
    assert verdict.message.endswith(f": expected bool, but got {type_name}")


def test_default_and_is_nil_look_at_the_whole_result_only() -> None:
    result = from_json({"n": None})
    assert evaluate_conditions(result, "default(result.n, 7) == 7", "", now=NOW).phase == "Failed"
    assert evaluate_conditions(result, "isNil(result.n)", "", now=NOW).phase == "Failed"
    assert evaluate_conditions(None, "isNil(5)", "", now=NOW).phase == "Successful"


def test_not_a_number_satisfies_no_condition() -> None:
    result = floats([float("nan")])
    assert evaluate_conditions(result, "result[0] > 0.9", "", now=NOW).phase == "Failed"
    assert evaluate_conditions(result, "result[0] <= 0.9", "", now=NOW).phase == "Failed"
    assert evaluate_conditions(result, "isNaN(result[0])", "", now=NOW).phase == "Successful"


def test_cuts_a_message_that_quotes_a_huge_text() -> None:
    verdict = evaluate_conditions("x" * 900_000, "duration(result) > duration('1s')", "", now=NOW)
    assert verdict.phase == "Error"
    assert len(verdict.message) < 20_000


def test_evaluates_a_time_relative_to_the_given_one() -> None:
    assert evaluate_time("now()", NOW) == NOW
    assert evaluate_time('now() - duration("90m")', NOW) == NOW - 5400
    assert evaluate_time('date("1970-01-02")', NOW) == 86_400


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1", "expected time.Time, but got int"),
        ('"now"', "expected time.Time, but got string"),
        ("result", "unknown name result"),
        ("asInt(1)", "unknown name asInt"),
        ("now(", "unexpected token EOF"),
    ],
)
def test_refuses_what_says_no_time(expression: str, message: str) -> None:
    with pytest.raises(ExpressionError) as refusal:
        evaluate_time(expression, NOW)
    assert str(refusal.value) == message


def test_sees_the_fields_of_structs() -> None:
    series = gotypes.struct_of(
        "types.MetricDataResult",
        (("Id", gotypes.pointer_to(gotypes.STRING)), ("Values", gotypes.FLOAT_SLICE)),
    )
    result = TypedList(
        gotypes.slice_of(series), [Struct(series, {"Id": "errors", "Values": floats([0.005])})]
    )
    condition = (
        'result[0].Id == "errors" && len(result[0].Values) > 0 && all(result[0].Values, {# < 0.01})'
    )
    assert evaluate_conditions(result, condition, "", now=NOW) == Verdict("Successful")
    verdict = evaluate_conditions(result, "result[0].Labels", "", now=NOW)
    assert verdict.message.endswith(": type types.MetricDataResult has no field Labels")
