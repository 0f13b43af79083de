"""The values that expressions work on, and the Go type of each.

==================================  =======================================================
Go                                  Python
==================================  =======================================================
nil, of whatever type               ``None``
bool, float64, string               ``bool``, ``float``, ``str``
int; int64, uint8, time.Duration…   ``int``; subclasses of it, in 64 bits
[]interface {}                      ``list``
[]float64 and other slices, arrays  ``TypedList``; ``range`` for a range of int
[]uint8                             ``bytes``
map[string]interface {}             ``dict``
map[interface {}]…                  ``AnyMap``
structs                             ``Struct``; ``Time`` for time.Time
functions                           ``Function``
==================================  =======================================================

A provider hands over ``from_json(decoded)``, ``floats(numbers)``, a ``float``, a ``str`` or None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.expression import gotypes
from headrace.expression.errors import EvaluationError
from headrace.expression.gotypes import GoType
from headrace.expression.limits import MAX_VALUE_DEPTH

if TYPE_CHECKING:
    from headrace.expression.evaluation import Evaluation

Value: TypeAlias = Any
"""One of the Python types above. What an operator takes is decided when it meets the value."""


class Int64(int):
    """An int64 that is no int."""

    __slots__ = ()


class Uint8(int):
    """A byte of a text."""

    __slots__ = ()


class Duration(int):
    """A time.Duration: nanoseconds."""

    __slots__ = ()


class Month(int):
    """A time.Month: 1 is January."""

    __slots__ = ()


class Weekday(int):
    """A time.Weekday: 0 is Sunday."""

    __slots__ = ()


class TypedList(list[Value]):
    """A slice (or array) whose elements have one static type."""

    __slots__ = ("type",)

    def __init__(self, type_: GoType, elements: Iterable[Value]) -> None:
        super().__init__(elements)
        self.type = type_


class AnyMap:
    """A map whose keys may be of any type; 1, 1.0 and true are different keys, as in Go."""

    __slots__ = ("_entries", "type")

    def __init__(self, type_: GoType) -> None:
        self.type = type_
        self._entries: dict[tuple[type, Value], Value] = {}

    def get(self, key: Value, default: Value = None) -> Value:
        """Returns the element of a key."""
        return self._entries.get(_hashable(key), default)

    def __contains__(self, key: Value) -> bool:
        return _hashable(key) in self._entries

    def __setitem__(self, key: Value, element: Value) -> None:
        self._entries[_hashable(key)] = element

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> Iterator[tuple[Value, Value]]:
        """Yields keys and elements in the order in which the keys came."""
        return ((key, element) for (_, key), element in self._entries.items())


def _hashable(key: Value) -> tuple[type, Value]:
    try:
        hash(key)
    except TypeError:
        raise EvaluationError(f"hash of unhashable type: {type_name(key)}") from None
    return type(key), key


@dataclass(frozen=True, slots=True)
class Struct:
    """A value with named fields, all of which are in ``type``."""

    type: GoType
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Location:
    """A time zone: a name of the IANA database, or ``UTC``, or a fixed offset."""

    name: str
    offset_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Time:
    """A time.Time: nanoseconds since the Unix epoch, and the zone in which it is shown."""

    nanoseconds: int
    location: Location = Location("UTC", 0)


@dataclass(frozen=True, slots=True)
class Function:
    """A function value. ``call`` gets the arguments as they come."""

    name: str
    type: GoType
    call: Callable[[Evaluation, list[Value]], Value]


_TYPE_OF_CLASS: Mapping[type, GoType] = {
    bool: gotypes.BOOL,
    int: gotypes.INT,
    Int64: gotypes.INT64,
    Uint8: gotypes.UINT8,
    float: gotypes.FLOAT64,
    str: gotypes.STRING,
    bytes: gotypes.BYTE_SLICE,
    list: gotypes.ANY_SLICE,
    range: gotypes.INT_SLICE,
    dict: gotypes.STRING_MAP,
    Duration: gotypes.DURATION,
    Month: gotypes.MONTH,
    Weekday: gotypes.WEEKDAY,
    Time: gotypes.TIME,
    Location: gotypes.LOCATION,
}

SEQUENCES: frozenset[type] = frozenset((list, TypedList, range, bytes))
"""Python types of Go's slices and arrays."""

MAPS: frozenset[type] = frozenset((dict, AnyMap))
"""Python types of Go's maps."""

INTEGERS: frozenset[type] = frozenset((int, Int64, Uint8))
"""Python types of plain integers."""

NUMBERS: frozenset[type] = INTEGERS | {float}
"""Python types of plain numbers."""


def type_of(value: Value) -> GoType | None:
    """Returns the type of a value, None for nil.

    Raises:
        TypeError: the value is none of the module's table: a mistake of the caller.
    """
    if value is None:
        return None
    known = _TYPE_OF_CLASS.get(type(value))
    if known is not None:
        return known
    if isinstance(value, TypedList | AnyMap | Struct | Function):
        return value.type
    raise TypeError(f"no value of the condition language: {type(value).__name__}")


def type_name(value: Value) -> str:
    """Returns the name of a value's type, as ``%T`` does."""
    return str(type_of(value) or "<nil>")


def kind_name(value: Value) -> str:
    """Returns the name of the kind of a value's type."""
    known = type_of(value)
    return known.kind.value if known else "invalid"


def floats(numbers: Iterable[float]) -> TypedList:
    """Returns a []float64, what Prometheus gives for a vector."""
    return TypedList(gotypes.FLOAT_SLICE, map(float, numbers))


NIL_SLICE = TypedList(gotypes.ANY_SLICE, ())
"""A []interface {} that is nil, but has a type: what groupBy() gives for a key it has not."""


def is_nil(value: Value) -> bool:
    """Tells whether a value is nil, with or without a type."""
    return value is None or value is NIL_SLICE


def from_json(decoded: Value) -> Value:
    """Returns decoded JSON as a value: all its numbers are float64.

    Raises:
        EvaluationError: it is nested too deeply.
    """
    return _from_json(decoded, MAX_VALUE_DEPTH)


def _from_json(decoded: Value, levels: int) -> Value:
    if isinstance(decoded, bool) or decoded is None or isinstance(decoded, str | float):
        return decoded
    if isinstance(decoded, int):
        return _to_float(decoded)
    if not levels:
        raise EvaluationError("recursion depth exceeded")
    if isinstance(decoded, list):
        return [_from_json(element, levels - 1) for element in decoded]
    return {str(key): _from_json(element, levels - 1) for key, element in decoded.items()}


def _to_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def wrap(number: int) -> int:
    """Returns what 64 bits hold of a number, as Go's arithmetic does."""
    return (number + 2**63) % 2**64 - 2**63


def truncate(number: float) -> int:
    """Returns the integer part of a float; one that 64 bits cannot hold is the smallest int."""
    if -(2.0**63) <= number < 2.0**63:
        return int(number)
    return -(2**63)
