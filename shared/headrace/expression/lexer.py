"""Splits an expression into tokens, one at a time."""

from __future__ import annotations

from headrace.expression.errors import CompileError
from headrace.expression.literals import unescape_bytes, unescape_text
from headrace.expression.text import SPACES, quote, to_text
from headrace.expression.tokens import Token, TokenKind

_END = ""
_WORD_OPERATORS = frozenset(
    ("in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else")
)
_NEGATABLE = frozenset(("in", "matches", "contains", "startsWith", "endsWith"))
_DIGITS = "0123456789_"
_DIGITS_OF_PREFIX = {
    "x": "0123456789abcdefABCDEF_",
    "o": "01234567_",
    "b": "01_",
}
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_SIMPLE_ESCAPES = frozenset("abfnrtv\\")
_ESCAPE_DIGITS = {"x": 2, "u": 4, "U": 8}


def is_word_start(character: str) -> bool:
    """Tells whether a name may start with this character."""
    return character in ("_", "$") or character.isalpha()


def is_word_part(character: str) -> bool:
    """Tells whether a name may go on with this character."""
    return is_word_start(character) or character.isdecimal()


def is_word(text: str) -> bool:
    """Tells whether a text is a name."""
    return bool(text) and is_word_start(text[0]) and all(map(is_word_part, text))


class Lexer:
    """Reads tokens from left to right."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._start = 0
        self._position = 0
        self._pending: list[Token] = []
        self._ended = False

    def next(self) -> Token:
        """Reads one token; the token END comes once.

        Raises:
            CompileError: what follows is no token, or the end was read before.
        """
        while not self._pending:
            if self._ended:
                raise CompileError("unexpected end of expression")
            self._read()
        return self._pending.pop(0)

    # Characters.

    def _peek(self) -> str:
        return self._source[self._position : self._position + 1]

    def _advance(self) -> str:
        character = self._peek()
        self._position += len(character)
        return character

    def _accept(self, valid: str) -> bool:
        character = self._peek()
        if character and character in valid:
            self._position += 1
            return True
        return False

    def _accept_run(self, valid: str) -> None:
        while self._accept(valid):
            pass

    def _accept_word(self) -> None:
        while (character := self._peek()) and is_word_part(character):
            self._position += 1

    def _word(self) -> str:
        return self._source[self._start : self._position]

    def _emit(self, kind: TokenKind, text: str | None = None) -> None:
        self._pending.append(Token(kind, self._word() if text is None else text))
        self._start = self._position

    # Tokens.

    def _read(self) -> None:
        self._start = self._position
        character = self._advance()
        if character == _END:
            self._ended = True
            self._emit(TokenKind.END)
        elif character in SPACES:
            return
        elif character in "'\"":
            self._scan_quoted(character)
            self._emit(TokenKind.STRING, unescape_text(self._word()))
        elif character == "`":
            self._read_raw()
        elif character in "bB" and self._peek() in ("'", '"'):
            self._scan_quoted(self._advance())
            content = unescape_bytes(self._word()[1:])
            self._emit(TokenKind.BYTES, to_text(content))
        elif character in "0123456789":
            self._position = self._start
            self._read_number()
        elif is_word_start(character):
            self._read_word()
        else:
            self._read_symbol(character)

    def _read_symbol(self, character: str) -> None:
        if character == "?":
            self._accept(".?")
            self._emit(TokenKind.OPERATOR)
        elif character == "/":
            self._read_slash()
        elif character == "#":
            self._read_pointer()
        elif character in "|:":
            self._accept(character)
            self._emit(TokenKind.OPERATOR)
        elif character in "([{)]}":
            self._emit(TokenKind.BRACKET)
        elif character in ",;%+-^":
            self._emit(TokenKind.OPERATOR)
        elif character in "&!=*<>":
            self._accept("&=*")
            self._emit(TokenKind.OPERATOR)
        elif character == ".":
            self._read_dot()
        elif character.isdecimal():
            self._accept_word()
            self._emit(TokenKind.IDENTIFIER)
        else:
            shown = f" '{character}'" if character.isprintable() else ""
            raise CompileError(f"unrecognized character: U+{ord(character):04X}{shown}")

    def _read_slash(self) -> None:
        if self._accept("/"):
            end = self._source.find("\n", self._position)
            self._position = len(self._source) if end < 0 else end + 1
        elif self._accept("*"):
            end = self._source.find("*/", self._position)
            if end < 0:
                raise CompileError("unclosed comment")
            self._position = end + 2
        else:
            self._emit(TokenKind.OPERATOR)

    def _read_pointer(self) -> None:
        self._accept("#")
        self._emit(TokenKind.OPERATOR)
        self._accept_word()
        if self._position > self._start:
            self._emit(TokenKind.IDENTIFIER)

    def _read_dot(self) -> None:
        if (following := self._peek()) and following in "0123456789":
            self._read_number()
            return
        self._accept(".")
        self._emit(TokenKind.OPERATOR)

    def _read_number(self) -> None:
        digits = _DIGITS
        if self._accept("0") and (prefix := self._peek().lower()) in _DIGITS_OF_PREFIX:
            self._position += 1
            digits = _DIGITS_OF_PREFIX[prefix]
        self._accept_run(digits)
        whole_end = self._position
        if self._accept("."):
            if self._peek() == ".":  # 1..2 is a range
                self._position = whole_end
                self._emit(TokenKind.NUMBER)
                return
            self._accept_run(digits)
        if self._accept("eE"):
            self._accept("+-")
            self._accept_run(digits)
        if (following := self._peek()) and is_word_part(following):
            self._position += 1
            raise CompileError(f"bad number syntax: {quote(self._word())}")
        self._emit(TokenKind.NUMBER)

    def _read_word(self) -> None:
        self._accept_word()
        word = self._word()
        if word == "not":
            self._read_not()
        elif word in _WORD_OPERATORS:
            self._emit(TokenKind.OPERATOR)
        else:
            self._emit(TokenKind.IDENTIFIER)

    def _read_not(self) -> None:
        """Reads ``not`` and, where one follows, the operator that it negates."""
        self._emit(TokenKind.OPERATOR)
        self._accept_run(" ")
        self._start = self._position
        self._accept_word()
        if self._word() in _NEGATABLE:
            self._emit(TokenKind.OPERATOR)
        else:
            self._position = self._start

    # Strings.

    def _read_raw(self) -> None:
        parts: list[str] = []
        while True:
            end = self._source.find("`", self._position)
            if end < 0:
                raise CompileError("literal not terminated")
            parts.append(self._source[self._position : end])
            self._position = end + 1
            if not self._accept("`"):  # a doubled one stands for itself
                break
        self._emit(TokenKind.STRING, "`".join(parts))

    def _scan_quoted(self, quote_mark: str) -> None:
        character = self._advance()
        while character != quote_mark:
            if character in ("\n", _END):
                raise CompileError("literal not terminated")
            character = self._scan_escape(quote_mark) if character == "\\" else self._advance()

    def _scan_escape(self, quote_mark: str) -> str:
        """Reads what follows a backslash, and the character after it, which is returned."""
        character = self._advance()
        if character and (character in _SIMPLE_ESCAPES or character == quote_mark):
            return self._advance()
        if character and character in "01234567":
            self._position -= 1
            return self._scan_digits("01234567", 3)
        if character == "u" and self._peek() == "{":
            return self._scan_braced_digits()
        if character in _ESCAPE_DIGITS:
            return self._scan_digits("".join(_HEXADECIMAL), _ESCAPE_DIGITS[character])
        raise CompileError("invalid char escape")

    def _scan_digits(self, digits: str, count: int) -> str:
        for _ in range(count):
            if not self._accept(digits):
                raise CompileError("invalid char escape")
        return self._advance()

    def _scan_braced_digits(self) -> str:
        self._position += 1
        first = self._position
        while self._peek() in _HEXADECIMAL and self._position - first < 6:
            self._position += 1
        if self._position == first or not self._accept("}"):
            raise CompileError("invalid char escape")
        return self._advance()
