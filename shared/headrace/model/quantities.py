"""Constrained scalar types, durations and percentages.

Used by the models and by every core. Pure: time is only ever a number here.

Source: Go's time.ParseDuration for durations; k8s.io/apimachinery intstr for
percentages, including its rounding through float64.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Final, NewType

from pydantic import WithJsonSchema

Instant = NewType("Instant", float)
"""Seconds since the Unix epoch, UTC. Wall time, since decisions outlive processes."""

Seconds = NewType("Seconds", float)
"""A duration in seconds."""

Int32 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int32"})]
Int64 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64"})]
IntOrString = Annotated[int | str, WithJsonSchema({"x-kubernetes-int-or-string": True})]

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_NANOSECONDS_PER_SECOND: Final = _NANOSECONDS["s"]
_DURATION_MAX: Final = 2**63
_NUMBER: Final = re.compile(r"(?P<whole>\d+)\.?\d*|\.\d+", re.ASCII)
_UNIT: Final = re.compile(r"[^0-9.]+")
_INTEGER: Final = re.compile(r"[+-]?\d+", re.ASCII)
_DURATION_INVALID: Final = -1
_INT32_MAX: Final = 2**31 - 1


def parse_duration_nanoseconds(text: str) -> int:
    """Return a Go duration (`1h30m`, `1.5s`, `-5ms`, `0`) in whole nanoseconds.

    Raises:
        ValueError: `text` is no Go duration, with the words that Go uses.
    """
    quoted = _quote_bytes(text)
    invalid = f"time: invalid duration {quoted}"
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(invalid)
    total = 0
    while rest:
        number = _NUMBER.match(rest)
        if number is None or int(number["whole"] or "0") > _DURATION_MAX:
            raise ValueError(invalid)
        rest = rest[number.end() :]
        unit = _UNIT.match(rest)
        if unit is None:
            raise ValueError(f"time: missing unit in duration {quoted}")
        if unit[0] not in _NANOSECONDS:
            raise ValueError(f"time: unknown unit {_quote_bytes(unit[0])} in duration {quoted}")
        total += int(Decimal(number[0]) * _NANOSECONDS[unit[0]])
        if total > _DURATION_MAX:
            raise ValueError(invalid)
        rest = rest[unit.end() :]
    if total == _DURATION_MAX and sign > 0:
        raise ValueError(invalid)
    return sign * total


def parse_duration(text: str) -> Seconds:
    """Return a Go duration in seconds.

    Raises:
        ValueError: `text` is no Go duration, with the words that Go uses.
    """
    return Seconds(parse_duration_nanoseconds(text) / _NANOSECONDS_PER_SECOND)


def format_duration(seconds: float) -> str:
    """Return a duration as Go prints it: `1h2m3.5s`, `150ms`, `0s`."""
    nanoseconds = round(seconds * _NANOSECONDS_PER_SECOND)
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    nanoseconds = abs(nanoseconds)
    for unit in ("ns", "µs", "ms"):
        bound = _NANOSECONDS["s" if unit == "ms" else "ms" if unit == "µs" else "µs"]
        if nanoseconds < bound:
            return f"{sign}{_plain(nanoseconds, _NANOSECONDS[unit])}{unit}"
    minutes, rest = divmod(nanoseconds, _NANOSECONDS["m"])
    text = f"{_plain(rest, _NANOSECONDS_PER_SECOND)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{minutes}m{text}"
        if hours:
            text = f"{hours}h{text}"
    return sign + text


def pause_seconds(duration: int | str | None) -> int | None:
    """Return how long a pause step lasts, in whole seconds (rollout-api 2.2).

    Returns:
        None for a pause without end; -1 for a text that cannot be parsed, which
        the validation refuses.
    """
    if duration is None or isinstance(duration, int):
        return duration
    if _INTEGER.fullmatch(duration) and abs(int(duration)) <= _INT32_MAX:
        return int(duration)
    try:
        nanoseconds = parse_duration_nanoseconds(duration)
    except ValueError:
        return _DURATION_INVALID
    return int(nanoseconds / _NANOSECONDS_PER_SECOND)


def resolve_percent(value: int | str, total: int, *, round_up: bool) -> int:
    """Return an int-or-percent as a count out of `total` (rollout-api 2.2, canary 4.2).

    Any string is a percentage, with or without `%`.

    Args:
        value: A count, returned as it is, or a percentage of `total`.
        total: What 100 % stands for, >= 0.
        round_up: True rounds a fraction up (maxSurge), False down (maxUnavailable).

    Raises:
        ValueError: The text is no percentage.
    """
    if isinstance(value, int):
        return value
    percent = percent_of(value)
    share = percent * total / 100
    return math.ceil(share) if round_up else math.floor(share)


def percent_of(text: str) -> int:
    """Return the whole number of a percentage text, with or without `%`.

    Raises:
        ValueError: The text is no whole number.
    """
    number = text.replace("%", "")
    if not _INTEGER.fullmatch(number):
        raise ValueError(
            f"invalid value for IntOrString: invalid value {go_quote(text)}: "
            f"strconv.Atoi: parsing {go_quote(number)}: invalid syntax"
        )
    return int(number)


def int_value(value: int | str | None) -> int:
    """Return an int-or-string as a number: texts that are none count as 0 (analysis 1)."""
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    return int(value) if _INTEGER.fullmatch(value) else 0


def go_quote(text: str) -> str:
    """Return `text` in double quotes, with the quotes and backslashes in it escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _quote_bytes(text: str) -> str:
    """Return `text` in quotes with all but printable ASCII as bytes, as Go's time package does."""
    escaped = go_quote(text)
    return "".join(
        c if " " <= c <= "~" else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in escaped
    )


def _plain(nanoseconds: int, unit: int) -> str:
    whole, fraction = divmod(nanoseconds, unit)
    if not fraction:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{fraction:0{digits}d}".rstrip("0")
