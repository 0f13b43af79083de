"""Patches of JSON documents: apply a merge patch, find the smallest one, apply a JSON patch.

The services call `merge_diff` to write changed leaves only, so that two writers of one object
do not overwrite each other; the memory cluster applies patches as the API server does. Results
share every unchanged branch with their input: nothing is copied that did not change, and no
input is changed.

Source: RFC 7386 (merge patch), RFC 6902 (JSON patch), RFC 6901 (pointers).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

from headrace.errors import PreconditionFailed, Rejected

Json = Any
"""A decoded JSON value: None, bool, int, float, str, list or dict."""

_ABSENT = object()
_SCALARS = frozenset({str, int, float, bool, type(None)})
_APPEND = "-"
_INDEX = re.compile(r"0|[1-9][0-9]*")


def merge_patch(target: Json, patch: Json) -> Json:
    """Return `target` after the merge patch `patch`; a null removes its key."""
    if not isinstance(patch, Mapping):
        return patch
    base = target if isinstance(target, dict) else {}
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(base.get(key), value)
    return merged


def merge_diff(old: Mapping[str, Json], new: Mapping[str, Json]) -> dict[str, Json]:
    """Return the smallest merge patch that turns `old` into `new`; {} when they are equal.

    Only changed leaves are in it; lists are leaves, as a merge patch replaces them whole. A
    null in `new` means absent, since no merge patch can store one.
    """
    patch: dict[str, Json] = {}
    for key, value in new.items():
        before = old.get(key)
        if value is before and value is not None:
            continue
        if value is None:
            if key in old:
                patch[key] = None
        elif _is_mapping(value) and _is_mapping(before):
            if inner := merge_diff(before, value):
                patch[key] = inner
        elif key not in old or not json_equal(before, value):
            patch[key] = value
    for key in old:
        if key not in new:
            patch[key] = None
    return patch


def json_equal(left: Json, right: Json) -> bool:
    """Return whether two values are the same JSON: 1 equals 1.0 but not true; tuples are lists."""
    if left is right:
        return True
    if type(left) in _SCALARS:
        return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)
    if _is_mapping(left):
        if not _is_mapping(right) or len(left) != len(right):
            return False
        for key, value in left.items():
            if key not in right or not json_equal(value, right[key]):
                return False
        return True
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(json_equal, left, right))
    return bool(left == right)


def _is_mapping(value: Json) -> TypeGuard[Mapping[str, Json]]:
    # Nearly all are dictionaries, and the question to an abstract class is slow.
    return type(value) is dict or isinstance(value, Mapping)


def pointer(*tokens: str | int) -> str:
    """Return the JSON pointer to a place: `pointer("a", "b/c")` is `/a/b~1c`."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def apply_json_patch(document: Json, operations: Sequence[Mapping[str, Json]]) -> Json:
    """Return `document` after `operations`, all of them or none.

    Laxer than the RFC in two things, as the API server is: `replace` adds a member that is
    absent, and a `test` for null holds there.

    Raises:
        PreconditionFailed: A `test` failed or a path does not exist: the object is not what the
            author of the patch saw.
        Rejected: An operation is malformed.
    """
    for operation in operations:
        document = _apply(document, operation)
    return document


def _apply(document: Json, operation: Mapping[str, Json]) -> Json:
    name, path = operation.get("op"), _tokens(operation, "path")
    match name:
        case "add":
            return _changed(document, path, _adding(_value(operation)))
        case "replace":
            return _changed(document, path, _replacing(_value(operation)))
        case "remove":
            return _changed(document, path, _removed)
        case "test":
            _test(document, path, operation.get("value"))
            return document
        case "copy":
            value = _resolve(document, _tokens(operation, "from"))
            return _changed(document, path, _adding(value))
        case "move":
            source = _tokens(operation, "from")
            value = _resolve(document, source)
            return _changed(_changed(document, source, _removed), path, _adding(value))
        case _:
            raise Rejected(f"unknown JSON patch operation {name!r}")


def _tokens(operation: Mapping[str, Json], member: str) -> list[str]:
    text = operation.get(member)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise Rejected(f"JSON patch: {member} is no JSON pointer: {text!r}")
    return [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]


def _value(operation: Mapping[str, Json]) -> Json:
    if "value" not in operation:
        raise Rejected(f"JSON patch: {operation.get('op')} needs a value")
    return operation["value"]


def _test(document: Json, path: list[str], expected: Json) -> None:
    container = _resolve(document, path[:-1])
    absent_is_null = path and isinstance(container, dict) and path[-1] not in container
    actual = None if absent_is_null else _resolve(document, path)
    if not json_equal(actual, expected):
        raise PreconditionFailed(f"testing value {pointer(*path)} failed")


def _resolve(node: Json, path: Sequence[str]) -> Json:
    for token in path:
        node = _child(node, token)
    return node


def _child(node: Json, token: str) -> Json:
    if isinstance(node, dict):
        child = node.get(token, _ABSENT)
        if child is not _ABSENT:
            return child
    elif isinstance(node, list):
        return node[_index(token, len(node) - 1)]
    raise PreconditionFailed(f"JSON patch: no member {token!r}")


def _index(token: str, last: int) -> int:
    if not _INDEX.fullmatch(token) or int(token) > last:
        raise PreconditionFailed(f"JSON patch: no element {token!r}")
    return int(token)


_Change = Callable[[Json, str], Json]
"""Returns a copy of a container, changed at one token."""


def _changed(node: Json, path: list[str], change: _Change) -> Json:
    if not path:
        # The whole document: seen as the only member of a container.
        return change({"": node}, "").get("")
    token, *rest = path
    if not rest:
        return change(node, token)
    child = _changed(_child(node, token), rest, change)
    if isinstance(node, list):
        copy = list(node)
        copy[int(token)] = child
        return copy
    return {**node, token: child}


def _adding(value: Json) -> _Change:
    def change(container: Json, token: str) -> Json:
        if isinstance(container, list):
            index = len(container) if token == _APPEND else _index(token, len(container))
            return [*container[:index], value, *container[index:]]
        if isinstance(container, dict):
            return {**container, token: value}
        raise PreconditionFailed(f"JSON patch: nothing to add {token!r} to")

    return change


def _replacing(value: Json) -> _Change:
    def change(container: Json, token: str) -> Json:
        if isinstance(container, dict):
            return {**container, token: value}
        _child(container, token)
        index = int(token)
        return [*container[:index], value, *container[index + 1 :]]

    return change


def _removed(container: Json, token: str) -> Json:
    _child(container, token)
    if isinstance(container, list):
        index = int(token)
        return container[:index] + container[index + 1 :]
    return {key: value for key, value in container.items() if key != token}
