"""Static checks of calls: argument counts and types, overloads, predicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.expression import functions, gotypes, natures, syntax
from headrace.expression.errors import CompileError
from headrace.expression.gotypes import GoType, Kind
from headrace.expression.natures import BOOL, INT, UNKNOWN, Nature, PredicateScope
from headrace.expression.syntax import Node

if TYPE_CHECKING:
    from headrace.expression.checker import Checker

_DECIDING = frozenset(("all", "none", "any", "one"))
_NEEDING_BOOL = _DECIDING | {
    "filter",
    "count",
    "find",
    "findLast",
    "findIndex",
    "findLastIndex",
}
_POINTERS_OF = {
    "map": {"index": INT},
    "reduce": {"index": INT, "acc": UNKNOWN},
}


def check_call(checker: Checker, node: syntax.Call) -> Nature:
    """Checks a call of a function of the environment or of a method.

    Raises:
        CompileError: it is no function, or does not take these arguments.
    """
    name = _callee_name(node.callee)
    if isinstance(node.callee, syntax.Identifier) and name == "$env":
        raise CompileError(f"{gotypes.STRING_MAP} is not callable")
    callee = checker.visit(node.callee)
    if callee.builtin is not None and callee.builtin in functions.FUNCTIONS:
        return _check_function(checker, callee.builtin, node.arguments)
    if callee.is_nil:
        raise CompileError(f"{name} is nil; cannot call nil as function")
    if callee.is_unknown or callee.type is None:
        return UNKNOWN
    if callee.kind is not Kind.FUNC:
        raise CompileError(f"{callee} is not callable")
    error = _check_arguments(checker, name, callee.type, node.arguments)
    if error is not None:
        raise error
    return natures.of_type(callee.type.result)


def _callee_name(callee: Node) -> str:
    if isinstance(callee, syntax.Identifier):
        return callee.name
    if isinstance(callee, syntax.Member) and isinstance(callee.key, syntax.String):
        return callee.key.value
    return "function"


def check_builtin(checker: Checker, node: syntax.BuiltinCall) -> Nature:
    """Checks a call of a function of the language.

    Raises:
        CompileError: it does not take these arguments.
    """
    if node.name in functions.PREDICATES:
        return _check_predicate_call(checker, node)
    if node.name == "get":
        return checker.check_get(node)
    return _check_function(checker, node.name, node.arguments)


def _check_function(checker: Checker, name: str, arguments: tuple[Node, ...]) -> Nature:
    builtin = functions.FUNCTIONS[name]
    if builtin.validate is not None:
        visited = [checker.visit(argument) for argument in arguments]
        return natures.of_type(
            builtin.validate([gotypes.ANY if one.is_unknown else one.type for one in visited])
        )
    error: CompileError | None = None
    for overload in builtin.overloads:
        error = _check_arguments(checker, name, overload, arguments)
        if error is None:
            return natures.of_type(overload.result)
    raise error or CompileError(f"no matching overload for {name}")


def _check_arguments(
    checker: Checker, name: str, function: GoType, arguments: tuple[Node, ...]
) -> CompileError | None:
    """Returns why a function does not take these arguments, None if it does."""
    wanted = function.parameters
    if len(arguments) != len(wanted):
        for argument in arguments:
            checker.visit(argument)
        word = "too many" if len(arguments) > len(wanted) else "not enough"
        return CompileError(f"{word} arguments to call {name}")
    for argument, parameter in zip(arguments, wanted, strict=True):
        given = checker.visit(argument)
        if given.is_integer and parameter in gotypes.NUMBERS:
            continue
        if given.is_nil:
            if parameter.kind in (Kind.POINTER, Kind.INTERFACE):
                continue
            return CompileError(f"cannot use nil as argument (type {parameter}) to call {name}")
        target = natures.of_type(parameter)
        fits = given.is_assignable_to(target) or given.dereferenced().is_assignable_to(target)
        if not fits and not given.is_unknown:
            return CompileError(
                f"cannot use {given} as argument (type {parameter}) to call {name} "
            )
    return None


def check_predicate(checker: Checker, node: syntax.Predicate) -> Nature:
    """Returns the nature of a predicate: its ``element`` is that of its result."""
    return Nature(gotypes.UNTYPED_FUNCTION, element=checker.visit(node.body))


def _check_predicate_call(checker: Checker, node: syntax.BuiltinCall) -> Nature:
    collection = checker.visit(node.arguments[0]).dereferenced()
    if not collection.is_array and not collection.is_unknown:
        raise CompileError(f"builtin {node.name} takes only array (got {collection})")
    if len(node.arguments) == 1:
        return _result_without_predicate(node.name, collection)
    checker.predicate_scopes.append(PredicateScope(collection, _POINTERS_OF.get(node.name, {})))
    outcome = checker.visit(node.arguments[1]).element or UNKNOWN
    checker.predicate_scopes.pop()
    _check_last_argument(checker, node)
    if outcome.is_nil:
        inputs = "two" if node.name == "reduce" else "one"
        raise CompileError(f"predicate should has {inputs} input and one output param")
    if node.name in _NEEDING_BOOL and not outcome.is_bool and not outcome.is_unknown:
        raise CompileError(f"predicate should return boolean (got {outcome})")
    return _result_with_predicate(node.name, collection, outcome)


def _check_last_argument(checker: Checker, node: syntax.BuiltinCall) -> None:
    if len(node.arguments) < 3:
        return
    last = checker.visit(node.arguments[2])
    if node.name == "sortBy" and not last.is_string and not last.is_unknown:
        raise CompileError(f"sortBy order argument must be a string (got {last})")


def _element(collection: Nature) -> Nature:
    return UNKNOWN if collection.is_unknown else collection.element_nature()


def _result_without_predicate(name: str, collection: Nature) -> Nature:
    return INT if name == "count" else _element(collection)


def _result_with_predicate(name: str, collection: Nature, outcome: Nature) -> Nature:
    if name in _DECIDING:
        return BOOL
    if name in ("count", "findIndex", "findLastIndex"):
        return INT
    if name in ("find", "findLast"):
        return _element(collection)
    if name == "filter":
        if collection.is_unknown:
            return natures.ANY_SLICE
        return natures.array_of(collection.element_nature())
    if name == "map":
        return natures.array_of(outcome)
    if name == "groupBy":
        return natures.of_type(gotypes.GROUP_MAP)
    if name == "sortBy":
        return collection
    if name == "reduce":
        return outcome
    return natures.of_type(outcome.type or gotypes.ANY)  # sum: nothing is known of its elements
