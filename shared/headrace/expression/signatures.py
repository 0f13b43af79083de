"""How functions of the language are described, and the static checks that several share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headrace.expression import gotypes
from headrace.expression.errors import CompileError
from headrace.expression.evaluation import Evaluation
from headrace.expression.gotypes import GoType, Kind
from headrace.expression.values import Value

ArgumentTypes = list[GoType | None]
"""Types of arguments: ANY for those not known before the evaluation, None for nil."""

NUMBER_KINDS = frozenset((Kind.INT, Kind.INT64, Kind.UINT8, Kind.FLOAT64))
ARRAY_KINDS = frozenset((Kind.SLICE, Kind.ARRAY))


@dataclass(frozen=True, slots=True)
class Builtin:
    """A function of the language.

    Either ``overloads`` or ``validate`` give the type of the result. ``cost`` is in steps; what
    depends on the size of the arguments, the function spends itself.
    """

    name: str
    call: Callable[[Evaluation, list[Value]], Value]
    overloads: tuple[GoType, ...] = ()
    validate: Callable[[ArgumentTypes], GoType] | None = None
    cost: int = 10


def kind_of(type_: GoType | None) -> Kind | None:
    """Returns the kind of a type, of what it points at for a pointer."""
    if type_ is not None and type_.kind is Kind.POINTER and type_.element is not None:
        return type_.element.kind
    return type_.kind if type_ else None


def shown(type_: GoType | None) -> str:
    """Returns the name of a type, in the way of the reference for nil."""
    return str(type_) if type_ else "%!s(<nil>)"


def require_count(arguments: ArgumentTypes, count: int) -> None:
    """Refuses another number of arguments.

    Raises:
        CompileError: there are not that many.
    """
    if len(arguments) != count:
        raise CompileError(f"invalid number of arguments (expected {count}, got {len(arguments)})")


def taking(
    refusal: str,
    kinds: frozenset[Kind],
    result: GoType | None = None,
) -> Callable[[ArgumentTypes], GoType]:
    """Returns the check of a function of one argument.

    Args:
        refusal: what is said of another type; ``{}`` stands for it.
        kinds: the kinds that are taken, besides what is not known.
        result: the type of the result; that of the argument where it is None.
    """

    def validate(arguments: ArgumentTypes) -> GoType:
        require_count(arguments, 1)
        argument = arguments[0]
        if argument is None or kind_of(argument) not in kinds | {Kind.INTERFACE}:
            raise CompileError(refusal.format(shown(argument)))
        return argument if result is None else result

    return validate


def aggregating(name: str) -> Callable[[ArgumentTypes], GoType]:
    """Returns the check of a function of numbers and arrays of them."""

    def validate(arguments: ArgumentTypes) -> GoType:
        if not arguments:
            raise CompileError(f"not enough arguments to call {name}")
        for argument in arguments:
            kind = kind_of(argument)
            if kind is Kind.INTERFACE or kind in ARRAY_KINDS:
                return gotypes.ANY
            if kind not in NUMBER_KINDS:
                raise CompileError(f"invalid argument for {name} (type {shown(argument)})")
        return arguments[0] or gotypes.ANY

    return validate
