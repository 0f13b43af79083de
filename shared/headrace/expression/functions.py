"""All functions of the language by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from headrace.expression import (
    builtin_collections,
    builtin_numbers,
    builtin_texts,
    builtin_times,
    gotypes,
)
from headrace.expression.gotypes import GoType
from headrace.expression.signatures import Builtin

PREDICATES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "all": (2, 2),
        "none": (2, 2),
        "any": (2, 2),
        "one": (2, 2),
        "filter": (2, 2),
        "map": (2, 2),
        "count": (1, 2),
        "sum": (1, 2),
        "find": (2, 2),
        "findIndex": (2, 2),
        "findLast": (2, 2),
        "findLastIndex": (2, 2),
        "groupBy": (2, 2),
        "sortBy": (2, 3),
        "reduce": (2, 3),
    }
)
"""Functions that evaluate their second argument for each element; least and most arguments."""

FUNCTIONS: Mapping[str, Builtin] = MappingProxyType(
    {
        builtin.name: builtin
        for builtin in (
            *builtin_collections.BUILTINS,
            *builtin_numbers.BUILTINS,
            *builtin_texts.BUILTINS,
            *builtin_times.BUILTINS,
        )
    }
)
"""Functions whose arguments are all evaluated once."""


def type_of_name(name: str) -> GoType | None:
    """Returns the type that a function's bare name has, None for other names."""
    if name in PREDICATES:
        return gotypes.UNTYPED_FUNCTION
    builtin = FUNCTIONS.get(name)
    if builtin is None:
        return None
    return builtin.overloads[0] if builtin.overloads else gotypes.UNTYPED_FUNCTION
