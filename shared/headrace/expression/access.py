"""Reaching into values: members, elements, slices, membership."""

from __future__ import annotations

from headrace.expression import gotypes, times
from headrace.expression.errors import EvaluationError
from headrace.expression.evaluation import Elements
from headrace.expression.gotypes import GoType, Kind
from headrace.expression.limits import Budget
from headrace.expression.operators import equal, to_int
from headrace.expression.printing import print_value
from headrace.expression.text import to_bytes, to_text
from headrace.expression.values import (
    MAPS,
    NIL_SLICE,
    AnyMap,
    Struct,
    TypedList,
    Uint8,
    Value,
    kind_name,
    type_name,
)


def fetch(base: Value, key: Value, budget: Budget) -> Value:
    """Returns a member, an element or a method.

    Raises:
        EvaluationError: the value has none of that name, or the index is out of range.
    """
    base_type = type(base)
    if base_type is dict and type(key) is str:
        return base.get(key)
    if base_type is list and type(key) is int:
        return _element(base, key, budget)
    if type(key) is str and (method := times.bound_method(base, key)) is not None:
        return method
    if base_type in (list, TypedList, range, bytes, str):
        return _element(base, to_int(key), budget)
    if base_type is dict:
        return base.get(_string_key(key))
    if base_type is AnyMap:
        return base.get(key, NIL_SLICE if base.type == gotypes.GROUP_MAP else None)
    if base_type is Struct and type(key) is str and key in base.fields:
        return base.fields[key]
    raise EvaluationError(f"cannot fetch {print_value(key, budget)} from {type_name(base)}")


def _element(base: Value, index: int, budget: Budget) -> Value:
    content = _content(base, budget)
    position = _position(index, len(content))
    if not 0 <= position < len(content):
        raise EvaluationError(f"index out of range: {position} (array length is {len(content)})")
    return _at(content, position)


def _content(base: Value, budget: Budget) -> Value:
    """Returns what an index counts: the bytes of a text."""
    if type(base) is not str:
        return base
    budget.spend_reading(len(base))
    return to_bytes(base)


def _position(index: int, length: int) -> int:
    """Returns the position that an index means; negative ones count from the end."""
    return index + length if index < 0 else index


def _at(content: Value, position: int) -> Value:
    element = content[position]
    return Uint8(element) if type(content) is bytes else element


def _string_key(key: Value) -> str:
    """Returns the key by which a map of strings is asked; nil is the empty one."""
    if key is None:
        return ""
    if type(key) is not str:
        raise EvaluationError(
            f"reflect.Value.MapIndex: value of type {type_name(key)} "
            "is not assignable to type string"
        )
    return key


def get(base: Value, key: Value, budget: Budget) -> Value:
    """Returns a member or an element, nil where there is none."""
    if base is None:
        return None
    if type(key) is str and (method := times.bound_method(base, key)) is not None:
        return method
    if type(base) in (list, TypedList, range, bytes, str):
        content = _content(base, budget)
        position = _position(to_int(key), len(content))
        return _at(content, position) if 0 <= position < len(content) else None
    if type(base) is dict:
        return base.get(_string_key(key))
    if type(base) is AnyMap:
        return base.get(key)
    if type(base) is Struct:
        return base.fields.get(key)
    return None


def cut(base: Value, start: Value, end: Value, *, open_end: bool, budget: Budget) -> Value:
    """Returns a part of a sequence or a text; what lies outside is left out.

    Args:
        base: what is cut.
        start: the first position; negative ones count from the end.
        end: the position after the last.
        open_end: whether the part goes on to the end, whatever ``end`` says.
        budget: what the part is paid from.

    Raises:
        EvaluationError: it cannot be cut, or a position is no number.
    """
    if type(base) not in (list, TypedList, range, bytes, str):
        if open_end and type(base) not in MAPS:
            raise EvaluationError(f"invalid argument for len (type {type_name(base)})")
        raise EvaluationError(f"cannot slice {print_value(start, budget)}")
    if type(base) is str:
        budget.spend_reading(len(base))
    content = to_bytes(base) if type(base) is str and not base.isascii() else base
    length = len(content)
    first = to_int(start)
    last = length if open_end else to_int(end)
    first = max(_position(first, length), 0)
    last = max(min(_position(last, length), length), 0)
    part = content[min(first, last) : last]
    budget.spend_steps(len(part) >> 6)
    if type(base) is str:
        return part if type(part) is str else to_text(part)
    if isinstance(base, TypedList):
        return TypedList(_cut_type(base.type), part)
    return part


def _cut_type(type_: GoType) -> GoType:
    """Returns the type of a part: a part of an array is a slice."""
    if type_.kind is Kind.ARRAY and type_.element is not None:
        return gotypes.slice_of(type_.element)
    return type_


def contains(collection: Value, wanted: Value, budget: Budget) -> bool:
    """Tells whether a value is an element of a sequence, or a key of a map or struct."""
    kind = type(collection)
    if collection is None:
        return False
    if kind in (list, TypedList, range, bytes):
        budget.spend_steps(3 * len(collection))
        return any(equal(element, wanted, budget) for element in collection)
    if kind is dict:
        return _string_key(wanted) in collection
    if kind is AnyMap:
        return wanted in collection
    if kind is Struct:
        if type(wanted) is not str:
            raise EvaluationError(
                f"cannot use {type_name(wanted)} as field name of {type_name(collection)}"
            )
        return wanted in collection.fields
    raise EvaluationError(f'operator "in" not defined on {type_name(collection)}')


class _EntriesWithoutOrder:
    """What a predicate goes over in a map: it has a length, but no positions."""

    def __init__(self, entries: Value) -> None:
        self._length = len(entries)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, position: int) -> Value:
        raise EvaluationError("reflect: call of reflect.Value.Index on map Value")


def elements_of(collection: Value) -> Elements:
    """Returns what a predicate goes over.

    Raises:
        EvaluationError: the value has no length.
    """
    if type(collection) in (list, TypedList, range):
        return collection  # type: ignore[no-any-return]
    if type(collection) in (bytes, str):
        content = collection if type(collection) is bytes else to_bytes(collection)
        return TypedList(gotypes.BYTE_SLICE, map(Uint8, content))
    if type(collection) in MAPS:
        return _EntriesWithoutOrder(collection)
    shown = "zero" if collection is None else kind_name(collection)
    raise EvaluationError(f"reflect: call of reflect.Value.Len on {shown} Value")
