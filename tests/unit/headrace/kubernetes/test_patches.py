"""Patches: RFC 7386 and 6902 examples, and the laws between apply and diff."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import PreconditionFailed, Rejected
from headrace.kubernetes.patches import (
    apply_json_patch,
    json_equal,
    merge_diff,
    merge_patch,
    pointer,
)

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "b"])
keys = st.sampled_from(["a", "b", "c/d", "e~f"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(keys, values, max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


# RFC 7386, appendix A.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_applies_a_merge_patch_as_the_rfc_says(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


def test_shares_the_branches_that_a_merge_patch_leaves_alone() -> None:
    target = {"spec": {"replicas": 3}, "status": {"replicas": 1}}
    patched = merge_patch(target, {"status": {"replicas": 2}})
    assert patched["spec"] is target["spec"]
    assert target["status"] == {"replicas": 1}


def test_finds_only_the_changed_leaves() -> None:
    old = {"a": 1, "b": {"c": 1, "d": 2}, "list": [1, 2], "gone": {"x": 1}, "same": {"y": 1}}
    new = {"a": 1, "b": {"c": 1, "d": 3}, "list": [1], "same": {"y": 1}, "new": {"z": 1}}
    assert merge_diff(old, new) == {
        "b": {"d": 3},
        "list": [1],
        "gone": None,
        "new": {"z": 1},
    }


def test_sees_that_true_became_one() -> None:
    assert merge_diff({"a": True, "b": [False]}, {"a": 1, "b": [0]}) == {"a": 1, "b": [0]}
    assert merge_diff({"a": 1}, {"a": 1.0}) == {}


def test_a_tuple_is_the_list_that_it_is_on_the_wire() -> None:
    assert merge_diff({"a": [1, {"b": [2]}]}, {"a": (1, {"b": (2,)})}) == {}


@given(objects, objects)
@settings(max_examples=200)
def test_a_difference_leads_from_old_to_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    old, new = without_nulls(old), without_nulls(new)
    before = copy.deepcopy(old)
    assert json_equal(merge_patch(old, merge_diff(old, new)), new)
    assert old == before


@given(objects)
@settings(max_examples=50)
def test_equal_objects_have_no_difference(value: dict[str, Any]) -> None:
    value = without_nulls(value)
    assert merge_diff(value, copy.deepcopy(value)) == {}


# RFC 6902, appendix A.
@pytest.mark.parametrize(
    ("document", "operation", "result"),
    [
        ({"foo": 1}, {"op": "add", "path": "/baz", "value": 2}, {"foo": 1, "baz": 2}),
        ({"foo": [1, 3]}, {"op": "add", "path": "/foo/1", "value": 2}, {"foo": [1, 2, 3]}),
        ({"foo": [1]}, {"op": "add", "path": "/foo/-", "value": [2]}, {"foo": [1, [2]]}),
        ({"foo": 1}, {"op": "add", "path": "/foo", "value": None}, {"foo": None}),
        ({"baz": 1, "foo": 2}, {"op": "remove", "path": "/baz"}, {"foo": 2}),
        ({"foo": [1, 2, 3]}, {"op": "remove", "path": "/foo/1"}, {"foo": [1, 3]}),
        ({"foo": [1, 2]}, {"op": "replace", "path": "/foo/0", "value": 7}, {"foo": [7, 2]}),
        ({"foo": 1}, {"op": "replace", "path": "", "value": {"a": 1}}, {"a": 1}),
        ({"foo": 1}, {"op": "replace", "path": "/baz", "value": 2}, {"foo": 1, "baz": 2}),
        (
            {"foo": {"bar": 1, "waldo": 2}, "qux": {}},
            {"op": "move", "from": "/foo/waldo", "path": "/qux/thud"},
            {"foo": {"bar": 1}, "qux": {"thud": 2}},
        ),
        (
            {"foo": [1, 2, 3, 4]},
            {"op": "move", "from": "/foo/1", "path": "/foo/3"},
            {"foo": [1, 3, 4, 2]},
        ),
        (
            {"a": {"b": 1}},
            {"op": "copy", "from": "/a", "path": "/c"},
            {"a": {"b": 1}, "c": {"b": 1}},
        ),
        ({"a/b": {"~": 1}}, {"op": "test", "path": "/a~1b/~0", "value": 1}, {"a/b": {"~": 1}}),
        ({"a": 1}, {"op": "test", "path": "/b", "value": None}, {"a": 1}),
        ({"a": [{"b": 1}]}, {"op": "replace", "path": "/a/0/b", "value": 2}, {"a": [{"b": 2}]}),
    ],
)
def test_applies_an_operation_of_a_json_patch(document: Any, operation: Any, result: Any) -> None:
    before = copy.deepcopy(document)
    assert apply_json_patch(document, [operation]) == result
    assert document == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/x/y", "value": None},
        {"op": "remove", "path": "/x"},
        {"op": "replace", "path": "/x/y", "value": 1},
        {"op": "replace", "path": "/list/2", "value": 1},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "/a/b", "value": 1},
        {"op": "move", "from": "/x", "path": "/a"},
    ],
)
def test_fails_when_the_object_is_not_what_the_patch_expects(operation: dict[str, Any]) -> None:
    with pytest.raises(PreconditionFailed):
        apply_json_patch({"a": 1, "list": [1, 2]}, [operation])


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "increment", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a"},
        {"path": "/a"},
    ],
)
def test_rejects_a_malformed_operation(operation: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        apply_json_patch({"a": 1}, [operation])


def test_applies_all_operations_or_none() -> None:
    document = {"a": 1}
    with pytest.raises(PreconditionFailed):
        apply_json_patch(
            document,
            [{"op": "replace", "path": "/a", "value": 2}, {"op": "test", "path": "/a", "value": 1}],
        )
    assert document == {"a": 1}


def test_escapes_the_tokens_of_a_pointer() -> None:
    assert pointer("metadata", "annotations", "headrace.io/x~y", 0) == (
        "/metadata/annotations/headrace.io~1x~0y/0"
    )
