"""Functions of the language about arrays and maps."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from headrace.expression import access, gotypes
from headrace.expression.errors import CompileError, EvaluationError
from headrace.expression.evaluation import Evaluation
from headrace.expression.gotypes import GoType, Kind, function_of
from headrace.expression.limits import MAX_VALUE_DEPTH, Budget
from headrace.expression.operators import equal, less
from headrace.expression.printing import print_value
from headrace.expression.signatures import (
    ARRAY_KINDS,
    ArgumentTypes,
    Builtin,
    kind_of,
    require_count,
    shown,
    taking,
)
from headrace.expression.values import (
    INTEGERS,
    MAPS,
    SEQUENCES,
    AnyMap,
    TypedList,
    Value,
    kind_name,
    type_name,
    type_of,
)

_MEASURABLE = ARRAY_KINDS | {Kind.MAP, Kind.STRING}
_INDEX_KINDS = frozenset((Kind.INTERFACE, Kind.INT, Kind.INT64))
_TYPE_WORDS = {
    Kind.BOOL: "bool",
    Kind.INT: "int",
    Kind.INT64: "int",
    Kind.UINT8: "uint",
    Kind.FLOAT64: "float",
    Kind.STRING: "string",
    Kind.SLICE: "array",
    Kind.ARRAY: "array",
    Kind.MAP: "map",
    Kind.FUNC: "func",
    Kind.STRUCT: "struct",
}
_SORTABLE = (gotypes.ANY_SLICE, gotypes.INT_SLICE, gotypes.FLOAT_SLICE, gotypes.STRING_SLICE)
_SORT = tuple(
    function_of(collection, gotypes.STRING, result=gotypes.ANY_SLICE) for collection in _SORTABLE
) + tuple(
    function_of(collection, result=gotypes.ANY_SLICE)
    for collection in (
        gotypes.ANY_SLICE,
        gotypes.FLOAT_SLICE,
        gotypes.STRING_SLICE,
        gotypes.INT_SLICE,
    )
)


def length_of(value: Value) -> int:
    """Returns the length of a collection, or the number of characters of a text.

    Raises:
        EvaluationError: the value has no length.
    """
    if type(value) in SEQUENCES or type(value) in MAPS or type(value) is str:
        return len(value)
    raise EvaluationError(f"invalid argument for len (type {type_name(value)})")


def sort_values(
    elements: list[Value], keys: list[Value], budget: Budget, *, descending: bool
) -> list[Value]:
    """Returns elements in the order of their keys, equal ones as they came."""

    def compare(one: int, other: int) -> int:
        budget.spend_steps(8)
        if less(keys[one], keys[other], budget):
            return 1 if descending else -1
        if less(keys[other], keys[one], budget):
            return -1 if descending else 1
        return 0

    budget.spend_steps(4 * len(keys))
    positions = range(len(keys))
    if any(isinstance(key, float) and math.isnan(key) for key in keys):
        order = _inserted(positions, compare)
    elif {type(key) for key in keys} == {float}:
        order = sorted(positions, key=keys.__getitem__, reverse=descending)
    elif len(keys) > 1:
        order = sorted(positions, key=functools.cmp_to_key(compare))
    else:
        order = list(positions)
    return [elements[position] for position in order]


def _inserted(positions: range, compare: Callable[[int, int], int]) -> list[int]:
    """Returns positions in order, as the reference sorts a few.

    NaN is neither less nor more than anything, so what comes of it is up to the algorithm.
    """
    order: list[int] = []
    for position in positions:
        place = len(order)
        while place and compare(position, order[place - 1]) < 0:
            place -= 1
        order.insert(place, position)
    return order


def _type_word(_: Evaluation, arguments: list[Value]) -> str:
    type_ = type_of(arguments[0])
    if type_ is None:
        return "nil"
    return str(type_) if type_.named else _TYPE_WORDS.get(type_.kind, "unknown")


def _end(position: int) -> Callable[[Evaluation, list[Value]], Value]:
    def call(evaluation: Evaluation, arguments: list[Value]) -> Value:
        try:
            return access.fetch(arguments[0], position, evaluation.budget)
        except EvaluationError:
            return None

    return call


def _validate_end(word: str) -> Callable[[ArgumentTypes], GoType]:
    refusal = f"cannot get {word} element from {{}}"
    check = taking(refusal, ARRAY_KINDS)

    def validate(arguments: ArgumentTypes) -> GoType:
        argument = check(arguments)
        return argument.element or gotypes.ANY

    return validate


def _get(evaluation: Evaluation, arguments: list[Value]) -> Value:
    return access.get(arguments[0], arguments[1], evaluation.budget)


def _sequence(refusal: str, value: Value) -> Value:
    if type(value) not in SEQUENCES:
        raise EvaluationError(f"{refusal} {kind_name(value)}")
    if type(value) is bytes:
        return access.elements_of(value)
    return value


def _map_items(refusal: str, value: Value) -> list[tuple[Value, Value]]:
    if type(value) not in MAPS:
        raise EvaluationError(refusal.format(kind_name(value)))
    return list(value.items())


def _take(evaluation: Evaluation, arguments: list[Value]) -> Value:
    elements, count = arguments
    if type(elements) not in SEQUENCES:
        raise EvaluationError(f"cannot take from {kind_name(elements)}")
    if type(count) not in INTEGERS:
        raise EvaluationError(f"cannot take {kind_name(count)} elements")
    if count < 0:
        raise EvaluationError("reflect.Value.Slice: slice index out of bounds")
    return access.cut(elements, 0, int(count), open_end=False, budget=evaluation.budget)


def _validate_take(arguments: ArgumentTypes) -> GoType:
    require_count(arguments, 2)
    elements, count = arguments
    if elements is None or kind_of(elements) not in ARRAY_KINDS | {Kind.INTERFACE}:
        raise CompileError(f"cannot take from {shown(elements)}")
    if kind_of(count) not in _INDEX_KINDS:
        raise CompileError(f"cannot take {shown(count)} elements")
    return elements


def _keys(evaluation: Evaluation, arguments: list[Value]) -> Value:
    items = _map_items("cannot get keys from {}", arguments[0])
    evaluation.budget.spend_memory(len(items))
    return [key for key, _ in items]


def _values(evaluation: Evaluation, arguments: list[Value]) -> Value:
    items = _map_items("cannot get values from {}", arguments[0])
    evaluation.budget.spend_memory(len(items))
    return [element for _, element in items]


def _to_pairs(evaluation: Evaluation, arguments: list[Value]) -> Value:
    items = _map_items("cannot transform {} to pairs", arguments[0])
    evaluation.budget.spend_memory(2 * len(items))
    return TypedList(gotypes.PAIR_SLICE, (TypedList(gotypes.PAIR, item) for item in items))


def _from_pairs(evaluation: Evaluation, arguments: list[Value]) -> Value:
    if type(arguments[0]) not in SEQUENCES:
        shown_value = print_value(arguments[0], evaluation.budget)
        if type(arguments[0]) is not str:
            shown_value = f"%!s({type_name(arguments[0])}={shown_value})"
        raise EvaluationError(f"cannot transform {shown_value} from pairs")
    evaluation.budget.spend_memory(len(arguments[0]))
    result = AnyMap(gotypes.ANY_MAP)
    for pair in arguments[0]:
        if type(pair) not in SEQUENCES:
            raise EvaluationError(f"invalid pair {print_value(pair, evaluation.budget)}")
        if len(pair) != 2:
            raise EvaluationError(f"invalid pair length {print_value(pair, evaluation.budget)}")
        result[pair[0]] = pair[1]
    return result


def _reverse(evaluation: Evaluation, arguments: list[Value]) -> Value:
    elements = _sequence("cannot reverse", arguments[0])
    evaluation.budget.spend_memory(len(elements))
    return list(reversed(elements))


def _uniq(evaluation: Evaluation, arguments: list[Value]) -> Value:
    elements = _sequence("cannot uniq", arguments[0])
    evaluation.budget.spend_memory(len(elements))
    found: list[Value] = []
    for element in elements:
        evaluation.budget.spend_steps(3 * len(found))
        if not any(equal(element, other, evaluation.budget) for other in found):
            found.append(element)
    return found


def _concat(evaluation: Evaluation, arguments: list[Value]) -> Value:
    if not arguments:
        raise EvaluationError("invalid number of arguments (expected at least 1, got 0)")
    joined: list[Value] = []
    for argument in arguments:
        elements = _sequence("cannot concat", argument)
        evaluation.budget.spend_memory(len(elements))
        joined.extend(elements)
    return joined


def _validate_concat(arguments: ArgumentTypes) -> GoType:
    if not arguments:
        raise CompileError("invalid number of arguments (expected at least 1, got 0)")
    for argument in arguments:
        if kind_of(argument) not in ARRAY_KINDS | {Kind.INTERFACE}:
            raise CompileError(f"cannot concat {shown(argument)}")
    return gotypes.ANY_SLICE


def _flatten(evaluation: Evaluation, arguments: list[Value]) -> Value:
    flat: list[Value] = []
    _flatten_into(flat, _sequence("cannot flatten", arguments[0]), evaluation.budget, 0)
    return flat


def _flatten_into(flat: list[Value], elements: Value, budget: Budget, level: int) -> None:
    if level > MAX_VALUE_DEPTH:
        raise EvaluationError("recursion depth exceeded")
    budget.spend_steps(len(elements))
    for element in elements:
        if type(element) in SEQUENCES:
            _flatten_into(flat, _sequence("cannot flatten", element), budget, level + 1)
        else:
            budget.spend_memory(1)
            flat.append(element)


def _sort(evaluation: Evaluation, arguments: list[Value]) -> Value:
    elements = arguments[0] if type_of(arguments[0]) in _SORTABLE else []
    descending = len(arguments) == 2 and is_descending(arguments[1])
    evaluation.budget.spend_memory(len(elements))
    elements = list(elements)
    return sort_values(elements, elements, evaluation.budget, descending=descending)


def is_descending(order: Value) -> bool:
    """Reads the order of sort().

    Raises:
        EvaluationError: it is neither ``asc`` nor ``desc``.
    """
    if type(order) is not str:
        raise EvaluationError(f"sort order argument must be a string (got {type_name(order)})")
    if order not in ("asc", "desc"):
        raise EvaluationError(f"invalid order {order}, expected asc or desc")
    return order == "desc"


BUILTINS = (
    Builtin(
        "len",
        lambda _, arguments: length_of(arguments[0]),
        validate=taking("invalid argument for len (type {})", _MEASURABLE, gotypes.INT),
    ),
    Builtin("type", _type_word, (function_of(gotypes.ANY, result=gotypes.STRING),)),
    Builtin("first", _end(0), validate=_validate_end("first")),
    Builtin("last", _end(-1), validate=_validate_end("last")),
    Builtin("get", _get),
    Builtin("take", _take, validate=_validate_take),
    Builtin(
        "keys",
        _keys,
        validate=taking("cannot get keys from {}", frozenset((Kind.MAP,)), gotypes.ANY_SLICE),
    ),
    Builtin(
        "values",
        _values,
        validate=taking("cannot get values from {}", frozenset((Kind.MAP,)), gotypes.ANY_SLICE),
    ),
    Builtin(
        "toPairs",
        _to_pairs,
        validate=taking("cannot transform {} to pairs", frozenset((Kind.MAP,)), gotypes.ANY_SLICE),
    ),
    Builtin(
        "fromPairs",
        _from_pairs,
        validate=taking("cannot transform {} from pairs", ARRAY_KINDS, gotypes.ANY_MAP),
    ),
    Builtin(
        "reverse", _reverse, validate=taking("cannot reverse {}", ARRAY_KINDS, gotypes.ANY_SLICE)
    ),
    Builtin("uniq", _uniq, validate=taking("cannot uniq {}", ARRAY_KINDS, gotypes.ANY_SLICE)),
    Builtin("concat", _concat, validate=_validate_concat),
    Builtin(
        "flatten", _flatten, validate=taking("cannot flatten {}", ARRAY_KINDS, gotypes.ANY_SLICE)
    ),
    Builtin("sort", _sort, _SORT),
)
