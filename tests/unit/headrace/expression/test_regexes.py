"""Patterns."""

from __future__ import annotations

import pytest

from headrace.expression import regexes
from headrace.expression.errors import CompileError, EvaluationError
from headrace.expression.limits import Budget


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^a.c$", "abc", True),
        ("b", "abc", True),
        ("B", "abc", False),
        ("(?i)B", "abc", True),
        (r"\d{3}", "a123", True),
        (r"\pL+", "é", True),
        ("(a+)+$", "a" * 5000 + "b", False),
        ("é", "é".encode(), True),
    ],
)
def test_finds(pattern: str, text: str | bytes, found: bool) -> None:
    assert regexes.matches(regexes.compile_pattern(pattern), text, Budget()) is found


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing closing ): `(`"),
        ("a(b", "missing closing ): `a(b`"),
        ("[a", "missing closing ]: `[a`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        (r"\q", r"invalid escape sequence: `\q`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("a)b", "unexpected ): `a)b`"),
        ("[b-a]", "invalid character class range: `b-a`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
    ],
)
def test_refuses_in_the_words_of_the_reference(pattern: str, reason: str) -> None:
    with pytest.raises(CompileError) as refusal:
        regexes.compile_pattern(pattern)
    assert str(refusal.value) == f"error parsing regexp: {reason}"


def test_refuses_a_pattern_that_would_be_huge() -> None:
    with pytest.raises(CompileError, match="error parsing regexp"):
        regexes.compile_pattern(r"((\pL{1,30}){1,30})?" * 50)


def test_work_is_paid_for() -> None:
    with pytest.raises(EvaluationError, match="evaluation budget exceeded"):
        regexes.matches(regexes.compile_pattern("(a?){500}b"), "a" * 900_000, Budget())
