"""Compiles a checked tree to closures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.expression import access, functions, operators, predicates, regexes, syntax
from headrace.expression.checker import Checker
from headrace.expression.errors import CompileError, EvaluationError
from headrace.expression.evaluation import Code, Evaluation
from headrace.expression.gotypes import FLOAT64, Kind
from headrace.expression.limits import Budget
from headrace.expression.operators import to_bool, wrong_type
from headrace.expression.predicates import Loop
from headrace.expression.syntax import Node
from headrace.expression.values import Function, Value, is_nil, type_name, type_of

CALL_STEPS = 40
"""What calling a function of the environment or a method costs."""


class _ChainEnded(Exception):
    """An optional member met nil: the chain around it is nil."""


class Compiler:
    """Compiles one tree; ``variables`` counts the places that its ``let`` need."""

    def __init__(self, checker: Checker) -> None:
        self.variables = 0
        self._checker = checker
        self._names: list[tuple[str, int]] = []

    def compile(self, node: Node) -> Code:
        """Returns the code of a node.

        Raises:
            CompileError: a pattern in it is wrong.
        """
        return _COMPILERS[type(node)](self, node)

    # Names and literals.

    def _literal(
        self,
        node: syntax.Boolean | syntax.Integer | syntax.Float | syntax.String | syntax.Bytes,
    ) -> Code:
        return _constant(node.value)

    def _identifier(self, node: syntax.Identifier) -> Code:
        name = node.name
        for variable, place in reversed(self._names):
            if variable == name:
                return lambda evaluation: evaluation.variables[place]
        if name == "$env":
            return lambda evaluation: evaluation.environment
        return lambda evaluation: evaluation.environment.get(name)

    def _pointer(self, node: syntax.Pointer) -> Code:
        if not node.name:
            return predicates.current
        if node.name == "index":
            return _index
        if node.name == "acc":
            return _accumulator
        raise CompileError(f"unknown pointer #{node.name}")

    def _array(self, node: syntax.Array) -> Code:
        elements = [self.compile(element) for element in node.elements]

        def code(evaluation: Evaluation) -> Value:
            evaluation.budget.spend_memory(len(elements))
            return [element(evaluation) for element in elements]

        return code

    def _map(self, node: syntax.Map) -> Code:
        pairs = [(self.compile(pair.key), self.compile(pair.value)) for pair in node.pairs]

        def code(evaluation: Evaluation) -> Value:
            evaluation.budget.spend_memory(len(pairs))
            made: dict[str, Value] = {}
            for key, value in reversed(
                [(key(evaluation), value(evaluation)) for key, value in pairs]
            ):
                made[operators.to_string(key)] = value
            return made

        return code

    # Operators.

    def _unary(self, node: syntax.Unary) -> Code:
        operand = self.compile(node.operand)
        if node.operator in ("!", "not"):
            return lambda evaluation: not to_bool(operand(evaluation))
        if node.operator == "-":
            return lambda evaluation: operators.negate(operand(evaluation))
        return operand

    def _binary(self, node: syntax.Binary) -> Code:
        operator = node.operator
        if operator == "matches" and isinstance(node.right, syntax.String):
            return self._matches_literal(node.left, node.right.value)
        if operator == "in" and (bounds := self._constant_range(node)) is not None:
            return _between(self.compile(node.left), *bounds)
        left, right = self.compile(node.left), self.compile(node.right)
        if operator in ("and", "&&"):
            return lambda evaluation: right(evaluation) if to_bool(left(evaluation)) else False
        if operator in ("or", "||"):
            return lambda evaluation: True if to_bool(left(evaluation)) else right(evaluation)
        if operator == "??":
            return _coalesce(left, right)
        if operator in _BUDGETED:
            budgeted = _BUDGETED[operator]
            return lambda evaluation: budgeted(
                left(evaluation), right(evaluation), evaluation.budget
            )
        apply = _OPERATIONS[operator]
        return lambda evaluation: apply(left(evaluation), right(evaluation))

    def _constant_range(self, node: syntax.Binary) -> tuple[int, int] | None:
        """Returns the bounds in ``count in 1..9``: two comparisons, which need no memory."""
        match node.right:
            case syntax.Binary("..", syntax.Integer(first), syntax.Integer(last)):
                if self._checker.nature_of(node.left).kind is Kind.INT:
                    return first, last
        return None

    def _comparisons(self, node: syntax.Comparisons) -> Code:
        first, *others = (self.compile(operand) for operand in node.operands)
        steps = [
            (_BUDGETED[operator], operand)
            for operator, operand in zip(node.operators, others, strict=True)
        ]

        def code(evaluation: Evaluation) -> bool:
            left = first(evaluation)
            for compare, operand in steps:
                right = operand(evaluation)
                if not compare(left, right, evaluation.budget):
                    return False
                left = right
            return True

        return code

    def _matches_literal(self, subject: Node, pattern: str) -> Code:
        text = self.compile(subject)

        def code(evaluation: Evaluation) -> bool:
            value = text(evaluation)
            if value is None:
                return False
            compiled = regexes.cached_pattern(pattern)
            return regexes.matches(compiled, _text_or_bytes(value), evaluation.budget)

        return code

    def _string_set(self, node: syntax.StringSet) -> Code:
        return _constant(dict.fromkeys(node.values))

    # Members.

    def _chain(self, node: syntax.Chain) -> Code:
        inner = self.compile(node.inner)

        def code(evaluation: Evaluation) -> Value:
            try:
                value = inner(evaluation)
            except _ChainEnded:
                return None
            return None if is_nil(value) else value

        return code

    def _member(self, node: syntax.Member) -> Code:
        base = self.compile(node.base)
        if node.optional:
            base = _ending_chain(base)
        if isinstance(node.key, syntax.String | syntax.Integer):
            constant = node.key.value
            return lambda evaluation: access.fetch(base(evaluation), constant, evaluation.budget)
        key = self.compile(node.key)
        return lambda evaluation: access.fetch(base(evaluation), key(evaluation), evaluation.budget)

    def _slice(self, node: syntax.Slice) -> Code:
        base = self.compile(node.base)
        start = self.compile(node.start) if node.start is not None else _constant(0)
        end = self.compile(node.end) if node.end is not None else _constant(None)

        def code(evaluation: Evaluation) -> Value:
            whole, last = base(evaluation), end(evaluation)
            return access.cut(
                whole, start(evaluation), last, open_end=node.end is None, budget=evaluation.budget
            )

        return code

    # Calls.

    def _call(self, node: syntax.Call) -> Code:
        function = self._checker.nature_of(node.callee).type
        nodes = list(node.arguments)
        if function is not None and function.kind is Kind.FUNC:
            for position, parameter in enumerate(function.parameters):
                if parameter == FLOAT64 and self._checker.nature_of(nodes[position]).is_integer:
                    nodes[position] = _with_floats(nodes[position])
        arguments = [self.compile(argument) for argument in nodes]
        callee = self.compile(node.callee)

        def code(evaluation: Evaluation) -> Value:
            values = [argument(evaluation) for argument in arguments]
            return _invoke(callee(evaluation), evaluation, values)

        return code

    def _builtin_call(self, node: syntax.BuiltinCall) -> Code:
        if node.name in functions.PREDICATES:
            return self._sum_of_array(node) or self._loop(node)
        arguments = [self.compile(argument) for argument in node.arguments]
        builtin = functions.FUNCTIONS[node.name]

        def code(evaluation: Evaluation) -> Value:
            values = [argument(evaluation) for argument in arguments]
            evaluation.budget.spend_steps(builtin.cost)
            return builtin.call(evaluation, values)

        return code

    def _sum_of_array(self, node: syntax.BuiltinCall) -> Code | None:
        """Returns the code of ``sum([a, b])``, which is a + b, so that b may be a text."""
        match node:
            case syntax.BuiltinCall("sum", (syntax.Array(nodes),)) if len(nodes) >= 2:
                if not all(isinstance(element, _LITERALS) for element in nodes):
                    return _added([self.compile(element) for element in nodes])
        return None

    def _loop(self, node: syntax.BuiltinCall) -> Code:
        collection, *others = (self.compile(argument) for argument in node.arguments)
        repeated = (*node.arguments[1:2], node.transform)
        transform = self.compile(node.transform) if node.transform else predicates.current
        return predicates.compile_loop(
            node.name,
            Loop(
                collection,
                predicate=others[0] if others else predicates.current,
                last=others[1] if len(others) > 1 else None,
                transform=transform,
                required=node.required,
                threshold=node.threshold,
                cost=2 + sum(part.size() for part in repeated if part),
            ),
        )

    def _predicate(self, node: syntax.Predicate) -> Code:
        return self.compile(node.body)

    # Structure.

    def _let(self, node: syntax.Let) -> Code:
        value = self.compile(node.value)
        place = self.variables
        self.variables += 1
        self._names.append((node.name, place))
        body = self.compile(node.body)
        self._names.pop()

        def code(evaluation: Evaluation) -> Value:
            evaluation.variables[place] = value(evaluation)
            return body(evaluation)

        return code

    def _sequence(self, node: syntax.Sequence) -> Code:
        *before, last = (self.compile(child) for child in node.nodes)

        def code(evaluation: Evaluation) -> Value:
            for child in before:
                child(evaluation)
            return last(evaluation)

        return code

    def _conditional(self, node: syntax.Conditional) -> Code:
        condition, no = self.compile(node.condition), self.compile(node.no)
        yes = self.compile(node.yes) if node.yes is not None else _constant(True)
        return lambda evaluation: (yes if to_bool(condition(evaluation)) else no)(evaluation)


_LITERALS = (syntax.Integer, syntax.Float, syntax.String, syntax.Boolean)


def _added(summands: list[Code]) -> Code:
    def code(evaluation: Evaluation) -> Value:
        *others, total = [summand(evaluation) for summand in summands]
        for value in reversed(others):
            total = operators.add(value, total, evaluation.budget)
        return total

    return code


def _constant(value: Value) -> Code:
    return lambda _: value


def _between(operand: Code, first: int, last: int) -> Code:
    def code(evaluation: Evaluation) -> bool:
        return bool(first <= operand(evaluation) <= last)

    return code


def _index(evaluation: Evaluation) -> Value:
    assert evaluation.scope is not None
    return evaluation.scope.index


def _accumulator(evaluation: Evaluation) -> Value:
    assert evaluation.scope is not None
    return evaluation.scope.accumulator


def _ending_chain(base: Code) -> Code:
    def code(evaluation: Evaluation) -> Value:
        value = base(evaluation)
        if is_nil(value):
            raise _ChainEnded
        return value

    return code


def _coalesce(left: Code, right: Code) -> Code:
    def code(evaluation: Evaluation) -> Value:
        value = left(evaluation)
        return right(evaluation) if is_nil(value) else value

    return code


def _with_floats(node: Node) -> Node:
    """Makes the integer literals of an argument floats, where a float is wanted."""
    match node:
        case syntax.Integer(value):
            return syntax.Float(float(value))
        case syntax.Unary(operator, operand):
            return syntax.Unary(operator, _with_floats(operand))
        case syntax.Binary("+" | "-" | "*" as operator, left, right):
            return syntax.Binary(operator, _with_floats(left), _with_floats(right))
    return node


def _invoke(callee: Value, evaluation: Evaluation, arguments: list[Value]) -> Value:
    if callee is None:
        raise EvaluationError("invalid operation: cannot call nil")
    evaluation.budget.spend_steps(CALL_STEPS)
    if not isinstance(callee, Function):
        raise EvaluationError(
            f"invalid operation: cannot call non-function of type {type_name(callee)}"
        )
    wanted = callee.type.parameters
    if len(wanted) != len(arguments):
        raise EvaluationError(
            f"invalid number of arguments: expected {len(wanted)}, got {len(arguments)}"
        )
    for parameter, argument in zip(wanted, arguments, strict=True):
        if parameter.kind is not Kind.INTERFACE and type_of(argument) != parameter:
            raise wrong_type(argument, str(parameter))
    return callee.call(evaluation, arguments)


# What the operators do.


def _text_or_bytes(value: Value) -> str | bytes:
    if isinstance(value, str | bytes):
        return value
    raise wrong_type(value, "[]uint8")


def _on_texts(test: Callable[[str, str], bool]) -> Callable[[Value, Value, Budget], bool]:
    def apply(left: Value, right: Value, budget: Budget) -> bool:
        if left is None or right is None:
            return False
        text, part = operators.to_string(left), operators.to_string(right)
        budget.spend_reading(len(text) + len(part))
        return test(text, part)

    return apply


def _matches(left: Value, right: Value, budget: Budget) -> bool:
    if left is None or right is None:
        return False
    pattern = operators.to_string(right)
    budget.spend_steps(regexes.COMPILE_STEPS + len(pattern))
    return regexes.matches(regexes.compile_pattern(pattern), _text_or_bytes(left), budget)


_BUDGETED: Mapping[str, Callable[..., Value]] = {
    "<": operators.less,
    "<=": operators.less_or_equal,
    ">": operators.more,
    ">=": operators.more_or_equal,
    "==": operators.equal,
    "!=": lambda left, right, budget: not operators.equal(left, right, budget),
    "+": operators.add,
    "in": lambda left, right, budget: access.contains(right, left, budget),
    "..": operators.make_range,
    "matches": _matches,
    "contains": _on_texts(lambda text, part: part in text),
    "startsWith": _on_texts(str.startswith),
    "endsWith": _on_texts(str.endswith),
}

_OPERATIONS: Mapping[str, Callable[[Value, Value], Value]] = {
    "-": operators.subtract,
    "*": operators.multiply,
    "/": operators.divide,
    "%": operators.modulo,
    "**": operators.power,
    "^": operators.power,
}

_COMPILERS: Mapping[type[Node], Callable[..., Code]] = {
    syntax.Nil: lambda _compiler, _node: _constant(None),
    syntax.Boolean: Compiler._literal,
    syntax.Integer: Compiler._literal,
    syntax.Float: Compiler._literal,
    syntax.String: Compiler._literal,
    syntax.Bytes: Compiler._literal,
    syntax.Identifier: Compiler._identifier,
    syntax.Pointer: Compiler._pointer,
    syntax.Array: Compiler._array,
    syntax.Map: Compiler._map,
    syntax.Unary: Compiler._unary,
    syntax.Binary: Compiler._binary,
    syntax.Comparisons: Compiler._comparisons,
    syntax.StringSet: Compiler._string_set,
    syntax.Chain: Compiler._chain,
    syntax.Member: Compiler._member,
    syntax.Slice: Compiler._slice,
    syntax.Call: Compiler._call,
    syntax.BuiltinCall: Compiler._builtin_call,
    syntax.Predicate: Compiler._predicate,
    syntax.Let: Compiler._let,
    syntax.Sequence: Compiler._sequence,
    syntax.Conditional: Compiler._conditional,
}
