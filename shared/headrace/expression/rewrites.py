"""Rewrites a checked tree as the reference does, where the difference can be observed.

The reference rewrites for speed, but what it leaves out of the evaluation cannot fail there, and
what it does early fails early. So ``result[9] > 1 and false`` is false without a tenth element,
``1 % 0`` is refused in a branch never taken, ``filter(a, p)[0]`` stops at the first element found,
and ``x in ["a", "b"]`` takes only texts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headrace.expression import operators, syntax
from headrace.expression.checker import Checker
from headrace.expression.errors import CompileError
from headrace.expression.limits import Budget
from headrace.expression.syntax import (
    Array,
    Binary,
    Boolean,
    BuiltinCall,
    Float,
    Integer,
    Member,
    Node,
    Pointer,
    Predicate,
    String,
    Unary,
)
from headrace.expression.values import wrap

_Rule = Callable[[Node], Node]


def rewrite(node: Node, checker: Checker) -> Node:
    """Returns the tree that is compiled.

    Raises:
        CompileError: a constant part of it cannot be evaluated.
    """
    for rule in _RULES:
        node = _apply(rule, node, checker)
    return node


def _apply(rule: _Rule, node: Node, checker: Checker) -> Node:
    """Applies a rule to a tree, from the leaves up."""
    below = syntax.map_children(node, lambda child: _apply(rule, child, checker))
    changed = rule(below)
    if changed is not node:
        checker.copy_nature(node, changed)
    return changed


def _in_strings(node: Node) -> Node:
    match node:
        case Binary("in", left, Array(elements)) if elements:
            if all(isinstance(element, String) for element in elements):
                texts = frozenset(one.value for one in elements if isinstance(one, String))
                return Binary("in", left, syntax.StringSet(texts))
    return node


# Constants.


def _fold(node: Node) -> Node:
    match node:
        case Unary("-", Integer(value)):
            return Integer(wrap(-value))
        case Unary("-", Float(value)):
            return Float(-value)
        case Unary("+", Integer() | Float() as operand):
            return operand
        case Unary("!" | "not", Boolean(value)):
            return Boolean(not value)
        case Binary("and" | "&&" as operator, left, right):
            return _fold_logic(node, operator, left, right, neutral=True)
        case Binary("or" | "||" as operator, left, right):
            return _fold_logic(node, operator, left, right, neutral=False)
        case Binary("+", String(left_text), String(right_text)):
            return String(left_text + right_text)
        case Binary(operator, Integer() | Float() as left, Integer() | Float() as right):
            return _fold_arithmetic(node, operator, left, right)
        case Binary("==", String() | Boolean() as left, String() | Boolean() as right):
            return Boolean(left == right) if type(left) is type(right) else node
        case BuiltinCall(
            "filter", (BuiltinCall("filter", (base, Predicate(first))), Predicate(then))
        ):
            return BuiltinCall("filter", (base, Predicate(Binary("&&", first, then))))
    return node


def _fold_logic(node: Node, operator: str, left: Node, right: Node, *, neutral: bool) -> Node:
    """Leaves out ``true and``, ``or false``…; ``and false`` and ``or true`` decide."""
    if left == Boolean(neutral):
        return right
    if right == Boolean(neutral):
        return left
    if Boolean(not neutral) in (left, right):
        return Boolean(not neutral)
    return node


def _fold_arithmetic(
    node: Node, operator: str, left: Integer | Float, right: Integer | Float
) -> Node:
    one, other = left.value, right.value
    integers = isinstance(one, int) and isinstance(other, int)
    result: int | float
    match operator:
        case "+":
            result = operators.add(one, other, Budget())
        case "-":
            result = operators.subtract(one, other)
        case "*":
            result = operators.multiply(one, other)
        case "/":
            result = operators.divide(one, other)
        case "**" | "^":
            result = operators.power(one, other)
        case "%" if integers:
            if not other:
                raise CompileError("integer divide by zero")
            result = operators.modulo(one, other)
        case "==" if integers:
            return Boolean(one == other)
        case _:
            return node
    return Float(result) if isinstance(result, float) else Integer(result)


# Functions over collections.


def _map_of_filter(node: Node) -> Node:
    match node:
        case BuiltinCall("map", (BuiltinCall("filter") as inner, Predicate(body))):
            if inner.transform is None and not _mentions_index(body):
                return replace(inner, transform=body)
    return node


def _mentions_index(node: Node) -> bool:
    return node == Pointer("index") or any(map(_mentions_index, node.children()))


def _length_of_filter(node: Node) -> Node:
    match node:
        case BuiltinCall("len", (BuiltinCall("filter", arguments),)):
            return BuiltinCall("count", arguments)
    return node


def _end_of_filter(node: Node) -> Node:
    """Makes the first or last element of a filter a search, which stops when it has found."""
    match node:
        case Member(BuiltinCall("filter") as inner, Integer(0 | -1 as position), optional=False):
            name = "findLast" if position else "find"
            return replace(inner, name=name, required=True)
        case BuiltinCall("first" | "last" as end, (BuiltinCall("filter") as inner,)):
            return replace(inner, name="findLast" if end == "last" else "find")
    return node


_COMBINED = {
    ("all", "and"): "and",
    ("all", "&&"): "&&",
    ("any", "or"): "or",
    ("any", "||"): "||",
    ("none", "and"): "or",
    ("none", "&&"): "||",
}


def _combined_predicates(node: Node) -> Node:
    """Makes ``all(a, p) && all(a, q)`` one loop."""
    match node:
        case Binary(
            operator,
            BuiltinCall(name, (collection, Predicate(first))),
            BuiltinCall(other_name, (other, Predicate(then))),
        ) if name == other_name and collection == other:
            combined = _COMBINED.get((name, operator))
            if combined is not None:
                body = _combined_predicates(Binary(combined, first, then))
                return BuiltinCall(name, (collection, Predicate(body)))
    return node


def _sum_of_map(node: Node) -> Node:
    match node:
        case BuiltinCall("sum", (BuiltinCall("map", arguments),)):
            return BuiltinCall("sum", arguments)
    return node


def _compared_count(node: Node) -> Node:
    """Makes ``count(a, p) > 0`` an any(), and lets other counts stop where they are decided."""
    match node:
        case Binary(
            ">" | ">=" | "<" | "<=" as operator,
            BuiltinCall("count", (_, _) as arguments) as counting,
            Integer(bound) as right,
        ) if bound >= 0:
            threshold = bound + (operator in (">", "<="))
            if threshold == 1 and operator in (">", ">="):
                return BuiltinCall("any", arguments)
            if threshold > 1:
                return Binary(operator, replace(counting, threshold=threshold), right)
    return node


_RULES: tuple[_Rule, ...] = (
    _in_strings,
    _fold,
    _map_of_filter,
    _length_of_filter,
    _end_of_filter,
    _combined_predicates,
    _sum_of_map,
    _compared_count,
)
