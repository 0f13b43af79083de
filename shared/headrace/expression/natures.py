"""What is known about a node before it is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.expression import gotypes
from headrace.expression.gotypes import GoType, Kind


@dataclass(frozen=True, slots=True)
class Nature:
    """The static type of a node, None where it is unknown.

    ``element`` says more about the elements of a collection than its type; for a predicate it is
    the nature of its result. ``builtin`` names the function of the language that a name means.
    """

    type: GoType | None = None
    element: Nature | None = None
    is_nil: bool = False
    builtin: str | None = None

    def __str__(self) -> str:
        return str(self.type) if self.type else "unknown"

    @property
    def kind(self) -> Kind | None:
        """What the type is underneath."""
        return self.type.kind if self.type else None

    @property
    def is_unknown(self) -> bool:
        """Only the value will tell."""
        return (self.type is None and not self.is_nil) or self.kind is Kind.INTERFACE

    @property
    def is_integer(self) -> bool:
        """An integer without a name of its own."""
        return self.type in gotypes.INTEGERS

    @property
    def is_float(self) -> bool:
        """A float64."""
        return self.type == gotypes.FLOAT64

    @property
    def is_number(self) -> bool:
        """An integer or float."""
        return self.type in gotypes.NUMBERS

    @property
    def is_bool(self) -> bool:
        """A bool."""
        return self.kind is Kind.BOOL

    @property
    def is_string(self) -> bool:
        """A text."""
        return self.kind is Kind.STRING

    @property
    def is_time(self) -> bool:
        """A time.Time."""
        return self.type == gotypes.TIME

    @property
    def is_duration(self) -> bool:
        """A time.Duration."""
        return self.type == gotypes.DURATION

    @property
    def is_array(self) -> bool:
        """A slice or array."""
        return self.kind in (Kind.SLICE, Kind.ARRAY)

    @property
    def is_map(self) -> bool:
        """A map."""
        return self.kind is Kind.MAP

    def dereferenced(self) -> Nature:
        """Returns the nature of what a pointer points at; anything else is itself."""
        if self.type is not None and self.type.kind is Kind.POINTER:
            return of_type(self.type.element)
        return self

    def key_nature(self) -> Nature:
        """Returns the nature of the keys of a map."""
        return of_type(self.type.key if self.type else None)

    def element_nature(self) -> Nature:
        """Returns the nature of the elements of a collection."""
        if self.element is not None and self.is_array:
            return self.element
        return of_type(self.type.element if self.type else None)

    def is_assignable_to(self, target: Nature) -> bool:
        """Tells whether a value of this nature may stand where the target is wanted."""
        if self.is_nil:
            return target.kind in _NILABLE
        if self.type is None or target.type is None:
            return False
        return self.type.is_assignable_to(target.type)

    def is_comparable_to(self, other: Nature) -> bool:
        """Tells whether ``==`` between the two has a meaning."""
        return (
            self.is_unknown
            or other.is_unknown
            or self.is_nil
            or other.is_nil
            or (self.is_number and other.is_number)
            or (self.is_array and other.is_array)
            or self.is_assignable_to(other)
        )


@dataclass(frozen=True, slots=True)
class PredicateScope:
    """What ``#`` and the named pointers mean inside a predicate."""

    collection: Nature
    pointers: Mapping[str, Nature] = field(default_factory=dict)


_NILABLE = frozenset((Kind.POINTER, Kind.INTERFACE, Kind.FUNC, Kind.MAP, Kind.SLICE))


def of_type(type_: GoType | None) -> Nature:
    """Returns the nature of a value of a type."""
    return Nature(type_)


def array_of(element: Nature) -> Nature:
    """Returns the nature of a []interface {} of which the elements are known better."""
    return Nature(gotypes.ANY_SLICE, element=element)


UNKNOWN = Nature()
NIL = Nature(is_nil=True)
BOOL = of_type(gotypes.BOOL)
INT = of_type(gotypes.INT)
FLOAT = of_type(gotypes.FLOAT64)
STRING = of_type(gotypes.STRING)
ANY_SLICE = of_type(gotypes.ANY_SLICE)
STRING_MAP = of_type(gotypes.STRING_MAP)
"""Shorthands."""
