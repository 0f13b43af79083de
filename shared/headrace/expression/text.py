"""Texts as the condition language sees them: UTF-8 bytes, kept in a Python ``str``.

Positions and slices count bytes. A byte that is part of no character (half of a sliced one) is
kept as a lone surrogate (Python's ``surrogateescape``), so that nothing is lost.
"""

from __future__ import annotations

import math

SPACES = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""All characters that are white space."""

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_FIRST_EXPONENT = 6
"""Floats with a decimal exponent from here on are written with it."""


def to_bytes(text: str) -> bytes:
    """Returns the bytes of a text; a surrogate that stands for no byte becomes U+FFFD."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def to_text(content: bytes) -> str:
    """Returns the text of some bytes; ``to_bytes`` gives them back."""
    return content.decode("utf-8", "surrogateescape")


def rejoin(text: str) -> str:
    """Returns a text made of parts; bytes that form a character together are one again."""
    return text if text.isascii() else to_text(to_bytes(text))


def quote(text: str) -> str:
    """Returns a text as a double-quoted literal with the escapes of Go."""
    return '"' + "".join(map(_quoted_character, text)) + '"'


def quote_ascii(text: str) -> str:
    """Returns a text as a double-quoted literal in ASCII, as errors about times show it."""
    return '"' + "".join(map(_quoted_byte, to_bytes(text))) + '"'


def _quoted_byte(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    return chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}"


def _quoted_character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is part of no character
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def format_float(number: float) -> str:
    """Returns a float in its shortest form, ``1e+06`` from a million on."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    mantissa, exponent = _digits_with_exponent(number)
    if exponent < -4 or exponent >= _FIRST_EXPONENT:
        return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return _plain(number)


def format_json_float(number: float) -> str:
    """Returns a finite float as JSON does: an exponent below 1e-6 and from 1e21 on."""
    magnitude = abs(number)
    if magnitude and (magnitude < 1e-6 or magnitude >= 1e21):
        mantissa, exponent = _digits_with_exponent(number)
        return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent)}"
    return _plain(number)


def _digits_with_exponent(number: float) -> tuple[str, int]:
    """Returns the shortest digits, with a point after the first, and the decimal exponent."""
    shortest = repr(number)
    mantissa, _, written = shortest.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return f"{sign}0", 0
    leading = len(whole) - (len(whole + fraction) - len(digits))
    exponent = leading - 1 + int(written or 0)
    digits = digits.rstrip("0") or "0"
    return sign + digits[0] + (f".{digits[1:]}" if len(digits) > 1 else ""), exponent


def _plain(number: float) -> str:
    mantissa, exponent = _digits_with_exponent(number)
    sign = "-" if mantissa.startswith("-") else ""
    digits = mantissa.lstrip("-").replace(".", "")
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return sign + whole + (f".{fraction}" if fraction else "")
