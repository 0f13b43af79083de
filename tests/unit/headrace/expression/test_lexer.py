"""Tokens of an expression."""

from __future__ import annotations

import pytest

from headrace.expression.errors import CompileError
from headrace.expression.lexer import Lexer, is_word
from headrace.expression.tokens import Token, TokenKind


def tokens_of(source: str) -> list[Token]:
    lexer = Lexer(source)
    tokens = [lexer.next()]
    while tokens[-1].kind is not TokenKind.END:
        tokens.append(lexer.next())
    return tokens[:-1]


def texts_of(source: str) -> list[str]:
    return [token.text for token in tokens_of(source)]


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("a+b", ["a", "+", "b"]),
        ("a ** b", ["a", "**", "b"]),
        ("a&&b||!c", ["a", "&&", "b", "||", "!", "c"]),
        ("a??b?.c?d:e", ["a", "??", "b", "?.", "c", "?", "d", ":", "e"]),
        ("1..3", ["1", "..", "3"]),
        ("1.5.x", ["1.5", ".", "x"]),
        (".5 1. 1e-5 0x1F 0b1 0o7 1_000", [".5", "1.", "1e-5", "0x1F", "0b1", "0o7", "1_000"]),
        ("#.v #acc ##", ["#", ".", "v", "#", "acc", "##"]),
        ("a // note\nb /* more */ c", ["a", "b", "c"]),
        ("x not in y", ["x", "not", "in", "y"]),
        ("not  matches", ["not", "matches"]),
        ("not inside", ["not", "inside"]),
        ("größe", ["größe"]),
        ("::len", ["::", "len"]),
    ],
)
def test_splits_a_text(source: str, texts: list[str]) -> None:
    assert texts_of(source) == texts


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (r"'a\'b'", "a'b"),
        (r'"a\"b\\c\n"', 'a"b\\c\n'),
        (r'"\x41é\U0001F600\101\u{1F600}"', "Aé😀A😀"),
        ("`raw \\n`", "raw \\n"),
        ("`a``b`", "a`b"),
        ('""', ""),
    ],
)
def test_reads_strings(source: str, text: str) -> None:
    assert tokens_of(source) == [Token(TokenKind.STRING, text)]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("'a", "literal not terminated"),
        ("'a\nb'", "literal not terminated"),
        ("`a", "literal not terminated"),
        ("`a``", "literal not terminated"),
        (r"'\q'", "invalid char escape"),
        (r"'\x4'", "invalid char escape"),
        (r"'\u{}'", "invalid char escape"),
        (r"'\400'", "unable to unescape string"),
        (r"'\U00110000'", "unable to unescape string"),
        (r"b'\u0041'", "unable to unescape string"),
        ("/* x", "unclosed comment"),
        ("@", "unrecognized character: U+0040 '@'"),
        ("\x00", "unrecognized character: U+0000"),
        ("1x", 'bad number syntax: "1x"'),
        ("0x1g", 'bad number syntax: "0x1g"'),
    ],
)
def test_refuses_what_is_no_token(source: str, message: str) -> None:
    with pytest.raises(CompileError) as refusal:
        tokens_of(source)
    assert str(refusal.value) == message


def test_the_end_comes_once() -> None:
    lexer = Lexer("")
    assert lexer.next().kind is TokenKind.END
    with pytest.raises(CompileError, match="unexpected end of expression"):
        lexer.next()


def test_shows_tokens_as_the_reference_does() -> None:
    assert [str(token) for token in tokens_of('a "b\\n" + (')] == [
        'Identifier("a")',
        'String("b\\n")',
        'Operator("+")',
        'Bracket("(")',
    ]
    assert str(Token(TokenKind.END)) == "EOF"


@pytest.mark.parametrize(
    ("text", "expected"), [("a1", True), ("_", True), ("1a", False), ("", False)]
)
def test_knows_names(text: str, expected: bool) -> None:
    assert is_word(text) is expected
