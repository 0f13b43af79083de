"""Compiled expressions, of which the last used ones are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from headrace.expression.checker import Checker
from headrace.expression.compiler import Compiler
from headrace.expression.evaluation import Code, Evaluation
from headrace.expression.gotypes import GoType
from headrace.expression.limits import MAX_CACHED_CHARACTERS, MAX_CACHED_PROGRAMS
from headrace.expression.parser import parse
from headrace.expression.rewrites import rewrite
from headrace.expression.values import Value, type_of


@dataclass(frozen=True, slots=True)
class Program:
    """An expression ready to be evaluated on environments of one type, any number of times."""

    code: Code
    variables: int

    def run(self, environment: Mapping[str, Value], *, now: float) -> Value:
        """Returns the value of the expression.

        Args:
            environment: the values of the names, of the types it was compiled for.
            now: what now() says, in seconds since the Unix epoch.

        Raises:
            EvaluationError: there is no value.
        """
        return self.code(Evaluation(environment, now, [None] * self.variables))


def evaluate(expression: str, environment: Mapping[str, Value], *, now: float) -> Value:
    """Returns the value of an expression in an environment.

    Args:
        expression: the text.
        environment: the values of the names, as ``values`` describes them.
        now: what now() says, in seconds since the Unix epoch.

    Raises:
        ExpressionError: there is no value.
    """
    types = tuple((name, type_of(value)) for name, value in environment.items())
    is_short = len(expression) <= MAX_CACHED_CHARACTERS
    program = (_cached_program if is_short else compile_program)(expression, types)
    return program.run(environment, now=now)


def compile_program(expression: str, environment: tuple[tuple[str, GoType | None], ...]) -> Program:
    """Compiles an expression for an environment whose names have these types.

    Raises:
        CompileError: the expression is wrong in such an environment.
    """
    tree = parse(expression)
    checker = Checker(dict(environment))
    checker.visit(tree)
    compiler = Compiler(checker)
    code = compiler.compile(rewrite(tree, checker))
    return Program(code, compiler.variables)


_cached_program = lru_cache(maxsize=MAX_CACHED_PROGRAMS)(compile_program)


def cached_programs() -> int:
    """Returns how many compiled expressions are kept now."""
    return _cached_program.cache_info().currsize
