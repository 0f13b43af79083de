"""Members, elements, slices and membership."""

from __future__ import annotations

import pytest

from headrace.expression import access, gotypes
from headrace.expression.errors import EvaluationError
from headrace.expression.limits import Budget
from headrace.expression.values import (
    NIL_SLICE,
    AnyMap,
    Duration,
    Function,
    Struct,
    TypedList,
    Uint8,
    Value,
    floats,
)

METRIC = Struct(
    gotypes.struct_of("types.Result", (("Values", gotypes.FLOAT_SLICE),)),
    {"Values": floats([1, 2])},
)


def any_map(**entries: Value) -> AnyMap:
    made = AnyMap(gotypes.ANY_MAP)
    for key, element in entries.items():
        made[key] = element
    return made


@pytest.mark.parametrize(
    ("base", "key", "expected"),
    [
        ({"a": 1}, "a", 1),
        ({"a": 1}, "b", None),
        ({"": 1}, None, 1),
        ([1, 2], -1, 2),
        ([1, 2], 1.9, 2),
        (range(5), 3, 3),
        ("é", 0, Uint8(0xC3)),
        (b"ab", 1, Uint8(98)),
        (any_map(a=5), "a", 5),
        (AnyMap(gotypes.GROUP_MAP), "a", NIL_SLICE),
        (METRIC, "Values", [1.0, 2.0]),
    ],
)
def test_fetches(base: Value, key: Value, expected: Value) -> None:
    assert access.fetch(base, key, Budget()) == expected


def test_fetches_methods() -> None:
    method = access.fetch(Duration(10**9), "Seconds", Budget())
    assert isinstance(method, Function)


@pytest.mark.parametrize(
    ("base", "key", "message"),
    [
        ([1], 3, "index out of range: 3 (array length is 1)"),
        ([1], -2, "index out of range: -1 (array length is 1)"),
        ([1], "a", "invalid operation: int(string)"),
        (None, "a", "cannot fetch a from <nil>"),
        (1.5, 0, "cannot fetch 0 from float64"),
        (METRIC, "Nope", "cannot fetch Nope from types.Result"),
        (
            {"a": 1},
            1,
            "reflect.Value.MapIndex: value of type int is not assignable to type string",
        ),
    ],
)
def test_refuses_to_fetch_what_is_not_there(base: Value, key: Value, message: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        access.fetch(base, key, Budget())
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("base", "key", "expected"),
    [([1], 0, 1), ([1], 5, None), ([1], -5, None), (None, "a", None), ({"a": 1}, "b", None),
     (any_map(a=1), "a", 1), (METRIC, "Nope", None), (1.5, "a", None)],
)  # fmt: skip
def test_get_gives_nil_for_what_is_not_there(base: Value, key: Value, expected: Value) -> None:
    assert access.get(base, key, Budget()) == expected


def cut(base: Value, start: Value, end: Value) -> Value:
    return access.cut(base, start, end, open_end=end is None, budget=Budget())


@pytest.mark.parametrize(
    ("base", "start", "end", "expected"),
    [
        ([1, 2, 3], 1, None, [2, 3]),
        ([1, 2, 3], 0, -1, [1, 2]),
        ([1, 2, 3], 2, 1, []),
        ([1, 2, 3], -9, 9, [1, 2, 3]),
        ("hello", 1, 3, "el"),
        ("héllo", 0, 3, "hé"),
        (range(10), 2, 4, range(2, 4)),
    ],
)
def test_cuts(base: Value, start: Value, end: Value, expected: Value) -> None:
    assert cut(base, start, end) == expected


def test_half_a_character_is_kept() -> None:
    assert cut("é", 0, 1) + cut("é", 1, 2) == "\udcc3\udca9"
    assert len(cut("é", 0, 1)) == 1


def test_a_part_keeps_the_type() -> None:
    assert cut(floats([1, 2]), 0, 1).type == gotypes.FLOAT_SLICE
    assert cut(TypedList(gotypes.PAIR, (1, 2)), 0, 1).type == gotypes.ANY_SLICE


@pytest.mark.parametrize(
    ("collection", "wanted", "expected"),
    [
        ([1, "a"], 1.0, True),
        (floats([0.5]), 0.5, True),
        ([[1]], [1], True),
        ({"a": 1}, "a", True),
        ({"a": 1}, None, False),
        (any_map(a=1), "a", True),
        (None, 1, False),
        (METRIC, "Values", True),
    ],
)
def test_tells_membership(collection: Value, wanted: Value, expected: bool) -> None:
    assert access.contains(collection, wanted, Budget()) is expected


@pytest.mark.parametrize(
    ("collection", "wanted", "message"),
    [
        ("abc", "a", 'operator "in" not defined on string'),
        (METRIC, 1, "cannot use int as field name of types.Result"),
    ],
)
def test_refuses_membership(collection: Value, wanted: Value, message: str) -> None:
    with pytest.raises(EvaluationError) as refusal:
        access.contains(collection, wanted, Budget())
    assert str(refusal.value) == message
