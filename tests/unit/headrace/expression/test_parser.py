"""Syntax trees."""

from __future__ import annotations

import pytest

from headrace.expression import syntax
from headrace.expression.errors import CompileError
from headrace.expression.limits import MAX_DEPTH, MAX_EXPRESSION_CHARACTERS, MAX_NESTING
from headrace.expression.parser import parse
from headrace.expression.syntax import (
    Array,
    Binary,
    BuiltinCall,
    Call,
    Chain,
    Comparisons,
    Conditional,
    Identifier,
    Integer,
    Let,
    Member,
    Nil,
    Node,
    Pointer,
    Predicate,
    Sequence,
    Slice,
    String,
    Unary,
)

A, B, C = Identifier("a"), Identifier("b"), Identifier("c")


@pytest.mark.parametrize(
    ("source", "tree"),
    [
        ("a + b * c", Binary("+", A, Binary("*", B, C))),
        ("a - b - c", Binary("-", Binary("-", A, B), C)),
        ("a ** b ** c", Binary("**", A, Binary("**", B, C))),
        ("-a ** b", Unary("-", Binary("**", A, B))),
        ("not a == b", Binary("==", Unary("not", A), B)),
        ("a or b and c", Binary("or", A, Binary("and", B, C))),
        ("a not in b", Unary("not", Binary("in", A, B))),
        ("a < b <= c", Comparisons(("<", "<="), (A, B, C))),
        ("a ? b : c", Conditional(A, B, C)),
        ("a ?: b", Conditional(A, None, B)),
        ("a ?? b ?? c", Binary("??", Binary("??", A, B), C)),
        ("if a {b} else {c}", Conditional(A, B, C)),
        ("if a {b} else if b {c} else {a}", Conditional(A, B, Conditional(B, C, A))),
        ("let x = a; x", Let("x", A, Identifier("x"))),
        ("a; b", Sequence((A, B))),
        ("a.b", Member(A, String("b"))),
        ("a.in", Member(A, String("in"))),
        ("a[b]", Member(A, B)),
        ("a?.b.c", Chain(Member(Member(A, String("b"), optional=True), String("c")))),
        ("a?.[b]", Chain(Member(A, B, optional=True))),
        ("a[b:]", Slice(A, B, None)),
        ("a[:b]", Slice(A, None, B)),
        ("a.b(c)", Call(Member(A, String("b"), method=True), (C,))),
        ("a(b, c,)", Call(A, (B, C))),
        ("[a, b,]", Array((A, B))),
        ("a | len()", BuiltinCall("len", (A,))),
        ("a | b(c)", Call(B, (A, C))),
        ("all(a, # > 1)", BuiltinCall(
            "all", (A, Predicate(Binary(">", Pointer(""), Integer(1))))
        )),
        ("map(a, .b)", BuiltinCall("map", (A, Predicate(Member(Pointer(""), String("b")))))),
        ("count(a)", BuiltinCall("count", (A,))),
        ("nil", Nil()),
    ],
)  # fmt: skip
def test_builds_the_tree(source: str, tree: Node) -> None:
    assert parse(source) == tree


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "unexpected token EOF"),
        ("a b", 'unexpected token Identifier("b")'),
        ("a.", "unexpected end of expression"),
        ("a.1", 'unexpected token Number(".1")'),
        ("(a", "unexpected token EOF"),
        ("a = 1", 'unexpected token Operator("=")'),
        ("#", 'unexpected token Operator("#")'),
        ("a?.", "unexpected end of expression"),
        ("a.+ b", "expected name"),
        ("all(a)", "expected at least 2 arguments"),
        ("all(a, # > 0; true)", "wrap predicate with brackets { and }"),
        (
            "a ?? b > c",
            "Operator (>) and coalesce expressions (??) cannot be mixed. "
            "Wrap either by parentheses.",
        ),
        (
            "{[a]: 1}",
            "a map key must be a quoted string, a number, a identifier, or an expression "
            'enclosed in parentheses (unexpected token Bracket("["))',
        ),
        (
            "9223372036854775808",
            'invalid integer literal: strconv.ParseInt: parsing "9223372036854775808": '
            "value out of range",
        ),
    ],
)
def test_refuses_what_is_no_expression(source: str, message: str) -> None:
    with pytest.raises(CompileError) as refusal:
        parse(source)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    "source",
    [
        "(" * (MAX_NESTING + 1) + "a" + ")" * (MAX_NESTING + 1),
        "[" * 5000,
        "- " * 4000 + "1",
        "2 ** " * 500 + "2",
        "a ? b : " * 500 + "c",
        "let x = 1; " * 500 + "x",
        "if a {b} else " * 500 + "{c}",
        " + ".join("a" * (MAX_DEPTH + 2)),
        "a" + ".b" * 1000,
        "a" + "?.b" * 1000,
        "a" + "[0]" * 1000,
        "a" + "()" * 1 + ".b()" * 1000,
        "a" + " | len()" * 1000,
    ],
)
def test_refuses_what_is_nested_too_deeply(source: str) -> None:
    with pytest.raises(CompileError, match="nested too deeply"):
        parse(source)


def test_refuses_what_is_too_long() -> None:
    with pytest.raises(CompileError, match="too long"):
        parse("1" + " " * MAX_EXPRESSION_CHARACTERS)


def test_nodes_know_their_depth_and_size() -> None:
    tree = parse("a + b * [c, 1]")
    assert tree.depth == 4
    assert tree.size() == 7


def test_changes_children_only_where_something_changes() -> None:
    tree = parse("all(a, # > b)")
    assert syntax.map_children(tree, lambda node: node) is tree
    renamed = syntax.map_children(tree, lambda node: C if node == A else node)
    assert renamed == parse("all(c, # > b)")
