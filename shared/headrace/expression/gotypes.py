"""The static types of the condition language: those of Go, with Go's names in messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a type is underneath; the value is the word used in messages."""

    BOOL = "bool"
    INT = "int"
    INT64 = "int64"
    UINT8 = "uint8"
    FLOAT64 = "float64"
    STRING = "string"
    SLICE = "slice"
    ARRAY = "array"
    MAP = "map"
    FUNC = "func"
    INTERFACE = "interface"
    STRUCT = "struct"
    POINTER = "ptr"


@dataclass(frozen=True, slots=True)
class GoType:
    """A type. ``key`` and ``element`` for collections, ``parameters``… for functions."""

    kind: Kind
    name: str
    key: GoType | None = None
    element: GoType | None = None
    parameters: tuple[GoType, ...] = ()
    result: GoType | None = None
    variadic: bool = False
    fields: tuple[tuple[str, GoType], ...] = ()
    named: bool = False

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:  # quicker than all the fields, and types of one name are rare
        return hash(self.name)

    def is_assignable_to(self, target: GoType) -> bool:
        """Tells whether a value of this type may stand where the target is wanted."""
        if target.kind is Kind.INTERFACE:
            return True
        return self == target


def slice_of(element: GoType) -> GoType:
    """Returns ``[]element``."""
    return GoType(Kind.SLICE, f"[]{element}", element=element)


def array_of(element: GoType, length: int) -> GoType:
    """Returns ``[length]element``."""
    return GoType(Kind.ARRAY, f"[{length}]{element}", element=element)


def map_of(key: GoType, element: GoType) -> GoType:
    """Returns ``map[key]element``."""
    return GoType(Kind.MAP, f"map[{key}]{element}", key=key, element=element)


def pointer_to(element: GoType) -> GoType:
    """Returns ``*element``. Values behind pointers are seen without them."""
    return GoType(Kind.POINTER, f"*{element}", element=element)


def struct_of(name: str, fields: tuple[tuple[str, GoType], ...]) -> GoType:
    """Returns a named struct, the name with its package as in ``gotypes.MetricDataResult``."""
    return GoType(Kind.STRUCT, name, fields=fields, named=True)


def function_of(*parameters: GoType, result: GoType, variadic: bool = False) -> GoType:
    """Returns a function type; the last parameter of a variadic one is a slice."""
    shown = [str(parameter) for parameter in parameters]
    if variadic:
        shown[-1] = f"...{parameters[-1].element}"
    name = f"func({', '.join(shown)}) {result}"
    return GoType(Kind.FUNC, name, parameters=parameters, result=result, variadic=variadic)


ANY = GoType(Kind.INTERFACE, "interface {}")
BOOL = GoType(Kind.BOOL, "bool")
INT = GoType(Kind.INT, "int")
INT64 = GoType(Kind.INT64, "int64")
UINT8 = GoType(Kind.UINT8, "uint8")
FLOAT64 = GoType(Kind.FLOAT64, "float64")
STRING = GoType(Kind.STRING, "string")
ANY_SLICE = slice_of(ANY)
INT_SLICE = slice_of(INT)
FLOAT_SLICE = slice_of(FLOAT64)
STRING_SLICE = slice_of(STRING)
BYTE_SLICE = slice_of(UINT8)
PAIR = array_of(ANY, 2)
PAIR_SLICE = slice_of(PAIR)
STRING_MAP = map_of(STRING, ANY)
ANY_MAP = map_of(ANY, ANY)
GROUP_MAP = map_of(ANY, ANY_SLICE)
TIME = struct_of("time.Time", ())
DURATION = GoType(Kind.INT64, "time.Duration", named=True)
MONTH = GoType(Kind.INT, "time.Month", named=True)
WEEKDAY = GoType(Kind.INT, "time.Weekday", named=True)
LOCATION = pointer_to(GoType(Kind.STRUCT, "time.Location", named=True))
UNTYPED_FUNCTION = GoType(
    Kind.FUNC,
    "func(...interface {}) (interface {}, error)",
    parameters=(ANY_SLICE,),
    result=ANY,
    variadic=True,
)

INTEGERS = frozenset((INT, INT64, UINT8))
NUMBERS = INTEGERS | {FLOAT64}
