"""Durations as text, in Go's form: ``1h30m``, ``1.5s``, ``100ms``."""

from __future__ import annotations

import re
from fractions import Fraction

from headrace.expression.errors import EvaluationError
from headrace.expression.limits import MAX_TIME_CHARACTERS
from headrace.expression.text import quote_ascii
from headrace.expression.values import Duration

NANOSECOND = 1
MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

_UNITS = {
    "ns": NANOSECOND,
    "us": MICROSECOND,
    "µs": MICROSECOND,
    "μs": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_TERM = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^.0-9]*)")
_MAX_DIGITS = 40


def parse_duration(text: str) -> Duration:
    """Returns the duration that a text says.

    Raises:
        EvaluationError: the text is no duration, or longer than 64 bits of nanoseconds.
    """
    invalid = EvaluationError(f"time: invalid duration {quote_ascii(text)}")
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return Duration(0)
    if not rest or len(rest) > MAX_TIME_CHARACTERS:
        raise invalid
    total = 0
    while rest:
        match = _TERM.match(rest)
        if match is None or not (match[1] or match[2]) or len(match[1]) > _MAX_DIGITS:
            raise invalid
        total += _nanoseconds(match, text)
        if total > 2**63:
            raise invalid
        rest = rest[match.end() :]
    if text.startswith("-"):
        return Duration(-total)
    if total == 2**63:
        raise invalid
    return Duration(total)


def _nanoseconds(match: re.Match[str], text: str) -> int:
    whole, fraction, unit = match[1], (match[2] or "")[:_MAX_DIGITS], match[3]
    if not unit:
        raise EvaluationError(f"time: missing unit in duration {quote_ascii(text)}")
    if unit not in _UNITS:
        raise EvaluationError(
            f"time: unknown unit {quote_ascii(unit)} in duration {quote_ascii(text)}"
        )
    scale = _UNITS[unit]
    part = Fraction(int(fraction or 0), 10 ** len(fraction))
    return int(whole or 0) * scale + int(part * scale)


def format_duration(duration: int) -> str:
    """Returns a duration as text: ``1h0m0s``, ``1.5s``, ``2ms``."""
    if not duration:
        return "0s"
    sign = "-" if duration < 0 else ""
    amount = abs(duration)
    if amount < SECOND:
        for unit, scale in (("ns", NANOSECOND), ("µs", MICROSECOND), ("ms", MILLISECOND)):
            if amount < scale * 1000:
                return f"{sign}{_decimal(amount, scale)}{unit}"
    hours, remainder = divmod(amount, HOUR)
    minutes, remainder = divmod(remainder, MINUTE)
    shown = f"{_decimal(remainder, SECOND)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{shown}"
    return f"{sign}{minutes}m{shown}" if minutes else f"{sign}{shown}"


def _decimal(amount: int, scale: int) -> str:
    whole, remainder = divmod(amount, scale)
    if not remainder:
        return str(whole)
    digits = len(str(scale)) - 1
    return f"{whole}.{remainder:0{digits}d}".rstrip("0")
