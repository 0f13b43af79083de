"""Static types."""

from __future__ import annotations

import pytest

from headrace.expression import gotypes
from headrace.expression.checker import Checker
from headrace.expression.errors import CompileError
from headrace.expression.gotypes import GoType
from headrace.expression.parser import parse

METRIC = gotypes.struct_of(
    "types.MetricDataResult",
    (("Values", gotypes.FLOAT_SLICE), ("Id", gotypes.pointer_to(gotypes.STRING))),
)
ENVIRONMENT: dict[str, GoType | None] = {
    "number": gotypes.FLOAT64,
    "text": gotypes.STRING,
    "floats": gotypes.FLOAT_SLICE,
    "list": gotypes.ANY_SLICE,
    "map": gotypes.STRING_MAP,
    "unknown": gotypes.ANY,
    "nothing": None,
    "metrics": gotypes.slice_of(METRIC),
}


def type_of(expression: str) -> str:
    return str(Checker(ENVIRONMENT).visit(parse(expression)))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 1", "int"),
        ("1 + 1.5", "float64"),
        ("7 / 2", "float64"),
        ("2 ** 3", "float64"),
        ("unknown + 1", "unknown"),
        ("unknown > 1", "bool"),
        ("floats[0]", "float64"),
        ("list[0]", "interface {}"),
        ("map.a", "interface {}"),
        ("unknown.a", "unknown"),
        ("floats[1:]", "[]float64"),
        ("filter(floats, # > 1)[0]", "float64"),
        ("map(floats, string(#))[0]", "string"),
        ("first(floats)", "float64"),
        ("max(1, 2)", "int"),
        ("max(floats)", "interface {}"),
        ("nothing ?? 1", "int"),
        ("true ? 1 : nil", "int"),
        ("true ? 1 : 'a'", "unknown"),
        ("1..3", "[]interface {}"),
        ("date('') - date('')", "time.Duration"),
        ("date('') + duration('')", "time.Time"),
        ("duration('').Minutes()", "float64"),
        ("metrics[0].Values", "[]float64"),
        ("metrics[0].Values[0]", "float64"),
        ("metrics[0].Id == 'x'", "bool"),
        ("len(metrics)", "int"),
        ("{a: 1}", "map[string]interface {}"),
        ("fromPairs([])", "map[interface {}]interface {}"),
        ("b'x'", "[]uint8"),
    ],
)
def test_finds_the_type(expression: str, expected: str) -> None:
    assert type_of(expression) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("floats < 1", "invalid operation: < (mismatched types []float64 and int)"),
        ("1 < text < 2", "invalid operation: < (mismatched types int and string)"),
        ("number == text", "invalid operation: == (mismatched types float64 and string)"),
        (
            "map and true",
            "invalid operation: and (mismatched types map[string]interface {} and bool)",
        ),
        ("-text", "invalid operation: - (mismatched type string)"),
        ("number % 2", "invalid operation: % (mismatched types float64 and int)"),
        ("nothing + 1", "invalid operation: + (mismatched types unknown and int)"),
        ("nothing.a", "type nil has no field a"),
        ("nothing()", "nothing is nil; cannot call nil as function"),
        ("text.a", "type string has no field a"),
        ("text.a()", "type string has no method a"),
        ("text[0]", "type string[int] is undefined"),
        ("floats.a", "array elements can only be selected using an integer (got string)"),
        ("map[1]", "cannot use int to get an element from map[string]interface {}"),
        ("number[1:]", "cannot slice float64"),
        ("text['a':]", "non-integer slice index string"),
        ("metrics[0].Foo", "type types.MetricDataResult has no field Foo"),
        ("all(number, # > 1)", "builtin all takes only array (got float64)"),
        ("all(floats, #)", "predicate should return boolean (got float64)"),
        ("map(floats, #foo)", "unknown pointer #foo"),
        ("len(number)", "invalid argument for len (type float64)"),
        ("len(nil)", "invalid argument for len (type %!s(<nil>))"),
        ("upper(number)", "cannot use float64 as argument (type string) to call upper "),
        ("upper()", "not enough arguments to call upper"),
        ("upper(text, text)", "too many arguments to call upper"),
        ("upper(nil)", "cannot use nil as argument (type string) to call upper"),
        ("'a' in floats", "cannot use string as type float64 in array"),
        ("1 in map", "cannot use int as type string in map key"),
        ("'a' in text", "invalid operation: in (mismatched types string and string)"),
        ("number ? 1 : 2", "non-bool expression (type float64) used as condition"),
        ("let number = 1; 2", "cannot redeclare number"),
        ("let len = 1; 2", "cannot redeclare builtin len"),
        ("let x = 1; let x = 2; x", "cannot redeclare variable x"),
        ("foo", "unknown name foo"),
        ("text matches '('", "error parsing regexp: missing closing ): `(`"),
        ("get(number, 0)", "type float64 does not support indexing"),
        ("sortBy(floats, #, 1)", "sortBy order argument must be a string (got int)"),
    ],
)  # fmt: skip
def test_refuses_what_cannot_be_right(expression: str, message: str) -> None:
    with pytest.raises(CompileError) as refusal:
        type_of(expression)
    assert str(refusal.value) == message


def test_looks_at_nested_overloads_once() -> None:
    nested = "[1]"
    for _ in range(50):
        nested = f"sort({nested})"
    assert type_of(nested) == "[]interface {}"


def test_refuses_too_many_patterns() -> None:
    with pytest.raises(CompileError, match="too many patterns"):
        type_of("[" + ",".join(f"text matches '{number}'" for number in range(65)) + "]")


@pytest.mark.parametrize(
    "expression", ["$env[len()]", "$env[0:len()]", "unknown[0:len()]", "unknown[len():]"]
)
def test_what_stands_in_brackets_is_checked_whatever_stands_before(expression: str) -> None:
    with pytest.raises(CompileError, match="invalid number of arguments"):
        type_of(expression)
