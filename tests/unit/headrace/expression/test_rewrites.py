"""Rewriting that can be observed."""

from __future__ import annotations

import pytest

from headrace.expression import gotypes
from headrace.expression.checker import Checker
from headrace.expression.errors import CompileError
from headrace.expression.parser import parse
from headrace.expression.program import evaluate
from headrace.expression.rewrites import rewrite
from headrace.expression.syntax import Binary, BuiltinCall, StringSet
from headrace.expression.values import Value


def rewritten(expression: str) -> object:
    tree = parse(expression)
    checker = Checker({"x": gotypes.ANY})
    checker.visit(tree)
    return rewrite(tree, checker)


@pytest.mark.parametrize(
    ("expression", "same_as"),
    [
        ("1 + 2 * 3", "7"),
        ("-(1)", "-1"),
        ("1 - 0.5", "0.5"),
        ("'a' + 'b' + 'c'", "'abc'"),
        ("not true or x", "x"),
        ("x and false", "false"),
        ("true or x", "true"),
        ("filter(filter(x, # > 1), # < 5)", "filter(x, # > 1 && # < 5)"),
        ("len(filter(x, # > 1))", "count(x, # > 1)"),
        ("first(filter(x, # > 1))", "find(x, # > 1)"),
        ("last(filter(x, # > 1))", "findLast(x, # > 1)"),
        ("all(x, # > 1) && all(x, # < 5)", "all(x, # > 1 && # < 5)"),
        ("none(x, # > 5) && none(x, # < 1)", "none(x, # > 5 || # < 1)"),
        ("any(x, # > 1) && any(x, # < 5)", "any(x, # > 1) && any(x, # < 5)"),
        ("sum(map(x, # * 2))", "sum(x, # * 2)"),
        ("count(x, # > 1) > 0", "any(x, # > 1)"),
        ("count(x, # > 1) >= 1", "any(x, # > 1)"),
    ],
)
def test_has_the_same_meaning_as(expression: str, same_as: str) -> None:
    assert rewritten(expression) == rewritten(same_as)


def test_lets_a_count_stop_where_it_is_decided() -> None:
    found = rewritten("count(x, # > 1) > 5")
    assert isinstance(found, Binary)
    assert isinstance(found.left, BuiltinCall)
    assert found.left.threshold == 6


def test_makes_texts_a_set() -> None:
    found = rewritten("x in ['a', 'b']")
    assert found == Binary("in", parse("x"), StringSet(frozenset(("a", "b"))))


def test_refuses_a_constant_division_by_zero_anywhere() -> None:
    with pytest.raises(CompileError, match=r"^integer divide by zero$"):
        rewritten("false ? 1 % 0 : 2")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("x[9] > 1 and false", False),
        ("filter(x, # == 1)[0]", 1.0),
        ("count(x, # == 1) > 0", True),
        ("map(filter(x, # == 1), # * 2)[0]", 2.0),
    ],
)
def test_what_is_left_out_cannot_fail(expression: str, value: Value) -> None:
    assert evaluate(expression, {"x": [1.0]}, now=0.0) == value
