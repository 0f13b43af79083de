"""The values of literals: escapes in quoted strings, and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headrace.expression.errors import CompileError
from headrace.expression.text import quote

MAX_INT = 2**63 - 1
MIN_INT = -(2**63)

_ESCAPES = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_MAX_CHARACTER = 0x10FFFF
_CHARACTER = re.compile(
    r"\\(?P<braced>u\{(?P<digits>[0-9a-fA-F]{1,6})\})"
    r"|\\(?P<octal>[0-7]{3})"
    r"|\\x(?P<x>[0-9a-fA-F]{2})|\\u(?P<u>[0-9a-fA-F]{4})|\\U(?P<U>[0-9a-fA-F]{8})"
    r"|\\(?P<simple>.)|(?P<plain>[^\\])",
    re.DOTALL,
)
_FLOAT = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


def unescape_text(literal: str) -> str:
    """Returns the content of a quoted string that the lexer has let through.

    Raises:
        CompileError: an escape names no character.
    """
    return "".join(
        chr(0xFFFD) if 0xD800 <= code <= 0xDFFF else chr(code) for code, _ in _characters(literal)
    )


def unescape_bytes(literal: str) -> bytes:
    """Returns the content of a quoted string of bytes that the lexer has let through.

    Raises:
        CompileError: an escape names no byte; Unicode escapes never do.
    """
    content = bytearray()
    for code, escape in _characters(literal):
        if escape in ("u", "U"):
            raise CompileError("unable to unescape string")
        if escape == "byte":
            content.append(code)
        else:
            content += chr(code).encode(errors="replace")
    return bytes(content)


def _characters(literal: str) -> Iterator[tuple[int, str]]:
    """Yields the code of each character and how it was written."""
    body = literal.replace("\r\n", "\n").replace("\r", "\n")[1:-1]
    for match in _CHARACTER.finditer(body):
        if (plain := match["plain"]) is not None:
            yield ord(plain), "plain"
        elif (simple := match["simple"]) is not None:
            yield ord(_ESCAPES[simple]), "plain"
        elif (octal := match["octal"]) is not None:
            if octal[0] > "3":
                raise CompileError("unable to unescape string")
            yield int(octal, 8), "byte"
        elif (byte := match["x"]) is not None:
            yield int(byte, 16), "byte"
        else:
            code = int(match["digits"] or match["u"] or match["U"], 16)
            if code > _MAX_CHARACTER:
                raise CompileError("unable to unescape string")
            yield code, "u"


def parse_number(text: str) -> int | float:
    """Returns the value of a number token.

    Raises:
        CompileError: the digits do not form a number, or it is out of range.
    """
    digits = text.replace("_", "")
    lowered = digits.lower()
    for prefix, base, word in (("0x", 16, "hex"), ("0b", 2, "binary"), ("0o", 8, "octal")):
        if lowered.startswith(prefix):
            if base != 16 and ("." in lowered or "e" in lowered):
                return _parse_float(digits)
            return _parse_integer(digits, digits[2:], base, word)
    if "." in lowered or "e" in lowered:
        return _parse_float(digits)
    return _parse_integer(digits, digits, 10, "integer")


def _parse_integer(shown: str, digits: str, base: int, word: str) -> int:
    # The length is looked at first: reading a decimal number costs its square.
    try:
        number = int(digits, base) if len(digits) <= 80 else MAX_INT + 1
    except ValueError:
        number = None
    if number is None or number > MAX_INT:
        reason = "invalid syntax" if number is None else "value out of range"
        raise CompileError(
            f"invalid {word} literal: strconv.ParseInt: parsing {quote(shown)}: {reason}"
        )
    return number


def _parse_float(digits: str) -> float:
    number = float(digits) if _FLOAT.match(digits) else None
    if number is None or number == float("inf"):
        reason = "invalid syntax" if number is None else "value out of range"
        raise CompileError(
            f"invalid float literal: strconv.ParseFloat: parsing {quote(digits)}: {reason}"
        )
    return number
