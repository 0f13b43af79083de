"""Regular expressions of ``matches``: RE2, whose time is linear in the text.

A pattern comes from a user who is not trusted, so Python's own backtracking engine is no choice.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import re2  # type: ignore[import-not-found, import-untyped, unused-ignore]

from headrace.expression.errors import CompileError
from headrace.expression.limits import MAX_CACHED_PATTERNS, MAX_PATTERN_MEMORY_BYTES, Budget
from headrace.expression.text import to_bytes

_REASONS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid named capture group": "invalid named capture",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid character class": "invalid character class",
    "invalid UTF-8": "invalid UTF-8",
    "pattern too large - compile failed": "expression too large",
}
_TRAILING = "trailing \\"


COMPILE_STEPS = 500
"""What compiling a pattern costs, besides its length."""


class Pattern(Protocol):
    """A compiled pattern; its time is at worst the product of the two sizes."""

    @property
    def programsize(self) -> int:
        """The number of its instructions."""
        ...

    def search(self, text: str | bytes) -> object | None:
        """Returns something where the pattern is found anywhere in the text."""
        ...


def compile_pattern(pattern: str) -> Pattern:
    """Compiles a pattern.

    Raises:
        CompileError: it is no pattern, or too large.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PATTERN_MEMORY_BYTES
    options.never_capture = True
    text = to_bytes(pattern).decode("utf-8", "replace")
    try:
        compiled: Pattern = re2.compile(text, options)
    except re2.error as error:
        raise CompileError(f"error parsing regexp: {_explain(error, text)}") from None
    return compiled


def _explain(error: Exception, pattern: str) -> str:
    """Returns the reason in the words of the reference."""
    said = error.args[0] if error.args else b""
    message = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    if message.startswith(_TRAILING):
        return "trailing backslash at end of expression: ``"
    reason, _, part = message.partition(": ")
    if reason == "missing )":
        part = pattern  # the reference shows all of it
    return f"{_REASONS.get(reason, reason)}: `{part}`"


@lru_cache(maxsize=MAX_CACHED_PATTERNS)
def cached_pattern(pattern: str) -> Pattern:
    """Compiles a pattern that stands in an expression, once for all its evaluations.

    Raises:
        CompileError: it is no pattern, or too large.
    """
    return compile_pattern(pattern)


def matches(pattern: Pattern, text: str | bytes, budget: Budget) -> bool:
    """Tells whether the pattern is found anywhere in the text."""
    budget.spend_steps(10 + (len(text) * pattern.programsize >> 5))
    subject = to_bytes(text).decode("utf-8", "replace") if isinstance(text, str) else text
    return pattern.search(subject) is not None
