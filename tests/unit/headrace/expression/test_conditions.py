"""The reference's answers, and the truth table around the expressions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.expression.conditions import Verdict, evaluate_conditions, evaluate_time
from headrace.expression.errors import ExpressionError
from headrace.expression.values import Value, floats, from_json

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
