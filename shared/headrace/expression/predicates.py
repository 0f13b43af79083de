"""Functions that evaluate something for each element of a collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from headrace.expression import access, gotypes
from headrace.expression.builtin_collections import sort_values
from headrace.expression.errors import EvaluationError
from headrace.expression.evaluation import Code, Evaluation, Scope
from headrace.expression.operators import add, to_bool
from headrace.expression.values import AnyMap, Value


@dataclass(frozen=True, slots=True)
class Loop:
    """The compiled parts of a call.

    Attributes:
        collection: what is gone over.
        predicate: what is evaluated for each element; ``#`` where the call has none.
        last: the order of sortBy, the first accumulator of reduce.
        transform: what is done to an element that filter or find passes on.
        required: whether a find that finds nothing fails.
        threshold: where a count may stop.
        cost: the steps that one element costs.
    """

    collection: Code
    predicate: Code
    last: Code | None
    transform: Code
    required: bool
    threshold: int | None
    cost: int


def compile_loop(name: str, loop: Loop) -> Code:
    """Returns the code of a call."""
    run = _RUNS[name]

    def code(evaluation: Evaluation) -> Value:
        outer = evaluation.scope
        scope = Scope(access.elements_of(loop.collection(evaluation)))
        evaluation.scope = scope
        try:
            return run(loop, evaluation, scope)
        finally:
            evaluation.scope = outer

    return code


def current(evaluation: Evaluation) -> Value:
    """Returns the element that ``#`` means."""
    scope = evaluation.scope
    assert scope is not None
    return scope.elements[scope.index]


def _positions(scope: Scope) -> range:
    return range(len(scope.elements))


def _outcomes(
    loop: Loop, evaluation: Evaluation, scope: Scope, positions: Iterable[int]
) -> Iterator[Value]:
    """Yields what the predicate says of each element, pointing at it meanwhile."""
    for position in positions:
        scope.index = position
        evaluation.budget.spend_steps(loop.cost)
        yield loop.predicate(evaluation)


def _matching(
    loop: Loop, evaluation: Evaluation, scope: Scope, positions: Iterable[int]
) -> Iterator[int]:
    """Yields the positions of the elements for which the predicate holds."""
    for outcome in _outcomes(loop, evaluation, scope, positions):
        if to_bool(outcome):
            yield scope.index


def _deciding(*, stop: bool) -> _Run:
    """Returns all() or any(): the first outcome that is ``stop`` decides."""

    def run(loop: Loop, evaluation: Evaluation, scope: Scope) -> bool:
        outcomes = _outcomes(loop, evaluation, scope, _positions(scope))
        found = any(to_bool(outcome) is stop for outcome in outcomes)
        return stop if found else not stop

    return run


def _none(loop: Loop, evaluation: Evaluation, scope: Scope) -> bool:
    return not any(True for _ in _matching(loop, evaluation, scope, _positions(scope)))


def _one(loop: Loop, evaluation: Evaluation, scope: Scope) -> bool:
    return sum(1 for _ in _matching(loop, evaluation, scope, _positions(scope))) == 1


def _count(loop: Loop, evaluation: Evaluation, scope: Scope) -> int:
    count = 0
    for _ in _matching(loop, evaluation, scope, _positions(scope)):
        count += 1
        if count == loop.threshold:
            break
    return count


def _filter(loop: Loop, evaluation: Evaluation, scope: Scope) -> Value:
    passed = [
        loop.transform(evaluation) for _ in _matching(loop, evaluation, scope, _positions(scope))
    ]
    evaluation.budget.spend_memory(len(passed))
    return passed


def _map(loop: Loop, evaluation: Evaluation, scope: Scope) -> Value:
    evaluation.budget.spend_memory(len(scope.elements))
    return list(_outcomes(loop, evaluation, scope, _positions(scope)))


def _finding(*, backwards: bool, index: bool) -> _Run:
    """Returns find(), findLast(), findIndex() or findLastIndex()."""

    def run(loop: Loop, evaluation: Evaluation, scope: Scope) -> Value:
        positions = _positions(scope)
        ordered = reversed(positions) if backwards else positions
        for position in _matching(loop, evaluation, scope, ordered):
            return position if index else loop.transform(evaluation)
        if loop.required:
            raise EvaluationError("reflect: slice index out of range")
        return None

    return run


def _sum(loop: Loop, evaluation: Evaluation, scope: Scope) -> Value:
    total: Value = 0
    for outcome in _outcomes(loop, evaluation, scope, _positions(scope)):
        total = add(outcome, total, evaluation.budget)
    return total


def _group_by(loop: Loop, evaluation: Evaluation, scope: Scope) -> Value:
    groups = AnyMap(gotypes.GROUP_MAP)
    evaluation.budget.spend_memory(len(scope.elements))
    for key in _outcomes(loop, evaluation, scope, _positions(scope)):
        group = groups.get(key)
        if group is None:
            evaluation.budget.spend_memory(3)
            groups[key] = group = []
        group.append(current(evaluation))
    return groups


def _sort_by(loop: Loop, evaluation: Evaluation, scope: Scope) -> Value:
    order = loop.last(evaluation) if loop.last is not None else "asc"
    if type(order) is not str:
        raise EvaluationError("sortBy order argument must be a string")
    if order not in ("asc", "desc"):
        raise EvaluationError("unknown order, use asc or desc")
    keys = list(_outcomes(loop, evaluation, scope, _positions(scope)))
    evaluation.budget.spend_memory(len(keys))
    return sort_values(
        [scope.elements[position] for position in _positions(scope)],
        keys,
        evaluation.budget,
        descending=order == "desc",
    )


def _reduce(loop: Loop, evaluation: Evaluation, scope: Scope) -> Value:
    positions = _positions(scope)
    if loop.last is not None:
        scope.accumulator = loop.last(evaluation)
    elif not positions:
        raise EvaluationError("reduce of empty array with no initial value")
    else:
        scope.accumulator, positions = scope.elements[0], positions[1:]
    for outcome in _outcomes(loop, evaluation, scope, positions):
        scope.accumulator = outcome
    return scope.accumulator


_Run = Callable[[Loop, Evaluation, Scope], Value]

_RUNS: Mapping[str, _Run] = {
    "all": _deciding(stop=False),
    "any": _deciding(stop=True),
    "none": _none,
    "one": _one,
    "count": _count,
    "filter": _filter,
    "map": _map,
    "find": _finding(backwards=False, index=False),
    "findLast": _finding(backwards=True, index=False),
    "findIndex": _finding(backwards=False, index=True),
    "findLastIndex": _finding(backwards=True, index=True),
    "sum": _sum,
    "groupBy": _group_by,
    "sortBy": _sort_by,
    "reduce": _reduce,
}
