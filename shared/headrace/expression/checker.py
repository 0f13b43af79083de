"""Finds the static type of every node, and what cannot be right whatever the values are.

The environment is typed from the values of the evaluation: ``result < 1`` is refused here when
the result is a []float64, while a result of unknown type is found wrong only when it is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headrace.expression import calls, functions, gotypes, natures, regexes, syntax, times
from headrace.expression.errors import CompileError
from headrace.expression.gotypes import GoType, Kind
from headrace.expression.limits import MAX_PATTERNS
from headrace.expression.natures import (
    BOOL,
    FLOAT,
    INT,
    NIL,
    STRING,
    UNKNOWN,
    Nature,
    PredicateScope,
)
from headrace.expression.syntax import Node

Environment = Mapping[str, GoType | None]
"""The types of the names of the environment; None for nil."""


class Checker:
    """Checks one tree."""

    def __init__(self, environment: Environment) -> None:
        self.predicate_scopes: list[PredicateScope] = []
        self._environment = environment
        self._pattern_count = 0
        self._variables: list[tuple[str, Nature]] = []
        # By identity; the node is kept, so that no other one gets its id.
        self._natures: dict[int, tuple[Node, Nature]] = {}

    def nature_of(self, node: Node) -> Nature:
        """Returns what was found about a node of the tree."""
        known = self._natures.get(id(node))
        return known[1] if known else UNKNOWN

    def copy_nature(self, source: Node, target: Node) -> None:
        """Notes that a node that replaces another has the same nature."""
        self._natures[id(target)] = target, self.nature_of(source)

    def visit(self, node: Node) -> Nature:
        """Returns the nature of a node, and notes it for it and all below.

        Raises:
            CompileError: the node cannot be evaluated.
        """
        known = self._natures.get(id(node))
        if known is not None:  # overloads look at their arguments again
            return known[1]
        nature = _VISITORS[type(node)](self, node)
        self._natures[id(node)] = node, nature
        return nature

    def find_name(self, name: str, *, builtins_too: bool, required: bool = True) -> Nature:
        """Returns the nature of a name of the environment, or of a function of the language.

        Raises:
            CompileError: there is no such name.
        """
        if name in self._environment:
            type_ = self._environment[name]
            return NIL if type_ is None else natures.of_type(type_)
        if builtins_too and (function_type := functions.type_of_name(name)) is not None:
            return Nature(function_type, builtin=name)
        if required:
            raise CompileError(f"unknown name {name}")
        return UNKNOWN

    # Names and literals.

    def _identifier(self, node: syntax.Identifier) -> Nature:
        for name, nature in reversed(self._variables):
            if name == node.name:
                return nature
        if node.name == "$env":
            return UNKNOWN
        return self.find_name(node.name, builtins_too=True)

    def _pointer(self, node: syntax.Pointer) -> Nature:
        if not self.predicate_scopes:
            raise CompileError("cannot use pointer accessor outside predicate")
        scope = self.predicate_scopes[-1]
        if not node.name:
            return UNKNOWN if scope.collection.is_unknown else scope.collection.element_nature()
        if node.name not in scope.pointers:
            raise CompileError(f"unknown pointer #{node.name}")
        return scope.pointers[node.name]

    def _array(self, node: syntax.Array) -> Nature:
        elements = [self.visit(element) for element in node.elements]
        if len({element.kind for element in elements}) > 1:
            return natures.ANY_SLICE
        return natures.array_of(elements[-1] if elements else UNKNOWN)

    def _map(self, node: syntax.Map) -> Nature:
        for pair in node.pairs:
            self.visit(pair)
        return natures.STRING_MAP

    def _pair(self, node: syntax.Pair) -> Nature:
        self.visit(node.key)
        self.visit(node.value)
        return NIL

    # Operators.

    def _unary(self, node: syntax.Unary) -> Nature:
        nature = self.visit(node.operand).dereferenced()
        if node.operator in ("!", "not"):
            if nature.is_bool or nature.is_unknown:
                return BOOL
        elif nature.is_number:
            return nature
        elif nature.is_unknown:
            return UNKNOWN
        raise CompileError(f"invalid operation: {node.operator} (mismatched type {nature})")

    def _binary(self, node: syntax.Binary) -> Nature:
        left = self.visit(node.left).dereferenced()
        right = self.visit(node.right).dereferenced()
        if node.operator == "matches" and isinstance(node.right, syntax.String):
            self._check_pattern(node.right.value)
        return _require(_BINARY_RULES[node.operator](left, right), node.operator, left, right)

    def _check_pattern(self, pattern: str) -> None:
        self._pattern_count += 1
        if self._pattern_count > MAX_PATTERNS:
            raise CompileError(f"expression has too many patterns (at most {MAX_PATTERNS})")
        regexes.cached_pattern(pattern)

    def _comparisons(self, node: syntax.Comparisons) -> Nature:
        left = self.visit(node.operands[0]).dereferenced()
        for operator, operand in zip(node.operators, node.operands[1:], strict=True):
            right = self.visit(operand).dereferenced()
            _require(_ORDER(left, right), operator, left, right)
            left = right
        return BOOL

    # Members.

    def _chain(self, node: syntax.Chain) -> Nature:
        return self.visit(node.inner)

    def _member(self, node: syntax.Member) -> Nature:
        if isinstance(node.base, syntax.Identifier) and node.base.name == "$env":
            if isinstance(node.key, syntax.String):
                return self.find_name(
                    node.key.value, builtins_too=False, required=not node.optional
                )
            self.visit(node.key)
            return UNKNOWN
        base, key = self.visit(node.base), self.visit(node.key)
        if base.is_unknown:
            return UNKNOWN
        name = node.key.value if isinstance(node.key, syntax.String) else None
        if name is not None:
            if base.is_nil:
                raise CompileError(f"type nil has no field {name}")
            if (method := times.method_type(base.type, name)) is not None:
                return natures.of_type(method)
        base = base.dereferenced()
        if base.is_map:
            self._require_key(base, key)
            return base.element_nature()
        if base.is_array:
            index = key.dereferenced()
            if not index.is_integer and not index.is_unknown:
                raise CompileError(
                    f"array elements can only be selected using an integer (got {index})"
                )
            return base.element_nature()
        if name is None:
            raise CompileError(f"type {base}[{key}] is undefined")
        for field_name, field_type in base.type.fields if base.type else ():
            if field_name == name:
                return natures.of_type(field_type)
        word = "method" if node.method else "field"
        raise CompileError(f"type {base} has no {word} {name}")

    def _require_key(self, base: Nature, key: Nature) -> None:
        wanted = base.key_nature()
        usable = key.is_assignable_to(wanted) or key.dereferenced().is_assignable_to(wanted)
        if not usable and not key.is_unknown:
            raise CompileError(f"cannot use {key} to get an element from {base}")

    def check_get(self, node: syntax.BuiltinCall) -> Nature:
        """Returns the nature of ``get(base, key)``."""
        if len(node.arguments) != 2:
            raise CompileError(
                f"invalid number of arguments (expected 2, got {len(node.arguments)})"
            )
        first, second = node.arguments
        base, key = self.visit(first), self.visit(second).dereferenced()
        if isinstance(first, syntax.Identifier) and first.name == "$env":
            if isinstance(second, syntax.String):
                return self.find_name(second.value, builtins_too=False, required=False)
            return UNKNOWN
        if base.is_unknown:
            return UNKNOWN
        if base.is_array:
            if not key.is_integer and not key.is_unknown:
                raise CompileError(f"non-integer slice index {key}")
            return base.element_nature()
        if base.is_map:
            if not key.is_assignable_to(base.key_nature()) and not key.is_unknown:
                raise CompileError(f"cannot use {key} to get an element from {base}")
            return base.element_nature()
        raise CompileError(f"type {base} does not support indexing")

    def _slice(self, node: syntax.Slice) -> Nature:
        nature = self.visit(node.base)
        if not nature.is_unknown and not nature.is_array and not nature.is_string:
            raise CompileError(f"cannot slice {nature}")
        for bound in (node.start, node.end):
            if bound is not None:
                index = self.visit(bound).dereferenced()
                if nature.is_unknown:
                    continue
                if not index.is_integer and not index.is_unknown:
                    raise CompileError(f"non-integer slice index {index}")
        return UNKNOWN if nature.is_unknown else nature

    # Structure.

    def _let(self, node: syntax.Let) -> Nature:
        if node.name in self._environment:
            raise CompileError(f"cannot redeclare {node.name}")
        if functions.type_of_name(node.name) is not None:
            raise CompileError(f"cannot redeclare builtin {node.name}")
        if any(name == node.name for name, _ in self._variables):
            raise CompileError(f"cannot redeclare variable {node.name}")
        self._variables.append((node.name, self.visit(node.value)))
        nature = self.visit(node.body)
        self._variables.pop()
        return nature

    def _sequence(self, node: syntax.Sequence) -> Nature:
        return [self.visit(child) for child in node.nodes][-1]

    def _conditional(self, node: syntax.Conditional) -> Nature:
        condition = self.visit(node.condition).dereferenced()
        if not condition.is_bool and not condition.is_unknown:
            raise CompileError(f"non-bool expression (type {condition}) used as condition")
        yes = self.visit(node.yes) if node.yes is not None else self.visit(node.condition)
        no = self.visit(node.no)
        if yes.is_nil or no.is_nil:
            return no if yes.is_nil else yes
        if not yes.is_assignable_to(no):
            return UNKNOWN
        if yes.is_array and no.is_array:
            one, other = yes.element_nature(), no.element_nature()
            if not (one.is_assignable_to(other) and other.is_assignable_to(one)):
                return natures.ANY_SLICE
        return yes


_VISITORS: Mapping[type[Node], Callable[..., Nature]] = {
    syntax.Nil: lambda _checker, _node: NIL,
    syntax.Boolean: lambda _checker, _node: BOOL,
    syntax.Integer: lambda _checker, _node: INT,
    syntax.Float: lambda _checker, _node: FLOAT,
    syntax.String: lambda _checker, _node: STRING,
    syntax.Bytes: lambda _checker, _node: natures.of_type(gotypes.BYTE_SLICE),
    syntax.Identifier: Checker._identifier,
    syntax.Pointer: Checker._pointer,
    syntax.Array: Checker._array,
    syntax.Map: Checker._map,
    syntax.Pair: Checker._pair,
    syntax.Unary: Checker._unary,
    syntax.Binary: Checker._binary,
    syntax.Comparisons: Checker._comparisons,
    syntax.Chain: Checker._chain,
    syntax.Member: Checker._member,
    syntax.Slice: Checker._slice,
    syntax.Let: Checker._let,
    syntax.Sequence: Checker._sequence,
    syntax.Conditional: Checker._conditional,
    syntax.Call: lambda checker, node: calls.check_call(checker, node),
    syntax.BuiltinCall: lambda checker, node: calls.check_builtin(checker, node),
    syntax.Predicate: lambda checker, node: calls.check_predicate(checker, node),
}


# What the binary operators take: a rule returns None for operands that do not fit.

_Rule = Callable[[Nature, Nature], Nature | None]
_Trait = Callable[[Nature], bool]


def _require(found: Nature | None, operator: str, left: Nature, right: Nature) -> Nature:
    if found is None:
        raise CompileError(f"invalid operation: {operator} (mismatched types {left} and {right})")
    return found


def _is_number(nature: Nature) -> bool:
    return nature.is_number


def _is_integer(nature: Nature) -> bool:
    return nature.is_integer


def _is_string(nature: Nature) -> bool:
    return nature.is_string


def _is_bool(nature: Nature) -> bool:
    return nature.is_bool


def _is_time(nature: Nature) -> bool:
    return nature.is_time


def _is_duration(nature: Nature) -> bool:
    return nature.is_duration


def _may_fit(left: Nature, right: Nature, *traits: _Trait) -> bool:
    """Tells whether operands of which at least one is unknown may turn out to fit."""
    if left.is_unknown:
        return right.is_unknown or any(trait(right) for trait in traits)
    return right.is_unknown and any(trait(left) for trait in traits)


def _same(result: Nature, *traits: _Trait) -> _Rule:
    """Both operands have one of the traits, or may have it."""

    def rule(left: Nature, right: Nature) -> Nature | None:
        fits = any(trait(left) and trait(right) for trait in traits)
        return result if fits or _may_fit(left, right, *traits) else None

    return rule


def _promoted(left: Nature, right: Nature) -> Nature:
    return FLOAT if left.is_float or right.is_float else INT


_TIME = natures.of_type(gotypes.TIME)
_DURATION = natures.of_type(gotypes.DURATION)


def _plus(left: Nature, right: Nature) -> Nature | None:
    if left.is_number and right.is_number:
        return _promoted(left, right)
    if left.is_string and right.is_string:
        return STRING
    if (left.is_time and right.is_duration) or (left.is_duration and right.is_time):
        return _TIME
    if left.is_duration and right.is_duration:
        return _DURATION
    fits = _may_fit(left, right, _is_number, _is_string, _is_time, _is_duration)
    return UNKNOWN if fits else None


def _minus(left: Nature, right: Nature) -> Nature | None:
    if left.is_number and right.is_number:
        return _promoted(left, right)
    if (left.is_time and right.is_time) or (left.is_duration and right.is_duration):
        return _DURATION
    if left.is_time and right.is_duration:
        return _TIME
    return UNKNOWN if _may_fit(left, right, _is_number, _is_time, _is_duration) else None


def _times(left: Nature, right: Nature) -> Nature | None:
    if left.is_number and right.is_number:
        return _promoted(left, right)
    if all(side.is_number or side.is_duration for side in (left, right)):
        return _DURATION
    return UNKNOWN if _may_fit(left, right, _is_number, _is_duration) else None


def _equality(left: Nature, right: Nature) -> Nature | None:
    return BOOL if left.is_comparable_to(right) else None


def _matching(left: Nature, right: Nature) -> Nature | None:
    if left.type == gotypes.BYTE_SLICE and right.is_string:
        return BOOL
    return _same(BOOL, _is_string)(left, right)


def _membership(left: Nature, right: Nature) -> Nature | None:
    if right.kind is Kind.STRUCT and (left.is_string or left.is_unknown):
        return BOOL
    if right.is_map:
        key = right.key_nature()
        if not left.is_unknown and not left.is_assignable_to(key):
            raise CompileError(f"cannot use {left} as type {key} in map key")
        return BOOL
    if right.is_array:
        element = right.element_nature()
        if not left.is_comparable_to(element):
            raise CompileError(f"cannot use {left} as type {element} in array")
        return BOOL
    return BOOL if right.is_unknown or (left.is_unknown and right.is_string) else None


def _coalescing(left: Nature, right: Nature) -> Nature | None:
    if left.is_nil or right.is_nil:
        return right if left.is_nil else left
    return left if right.is_assignable_to(left) else UNKNOWN


_ORDER = _same(BOOL, _is_number, _is_string, _is_time, _is_duration)
_LOGIC = _same(BOOL, _is_bool)
_TEXT = _same(BOOL, _is_string)

_BINARY_RULES: Mapping[str, _Rule] = {
    "==": _equality,
    "!=": _equality,
    "or": _LOGIC,
    "||": _LOGIC,
    "and": _LOGIC,
    "&&": _LOGIC,
    "<": _ORDER,
    ">": _ORDER,
    ">=": _ORDER,
    "<=": _ORDER,
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _same(FLOAT, _is_number),
    "**": _same(FLOAT, _is_number),
    "^": _same(FLOAT, _is_number),
    "%": _same(INT, _is_integer),
    "in": _membership,
    "matches": _matching,
    "contains": _TEXT,
    "startsWith": _TEXT,
    "endsWith": _TEXT,
    "..": _same(natures.array_of(INT), _is_integer),
    "??": _coalescing,
}
