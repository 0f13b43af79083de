"""The words of an expression."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from headrace.expression.text import quote


class TokenKind(Enum):
    """Kinds of tokens; the value is the word used in messages."""

    IDENTIFIER = "Identifier"
    NUMBER = "Number"
    STRING = "String"
    BYTES = "Bytes"
    OPERATOR = "Operator"
    BRACKET = "Bracket"
    END = "EOF"


@dataclass(frozen=True, slots=True)
class Token:
    """One word; ``text`` is the content for strings (without quotes, unescaped)."""

    kind: TokenKind
    text: str = ""

    def is_(self, kind: TokenKind, text: str) -> bool:
        """Tells whether this is exactly that word."""
        return self.kind is kind and self.text == text

    def is_operator(self, text: str) -> bool:
        """Tells whether this is that operator."""
        return self.kind is TokenKind.OPERATOR and self.text == text

    def is_bracket(self, text: str) -> bool:
        """Tells whether this is that bracket."""
        return self.kind is TokenKind.BRACKET and self.text == text

    def __str__(self) -> str:
        return f"{self.kind.value}({quote(self.text)})" if self.text else self.kind.value
