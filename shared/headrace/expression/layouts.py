"""Times as text, by Go's layouts: the reference time ``Mon Jan 2 15:04:05 MST 2006``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from headrace.expression import civil
from headrace.expression.civil import MONTHS, WEEKDAYS, ZONE_UTC, Civil
from headrace.expression.errors import EvaluationError
from headrace.expression.limits import MAX_TIME_CHARACTERS
from headrace.expression.text import quote_ascii
from headrace.expression.values import Location, Time

RFC3339 = "2006-01-02T15:04:05Z07:00"
RFC3339_NANO = "2006-01-02T15:04:05.999999999Z07:00"
PRINTED = "2006-01-02 15:04:05.999999999 -0700 MST"
COMMON_LAYOUTS = (
    "2006-01-02",
    "15:04:05",
    "2006-01-02 15:04:05",
    RFC3339,
    "02 Jan 06 15:04 MST",
    "Monday, 02-Jan-06 15:04:05 MST",
    "Mon, 02 Jan 2006 15:04:05 MST",
)

_CHUNK = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|_2006|__2|_2|002|0[1-6]|15"
    r"|PM|pm|-07:00:00|-070000|-07:00|-0700|-07|Z07:00:00|Z070000|Z07:00|Z0700|Z07"
    r"|[.,](?:0+|9+)(?![0-9])|[1-5]"
)
_ZONE_TEXT = {
    "07": re.compile(r"[+-](\d\d)()()"),
    "0700": re.compile(r"[+-](\d\d)(\d\d)()"),
    "07:00": re.compile(r"[+-](\d\d):(\d\d)()"),
    "070000": re.compile(r"[+-](\d\d)(\d\d)(\d\d)"),
    "07:00:00": re.compile(r"[+-](\d\d):(\d\d):(\d\d)"),
}
_ABBREVIATION = re.compile(r"(?:GMT[+-]\d{1,2}|UTC|[A-Z]{3,5}|[+-]\d\d(?:\d\d)?)")
_FRACTION = re.compile(r"[.,]([0-9]+)")
_NUMBER_FIELDS = {
    "01": ("month", 2, 2),
    "1": ("month", 1, 2),
    "02": ("day", 2, 2),
    "2": ("day", 1, 2),
    "_2": ("day", 1, 2),
    "002": ("day_of_year", 3, 3),
    "__2": ("day_of_year", 1, 3),
    "15": ("hour", 1, 2),
    "03": ("hour", 2, 2),
    "3": ("hour", 1, 2),
    "04": ("minute", 2, 2),
    "4": ("minute", 1, 2),
    "05": ("second", 2, 2),
    "5": ("second", 1, 2),
}


def print_time(time: Time) -> str:
    """Returns a time as messages show it."""
    return format_time(time, PRINTED)


def format_time(time: Time, layout: str) -> str:
    """Returns a time in the form of a layout.

    Raises:
        EvaluationError: the layout is too long.
    """
    if len(layout) > MAX_TIME_CHARACTERS:
        raise EvaluationError("formatting time: layout is too long")
    moment = civil.civil_of(time)
    zone = civil.zone_of(time)
    parts: list[str] = []
    position = 0
    for chunk in _CHUNK.finditer(layout):
        parts.append(layout[position : chunk.start()])
        text = chunk[0]
        if text == "MST":
            parts.append(zone.abbreviation or _format_offset(zone.offset_seconds, "-0700"))
        elif text[0] in "-Z":
            parts.append(_format_offset(zone.offset_seconds, text))
        else:
            parts.append(_format_field(time, moment, text))
        position = chunk.end()
    parts.append(layout[position:])
    return "".join(parts)


def _format_field(time: Time, moment: Civil, chunk: str) -> str:
    twelve = moment.hour % 12 or 12
    match chunk:
        case "January":
            return MONTHS[moment.month - 1]
        case "Jan":
            return MONTHS[moment.month - 1][:3]
        case "Monday":
            return WEEKDAYS[civil.weekday_of(time)]
        case "Mon":
            return WEEKDAYS[civil.weekday_of(time)][:3]
        case "2006" | "_2006":
            return chunk[:-4] + _padded(moment.year, 4)
        case "06":
            return _padded(moment.year % 100, 2)
        case "002" | "__2":
            return str(civil.day_of_year(time)).rjust(3, "0" if chunk == "002" else " ")
        case "_2":
            return str(moment.day).rjust(2)
        case "03" | "3":
            return str(twelve).rjust(len(chunk), "0")
        case "15":
            return _padded(moment.hour, 2)
        case "PM" | "pm":
            half = "PM" if moment.hour >= 12 else "AM"
            return half if chunk == "PM" else half.lower()
    if chunk[0] in ".,":
        digits = f"{moment.nanosecond:09d}"[: len(chunk) - 1].ljust(len(chunk) - 1, "0")
        if chunk[1] == "0":
            return chunk[0] + digits
        digits = digits.rstrip("0")
        return chunk[0] + digits if digits else ""
    number = {"1": moment.month, "2": moment.day, "4": moment.minute, "5": moment.second}
    return str(number[chunk[-1]]).rjust(len(chunk), "0")


def _padded(number: int, width: int) -> str:
    return f"-{-number:0{width}d}" if number < 0 else f"{number:0{width}d}"


def _format_offset(offset_seconds: int, chunk: str) -> str:
    if chunk[0] == "Z" and not offset_seconds:
        return "Z"
    hours, remainder = divmod(abs(offset_seconds), 3600)
    minutes, seconds = divmod(remainder, 60)
    fields = (hours, minutes, seconds)[: len(chunk[1:].replace(":", "")) // 2]
    glue = ":" if ":" in chunk else ""
    return ("-" if offset_seconds < 0 else "+") + glue.join(f"{field:02d}" for field in fields)


@dataclass(slots=True)
class _Parsed:
    """What has been read so far."""

    year: int = 0
    month: int | None = None
    day: int | None = None
    day_of_year: int | None = None
    hour: int = 0
    minute: int = 0
    second: int = 0
    nanosecond: int = 0
    afternoon: bool | None = None
    zone: Location | None = None


def parse_time(layout: str, text: str, location: Location = ZONE_UTC) -> Time:
    """Reads a time by a layout; ``location`` is meant where the text names no zone.

    Raises:
        EvaluationError: the text does not have that form, or names no date.
    """
    if max(len(layout), len(text)) > MAX_TIME_CHARACTERS:
        raise EvaluationError("parsing time: text or layout is too long")
    parsed = _Parsed()
    rest, position, previous = text, 0, ""
    for chunk in _CHUNK.finditer(layout):
        rest = _skip(layout[position : chunk.start()], rest, layout, text)
        name = chunk[0]
        if name == "_2006":
            rest, name = _skip("_", rest, layout, text), "2006"
        read = _read_chunk(parsed, name, rest)
        if read is None:
            raise _cannot_parse(layout, text, rest, name)
        rest, position, previous = rest[read:], chunk.end(), name
        following = layout[position : position + 1]
        if previous in ("05", "5") and following not in (".", ","):
            rest = _read_fraction(parsed, rest)
    rest = _skip(layout[position:], rest, layout, text)
    if rest:
        raise EvaluationError(f"parsing time {quote_ascii(text)}: extra text: {quote_ascii(rest)}")
    return _instant(parsed, text, location)


def _cannot_parse(layout: str, text: str, rest: str, wanted: str) -> EvaluationError:
    return EvaluationError(
        f"parsing time {quote_ascii(text)} as {quote_ascii(layout)}: "
        f"cannot parse {quote_ascii(rest)} as {quote_ascii(wanted)}"
    )


def _skip(literal: str, rest: str, layout: str, text: str) -> str:
    """Passes over what stands between the fields; a space stands for any number of them."""
    wanted = literal
    while literal:
        if literal[0] == " ":
            if rest and rest[0] != " ":
                raise _cannot_parse(layout, text, rest, wanted)
            literal, rest = literal.lstrip(" "), rest.lstrip(" ")
            continue
        if rest[:1] != literal[0]:
            raise _cannot_parse(layout, text, rest, wanted)
        literal, rest = literal[1:], rest[1:]
    return rest


def _read_fraction(parsed: _Parsed, rest: str) -> str:
    """Reads a fraction of a second that the layout does not mention."""
    if match := _FRACTION.match(rest):
        parsed.nanosecond = int(match[1][:9].ljust(9, "0"))
        return rest[match.end() :]
    return rest


def _read_chunk(parsed: _Parsed, chunk: str, rest: str) -> int | None:
    """Reads one field; returns how many characters it took, None if it is not there."""
    if chunk in ("January", "Jan", "Monday", "Mon"):
        return _read_name(parsed, chunk, rest)
    if chunk in ("PM", "pm"):
        halves = ("AM", "PM") if chunk == "PM" else ("am", "pm")
        if rest[:2] not in halves:
            return None
        parsed.afternoon = rest[:2] == halves[1]
        return 2
    if chunk in ("2006", "06"):
        return _read_year(parsed, rest, len(chunk))
    if chunk == "MST":
        return _read_abbreviation(parsed, rest)
    if chunk[0] in "-Z":
        return _read_offset(parsed, chunk, rest)
    if chunk[0] in ".,":
        return _read_layout_fraction(parsed, chunk, rest)
    field, least, most = _NUMBER_FIELDS[chunk]
    spaces = len(rest) - len(rest.lstrip(" ")) if chunk.startswith("_") else 0
    digits = _leading_digits(rest[spaces:], most)
    if len(digits) < least:
        return None
    setattr(parsed, field, int(digits))
    return spaces + len(digits)


def _leading_digits(text: str, most: int) -> str:
    count = 0
    while count < most and text[count : count + 1] in set("0123456789"):
        count += 1
    return text[:count]


def _read_name(parsed: _Parsed, chunk: str, rest: str) -> int | None:
    names = MONTHS if chunk.startswith("J") else WEEKDAYS
    for number, name in enumerate(names, start=1):
        wanted = name[:3] if len(chunk) == 3 else name
        if rest[: len(wanted)].lower() == wanted.lower():
            if names is MONTHS:
                parsed.month = number
            return len(wanted)
    return None


def _read_year(parsed: _Parsed, rest: str, length: int) -> int | None:
    digits = _leading_digits(rest, length)
    if len(digits) < length:
        return None
    year = int(digits)
    if length == 2:
        year += 1900 if year >= 69 else 2000
    parsed.year = year
    return length


def _read_abbreviation(parsed: _Parsed, rest: str) -> int | None:
    match = _ABBREVIATION.match(rest)
    if match is None:
        return None
    name = match[0]
    offset = int(name[3:]) * 3600 if name.startswith("GMT") and len(name) > 3 else 0
    if parsed.zone is None:  # an offset says more than an abbreviation
        parsed.zone = Location(name, offset)
    return len(name)


def _read_offset(parsed: _Parsed, chunk: str, rest: str) -> int | None:
    if chunk[0] == "Z" and rest.startswith("Z"):
        parsed.zone = ZONE_UTC
        return 1
    match = _ZONE_TEXT[chunk[1:]].match(rest)
    if match is None:
        return None
    hours, minutes, seconds = (int(field or 0) for field in match.groups())
    if hours > 24 or minutes > 60 or seconds > 60:
        return None
    offset = hours * 3600 + minutes * 60 + seconds
    offset = -offset if rest[0] == "-" else offset
    parsed.zone = Location("" if offset else "UTC", offset)
    return match.end()


def _read_layout_fraction(parsed: _Parsed, chunk: str, rest: str) -> int | None:
    match = _FRACTION.match(rest)
    if match is None:
        return 0 if chunk[1] == "9" else None
    if chunk[1] == "0" and len(match[1]) < len(chunk) - 1:
        return None
    digits = match[1][: len(chunk) - 1] if chunk[1] == "0" else match[1]
    parsed.nanosecond = int(digits[:9].ljust(9, "0"))
    return 1 + len(digits)


def _instant(parsed: _Parsed, text: str, location: Location) -> Time:
    hour = parsed.hour
    if parsed.afternoon is not None:
        hour = hour % 12 + (12 if parsed.afternoon else 0)
    month, day = parsed.month, parsed.day
    if parsed.day_of_year is not None and month is None:
        month, day = 1, parsed.day_of_year
        day_limit = 366 if civil.days_in_month(parsed.year, 2) == 29 else 365
    else:
        month = 1 if month is None else month
        day = 1 if day is None else day
        day_limit = civil.days_in_month(parsed.year, month) if 1 <= month <= 12 else 31
    for name, inside in (
        ("month", 1 <= month <= 12),
        ("hour", hour < 24),
        ("minute", parsed.minute < 60),
        ("second", parsed.second < 60),
        ("day", 1 <= day <= day_limit),
    ):
        if not inside:
            raise EvaluationError(f"parsing time {quote_ascii(text)}: {name} out of range")
    moment = Civil(parsed.year, month, day, hour, parsed.minute, parsed.second, parsed.nanosecond)
    return civil.time_of(moment, parsed.zone or location)
