"""What expressions of somebody who means no good cost."""

from __future__ import annotations

import sys
import traceback
from itertools import pairwise

import pytest

from headrace.expression.conditions import environment_of
from headrace.expression.errors import ExpressionError
from headrace.expression.limits import Budget
from headrace.expression.program import evaluate
from headrace.expression.values import floats

DOUBLED = "abcdefghijklmnopqrstuvw"


def doubling(start: str, step: str, last: str) -> str:
    """Returns an expression in which each of many variables is made of two of the one before."""
    lets = [f"let {DOUBLED[0]} = {start};"]
    for before, name in pairwise(DOUBLED):
        lets.append(f"let {name} = {step.replace('@', before)};")
    return " ".join(lets) + last.replace("@", DOUBLED[-1])


@pytest.mark.parametrize(
    "expression",
    [
        "all(1..900, all(1..900, all(1..900, # > 0)))",
        "1..9223372036854775807",
        "-9223372036854775807..9223372036854775807",
        "map(1..900000, [#])",
        "len(map(1..900, map(1..900, map(1..900, #))))",
        "repeat('ab', 900000)",
        "uniq(1..400000)",
        "all(result, # < sum(result))",
        "all(1..900000, sort(result) != nil)",
        "sort(map(1..300000, string(#)))",
        "groupBy(1..400000, #)",
        "fromJSON(repeat('[],', 300000))",
        "replace(repeat('a', 900000), 'a', 'bbbbbbbbbbbbbbbb')",
        "split(repeat('a,', 400000), ',')",
        "let s = repeat('a', 300000); all(1..600000, not (s contains 'zz'))",
        "let s = repeat('a', 300000); let t = s + 'b'; all(1..600000, t > s)",
        "let s = repeat('a', 300000) + 'é'; all(1..600000, s[1:2] == 'a')",
        "let s = repeat('a', 300000); s matches '(a?){500}b'",
        "all(1..600000, not ('x' matches ('a' + string(#))))",
        "all(1..600000, date('2024-01-02') != nil)",
        "all(1..600000, now().Format('2006') != '')",
        doubling("'xxxxxxxx'", "@ + @", "len(@)"),
        doubling("[1, 1]", "concat(@, @)", "len(@)"),
        doubling("[1, 1]", "[@, @]", "toJSON(@)"),
        doubling("[1, 1]", "[@, @]", "string(@)"),
        doubling("[1, 1]", "[@, @]", "flatten(@)"),
        doubling("[1, 1]", "[@, @]", "max(@)"),
        doubling("[1, 1]", "[@, @]", "@ == [@[0], [@[1][0], @[1][1]]]"),
    ],
)
@pytest.mark.timeout(10)
def test_gives_up_on_what_costs_too_much(expression: str) -> None:
    with pytest.raises(ExpressionError, match="budget exceeded"):
        evaluate(expression, environment_of(floats([1.0] * 5000)), now=0.0)


def nested(start: str, around: str, levels: int) -> str:
    for _ in range(levels):
        start = around.replace("@", start)
    return start


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (nested("true", "(@ ?: false)", 50), True),
        (nested("1", "len([0 < @ < 2])", 17), 1),
        (nested("1", "len([@ in 1..2])", 17), 1),
        (nested("[1]", "sort(@)", 50), [1]),
        (nested("'a'", "trim(@)", 50), "a"),
        ("sum([" + ",".join(["result[0]"] * 900) + "])", 900.0),
        ("[" + ",".join(["1"] * 4900) + "]", [1] * 4900),
        (" or ".join(["false"] * 90 + ["true"]), True),
        (" || ".join(["any(result, # > 2)"] * 90), False),
        ("1;" * 4000, 1),
        ("bitshl(1, 9223372036854775807)", 0),
        ("2 ** 2 ** 2 ** 2 ** 2 ** 2 > 0", True),
    ],
)
@pytest.mark.timeout(5)
def test_large_expressions_are_quick(expression: str, value: object) -> None:
    assert evaluate(expression, environment_of(floats([1.0] * 100)), now=0.0) == value


def test_the_deepest_expressions_fit_on_the_stack() -> None:
    used = len(traceback.extract_stack())
    limit = sys.getrecursionlimit()
    deepest = (
        nested("1", "len([@])", 29),
        nested("1", "(@ + 1)", 55),
        nested("[1]", "map(@, {#})", 55),
        nested("1", "(true ? @ : 2)", 28),
        "1" + " + result[0]" * 95,
        "not " * 55 + "true",
    )
    sys.setrecursionlimit(used + 700)
    try:
        for expression in deepest:
            evaluate(expression, environment_of(floats([1.0])), now=0.0)
    finally:
        sys.setrecursionlimit(limit)


def test_what_is_spent_is_gone() -> None:
    budget = Budget(steps=10, memory_units=10, text_characters=10)
    budget.spend_steps(10)
    budget.spend_text(10)
    budget.spend_memory(9)
    for spend in (budget.spend_steps, budget.spend_text, budget.spend_memory):
        with pytest.raises(ExpressionError, match="budget exceeded"):
            spend(1)
