"""The Go types of Python values."""

from __future__ import annotations

import pytest

from headrace.expression import gotypes, values
from headrace.expression.errors import EvaluationError
from headrace.expression.values import AnyMap, Value


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "<nil>"),
        (True, "bool"),
        (1, "int"),
        (values.Int64(1), "int64"),
        (values.Uint8(1), "uint8"),
        (1.5, "float64"),
        ("a", "string"),
        (b"a", "[]uint8"),
        ([1], "[]interface {}"),
        (values.floats([1]), "[]float64"),
        (range(3), "[]int"),
        ({"a": 1}, "map[string]interface {}"),
        (AnyMap(gotypes.GROUP_MAP), "map[interface {}][]interface {}"),
        (values.Duration(1), "time.Duration"),
        (values.Time(0), "time.Time"),
        (values.Location("UTC", 0), "*time.Location"),
    ],
)
def test_names_the_type(value: Value, name: str) -> None:
    assert values.type_name(value) == name


def test_refuses_a_foreign_value() -> None:
    with pytest.raises(TypeError, match="no value of the condition language: complex"):
        values.type_of(1j)


def test_json_numbers_are_floats() -> None:
    decoded = values.from_json({"a": 1, "b": [True, None, 10**400, -(10**400), "x"]})
    assert decoded == {"a": 1.0, "b": [True, None, float("inf"), float("-inf"), "x"]}
    assert type(decoded["a"]) is float


def test_refuses_json_that_is_nested_too_deeply() -> None:
    nested: Value = []
    for _ in range(500):
        nested = [nested]
    with pytest.raises(EvaluationError, match="recursion depth exceeded"):
        values.from_json(nested)


def test_keys_of_different_types_are_different() -> None:
    entries = AnyMap(gotypes.ANY_MAP)
    entries[1], entries[1.0], entries[True] = "int", "float", "bool"
    assert [entries.get(1), entries.get(1.0), entries.get(True)] == ["int", "float", "bool"]
    assert len(entries) == 3


def test_refuses_a_key_that_cannot_be_one() -> None:
    with pytest.raises(EvaluationError, match=r"hash of unhashable type: \[\]interface \{\}"):
        AnyMap(gotypes.ANY_MAP)[[1]] = 1


@pytest.mark.parametrize(
    ("number", "integer"),
    [(1.9, 1), (-1.9, -1), (1e30, -(2**63)), (float("nan"), -(2**63)), (float("inf"), -(2**63))],
)
def test_truncates_to_64_bits(number: float, integer: int) -> None:
    assert values.truncate(number) == integer
