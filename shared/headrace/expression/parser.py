"""Builds the syntax tree: a Pratt parser, binary operators by their binding power."""

from __future__ import annotations

from headrace.expression import functions, syntax
from headrace.expression.errors import CompileError
from headrace.expression.lexer import Lexer, is_word
from headrace.expression.limits import (
    MAX_DEPTH,
    MAX_EXPRESSION_CHARACTERS,
    MAX_NESTING,
)
from headrace.expression.literals import parse_number
from headrace.expression.syntax import Node
from headrace.expression.text import to_bytes, to_text
from headrace.expression.tokens import Token, TokenKind

UNARY_POWERS = {"not": 50, "!": 50, "-": 90, "+": 90}
BINARY_POWERS = {
    "|": 0,
    "or": 10,
    "||": 10,
    "and": 15,
    "&&": 15,
    "==": 20,
    "!=": 20,
    "<": 20,
    ">": 20,
    ">=": 20,
    "<=": 20,
    "in": 20,
    "matches": 20,
    "contains": 20,
    "startsWith": 20,
    "endsWith": 20,
    "..": 25,
    "+": 30,
    "-": 30,
    "*": 60,
    "/": 60,
    "%": 60,
    "**": 100,
    "^": 100,
    "??": 500,
}
_RIGHT_ASSOCIATIVE = frozenset(("**", "^"))
_COMPARISONS = frozenset(("<", ">", ">=", "<="))
_NEGATABLE = frozenset(("contains", "matches", "startsWith", "endsWith", "in"))


def parse(source: str) -> Node:
    """Returns the syntax tree of an expression.

    Raises:
        CompileError: the text is no expression, or too long, or nested too deeply.
    """
    if len(source) > MAX_EXPRESSION_CHARACTERS:
        raise CompileError(
            f"expression is too long ({len(source)} characters, "
            f"at most {MAX_EXPRESSION_CHARACTERS})"
        )
    return _Parser(to_text(to_bytes(source))).parse()


class _Parser:
    """Reads one expression with one token of look-ahead."""

    def __init__(self, source: str) -> None:
        self._lexer = Lexer(source)
        self._stashed: Token | None = None
        self._nesting = 0
        self._predicate_depth = 0
        self._current = self._lexer.next()

    def parse(self) -> Node:
        node = self._parse_sequence()
        if self._current.kind is not TokenKind.END:
            raise self._unexpected()
        return node

    # Tokens.

    def _advance(self) -> None:
        if self._stashed is not None:
            self._current, self._stashed = self._stashed, None
        else:
            self._current = self._lexer.next()

    def _unexpected(self) -> CompileError:
        return CompileError(f"unexpected token {self._current}")

    def _expect(self, kind: TokenKind, text: str) -> None:
        if not self._current.is_(kind, text):
            raise self._unexpected()
        self._advance()

    def _expect_operator(self, text: str) -> None:
        self._expect(TokenKind.OPERATOR, text)

    def _expect_bracket(self, text: str) -> None:
        self._expect(TokenKind.BRACKET, text)

    def _expect_identifier(self) -> str:
        if self._current.kind is not TokenKind.IDENTIFIER:
            raise self._unexpected()
        name = self._current.text
        self._advance()
        return name

    def _add(self, node: Node) -> Node:
        if node.depth > MAX_DEPTH:
            raise _too_deep(MAX_DEPTH)
        return node

    # Expressions.

    def _parse_sequence(self) -> Node:
        nodes = [self._parse_expression(0)]
        while self._current.is_operator(";"):
            self._advance()
            if self._current.kind is TokenKind.END:
                break
            nodes.append(self._parse_expression(0))
        return nodes[0] if len(nodes) == 1 else self._add(syntax.Sequence(tuple(nodes)))

    def _parse_expression(self, power: int) -> Node:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise _too_deep(MAX_NESTING)
        if power == 0 and self._current.is_operator("let"):
            node = self._parse_let()
        elif power == 0 and self._current.is_operator("if"):
            node = self._parse_if()
        else:
            node = self._parse_binary(self._parse_primary(), power)
            if power == 0:
                node = self._parse_ternary(node)
        self._nesting -= 1
        return node

    def _parse_binary(self, left: Node, power: int) -> Node:
        previous = ""
        while self._current.kind is TokenKind.OPERATOR:
            negated = self._current.is_operator("not")
            if negated and not self._advance_to_negated(power):
                break
            operator = self._current.text
            if BINARY_POWERS.get(operator, -1) < power:
                break
            self._advance()
            left = self._parse_operation(left, operator, previous)
            if negated:
                left = self._add(syntax.Unary("not", left))
            previous = operator
        return left

    def _advance_to_negated(self, power: int) -> bool:
        """Moves from ``not`` to the operator it negates; stays where that binds too weakly."""
        negation = self._current
        self._advance()
        if self._current.text not in _NEGATABLE:
            raise self._unexpected()
        if BINARY_POWERS[self._current.text] >= power:
            return True
        self._current, self._stashed = negation, self._current
        return False

    def _parse_operation(self, left: Node, operator: str, previous: str) -> Node:
        if operator == "|":
            name = self._expect_identifier()
            return self._parse_call(name, (left,))
        if previous == "??" and operator != "??":
            raise CompileError(
                f"Operator ({operator}) and coalesce expressions (??) cannot be mixed. "
                "Wrap either by parentheses."
            )
        power = BINARY_POWERS[operator]
        if operator in _COMPARISONS:
            return self._parse_comparison(left, operator, power)
        right = self._parse_expression(power if operator in _RIGHT_ASSOCIATIVE else power + 1)
        return self._add(syntax.Binary(operator, left, right))

    def _parse_comparison(self, left: Node, operator: str, power: int) -> Node:
        """Reads ``a < b``, and ``a < b < c``, which means ``a < b && b < c``."""
        operators, operands = [operator], [left, self._parse_expression(power + 1)]
        while self._current.kind is TokenKind.OPERATOR and self._current.text in _COMPARISONS:
            operators.append(self._current.text)
            self._advance()
            operands.append(self._parse_expression(power + 1))
        if len(operators) == 1:
            return self._add(syntax.Binary(operator, *operands))
        return self._add(syntax.Comparisons(tuple(operators), tuple(operands)))

    def _parse_let(self) -> Node:
        self._advance()
        name = self._expect_identifier()
        self._expect_operator("=")
        value = self._parse_expression(0)
        self._expect_operator(";")
        body = self._parse_sequence()
        return self._add(syntax.Let(name, value, body))

    def _parse_if(self) -> Node:
        self._advance()
        condition = self._parse_expression(0)
        yes = self._parse_block()
        self._expect_operator("else")
        otherwise_if = self._current.is_operator("if")
        no = self._parse_expression(0) if otherwise_if else self._parse_block()
        return self._add(syntax.Conditional(condition, yes, no))

    def _parse_block(self) -> Node:
        self._expect_bracket("{")
        node = self._parse_sequence()
        self._expect_bracket("}")
        return node

    def _parse_ternary(self, node: Node) -> Node:
        while self._current.is_operator("?"):
            self._advance()
            yes = None
            if not self._current.is_operator(":"):
                yes = self._parse_expression(0)
            self._expect_operator(":")
            node = self._add(syntax.Conditional(node, yes, self._parse_expression(0)))
        return node

    # Operands.

    def _parse_primary(self) -> Node:
        token = self._current
        if token.kind is TokenKind.OPERATOR and token.text in UNARY_POWERS:
            self._advance()
            operand = self._parse_expression(UNARY_POWERS[token.text])
            return self._parse_postfix(self._add(syntax.Unary(token.text, operand)))
        if token.is_bracket("("):
            self._advance()
            node = self._parse_sequence()
            self._expect_bracket(")")
            return self._parse_postfix(node)
        if self._predicate_depth and (token.is_operator("#") or token.is_operator(".")):
            return self._parse_postfix(self._parse_pointer())
        if token.is_operator("::"):
            self._advance()
            return self._parse_postfix(self._parse_call(self._expect_identifier(), ()))
        return self._parse_secondary()

    def _parse_pointer(self) -> Node:
        name = ""
        if self._current.is_operator("#"):
            self._advance()
            if self._current.kind is TokenKind.IDENTIFIER:
                name = self._expect_identifier()
        return self._add(syntax.Pointer(name))

    def _parse_secondary(self) -> Node:
        token = self._current
        if token.kind is TokenKind.IDENTIFIER:
            return self._parse_named()
        if token.kind is TokenKind.NUMBER:
            self._advance()
            number = parse_number(token.text)
            literal = syntax.Float(number) if isinstance(number, float) else syntax.Integer(number)
            return self._add(literal)
        if token.kind is TokenKind.STRING:
            self._advance()
            return self._parse_postfix(self._add(syntax.String(token.text)))
        if token.kind is TokenKind.BYTES:
            self._advance()
            return self._parse_postfix(self._add(syntax.Bytes(to_bytes(token.text))))
        if token.is_bracket("["):
            return self._parse_postfix(self._parse_array())
        if token.is_bracket("{"):
            return self._parse_postfix(self._parse_map())
        raise self._unexpected()

    def _parse_named(self) -> Node:
        name = self._current.text
        self._advance()
        if name in ("true", "false"):
            return self._add(syntax.Boolean(name == "true"))
        if name == "nil":
            return self._add(syntax.Nil())
        if self._current.is_bracket("("):
            return self._parse_postfix(self._parse_call(name, ()))
        return self._parse_postfix(self._add(syntax.Identifier(name)))

    # Calls.

    def _parse_call(self, name: str, piped: tuple[Node, ...]) -> Node:
        """Reads the arguments of a call; ``piped`` stands before them."""
        if name in functions.PREDICATES:
            return self._add(syntax.BuiltinCall(name, self._parse_predicate_call(name, piped)))
        if name in functions.FUNCTIONS:
            return self._add(syntax.BuiltinCall(name, self._parse_arguments(piped)))
        callee = self._add(syntax.Identifier(name))
        return self._add(syntax.Call(callee, self._parse_arguments(piped)))

    def _parse_predicate_call(self, name: str, piped: tuple[Node, ...]) -> tuple[Node, ...]:
        """Reads a collection, a predicate, and what else the function takes."""
        self._expect_bracket("(")
        least, most = functions.PREDICATES[name]
        arguments = list(piped)
        while len(arguments) < most:
            if self._current.is_bracket(")"):
                if len(arguments) >= least:
                    break
                raise CompileError(f"expected at least {most - len(piped)} arguments")
            if len(arguments) > len(piped):
                self._expect_operator(",")
            is_predicate = len(arguments) == 1
            arguments.append(self._parse_predicate() if is_predicate else self._parse_expression(0))
        if self._current.is_operator(","):
            self._advance()
        self._expect_bracket(")")
        return tuple(arguments)

    def _parse_predicate(self) -> Node:
        self._predicate_depth += 1
        if self._current.is_bracket("{"):
            self._advance()
            body = self._parse_sequence()
            self._predicate_depth -= 1
            self._expect_bracket("}")
        else:
            body = self._parse_expression(0)
            if self._current.is_operator(";"):
                raise CompileError("wrap predicate with brackets { and }")
            self._predicate_depth -= 1
        return self._add(syntax.Predicate(body))

    def _parse_arguments(self, piped: tuple[Node, ...]) -> tuple[Node, ...]:
        return piped + self._parse_list("(", ")")

    def _parse_list(self, opening: str, closing: str) -> tuple[Node, ...]:
        self._expect_bracket(opening)
        nodes: list[Node] = []
        while not self._current.is_bracket(closing):
            if nodes:
                self._expect_operator(",")
                if self._current.is_bracket(closing):
                    break
            nodes.append(self._parse_expression(0))
        self._expect_bracket(closing)
        return tuple(nodes)

    # Collections.

    def _parse_array(self) -> Node:
        return self._add(syntax.Array(self._parse_list("[", "]")))

    def _parse_map(self) -> Node:
        self._expect_bracket("{")
        pairs: list[syntax.Pair] = []
        while not self._current.is_bracket("}"):
            if pairs:
                self._expect_operator(",")
                if self._current.is_bracket("}"):
                    break
                if self._current.is_operator(","):
                    raise self._unexpected()
            pairs.append(self._parse_pair())
        self._expect_bracket("}")
        return self._add(syntax.Map(tuple(pairs)))

    def _parse_pair(self) -> syntax.Pair:
        token = self._current
        if token.kind in (TokenKind.NUMBER, TokenKind.STRING, TokenKind.IDENTIFIER):
            key = self._add(syntax.String(token.text))
            self._advance()
        elif token.is_bracket("("):
            key = self._parse_expression(0)
        else:
            raise CompileError(
                "a map key must be a quoted string, a number, a identifier, or an expression "
                f"enclosed in parentheses (unexpected token {token})"
            )
        self._expect_operator(":")
        pair = syntax.Pair(key, self._parse_expression(0))
        self._add(pair)
        return pair

    # What follows an operand.

    def _parse_postfix(self, node: Node) -> Node:
        while self._current.kind in (TokenKind.OPERATOR, TokenKind.BRACKET):
            optional = self._current.is_operator("?.")
            if optional or self._current.is_operator("."):
                self._advance()
                if optional and self._current.is_bracket("["):
                    node = self._parse_index(node, optional=True)
                else:
                    node = self._parse_member(node, optional=optional)
            elif self._current.is_bracket("["):
                node = self._parse_index(node, optional=False)
            else:
                break
        return node

    def _parse_member(self, node: Node, *, optional: bool) -> Node:
        token = self._current
        self._advance()
        if token.kind is not TokenKind.IDENTIFIER and not (
            token.kind is TokenKind.OPERATOR and is_word(token.text)
        ):
            raise CompileError("expected name")
        key = self._add(syntax.String(token.text))
        in_chain = isinstance(node, syntax.Chain)
        base = node.inner if isinstance(node, syntax.Chain) else node
        called = self._current.is_bracket("(")
        node = self._add(syntax.Member(base, key, optional, called))
        if called:
            node = self._add(syntax.Call(node, self._parse_arguments(())))
        return self._add(syntax.Chain(node)) if in_chain or optional else node

    def _parse_index(self, node: Node, *, optional: bool) -> Node:
        self._advance()
        start: Node | None = None
        if not self._current.is_operator(":"):
            start = self._parse_expression(0)
            if not self._current.is_operator(":"):
                node = self._add(syntax.Member(node, start, optional))
                node = self._add(syntax.Chain(node)) if optional else node
                self._expect_bracket("]")
                return node
        self._advance()
        end = None if self._current.is_bracket("]") else self._parse_expression(0)
        node = self._add(syntax.Slice(node, start, end))
        self._expect_bracket("]")
        return node


def _too_deep(limit: int) -> CompileError:
    return CompileError(f"expression is nested too deeply (at most {limit} levels)")
