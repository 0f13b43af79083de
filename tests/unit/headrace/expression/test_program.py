"""The language as a whole: the reference's values and errors, and what programs share."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from headrace.expression import conditions, gotypes, program
from headrace.expression.errors import CompileError, ExpressionError
from headrace.expression.limits import MAX_CACHED_PROGRAMS, Budget
from headrace.expression.printing import print_value
from headrace.expression.values import Value, floats, from_json, type_name

NOW = 1_800_000_000.0
# Made by evaluating the expressions with the reference's own library (expr 1.17.8) in the
# environment of conditions: the type and printed form of the value, or the text of the error.
REFERENCE: dict[str, Any] = json.loads((Path(__file__).parent / "reference.json").read_text())


def result_of(name: str) -> Value:
    result = REFERENCE["results"][name]
    if name == "special":
        return floats([math.nan, math.inf, -math.inf, 1.5])
    return floats(result["value"]) if result["kind"] == "floats" else from_json(result["value"])


def answer(expression: str, result: Value) -> dict[str, str]:
    environment = conditions.environment_of(result)
    try:
        value = program.evaluate(expression, environment, now=NOW)
    except ExpressionError as error:
        return {"error": str(error)}
    return {"type": type_name(value), "value": print_value(value, Budget())}


@pytest.mark.parametrize("name", REFERENCE["results"])
def test_gives_the_values_and_errors_of_the_reference(name: str) -> None:
    result = result_of(name)
    cases = [case for case in REFERENCE["cases"] if case["on"] == name]
    assert cases
    differing = [
        (case, found)
        for case in cases
        if (found := answer(case["expression"], result)).items() - case.items()
    ]
    assert not differing


def test_says_the_time_that_it_is_given() -> None:
    assert program.evaluate("now().Unix()", {}, now=86_400.5) == 86_400
    assert program.evaluate("now() - duration('1h') < now()", {}, now=0.0) is True


def test_types_the_environment_by_its_values() -> None:
    assert program.evaluate("x < 1", {"x": 0.5}, now=NOW) is True
    with pytest.raises(CompileError, match="mismatched types string and int"):
        program.evaluate("x < 1", {"x": "0.5"}, now=NOW)


def test_runs_a_program_on_any_number_of_environments() -> None:
    compiled = program.compile_program("let y = x * 2; y + 1", (("x", gotypes.ANY),))
    assert compiled.variables == 1
    with pytest.raises(ExpressionError):
        compiled.run({"x": None}, now=NOW)
    assert compiled.run({"x": 1.5}, now=NOW) == 4.0


def test_keeps_a_bounded_number_of_programs() -> None:
    for number in range(MAX_CACHED_PROGRAMS + 10):
        program.evaluate(f"{number} + 1", {}, now=NOW)
    assert program.cached_programs() <= MAX_CACHED_PROGRAMS


def test_does_not_keep_long_programs() -> None:
    before = program.cached_programs()
    program.evaluate("1 + " * 90 + "1" + " " * 1000, {}, now=NOW)
    assert program.cached_programs() == before
