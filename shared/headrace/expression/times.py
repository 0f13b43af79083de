"""The methods of times, durations, months, weekdays and zones.

Their names and types are Go's; what Go returns as several values is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from headrace.expression import civil, gotypes, layouts
from headrace.expression.civil import Civil
from headrace.expression.durations import (
    HOUR,
    MICROSECOND,
    MILLISECOND,
    MINUTE,
    SECOND,
    format_duration,
)
from headrace.expression.gotypes import GoType, function_of
from headrace.expression.operators import elapsed
from headrace.expression.values import (
    Duration,
    Function,
    Int64,
    Location,
    Month,
    Time,
    Value,
    Weekday,
    type_of,
    wrap,
)


@dataclass(frozen=True, slots=True)
class Method:
    """A method: its type without the receiver, and what it does with the receiver first."""

    type: GoType
    apply: Callable[..., Value]


def _method(result: GoType, apply: Callable[..., Value], *parameters: GoType) -> Method:
    return Method(function_of(*parameters, result=result), apply)


def _divided(amount: Duration, unit: int) -> Int64:
    """Divides towards zero."""
    quotient = abs(amount) // unit
    return Int64(-quotient if amount < 0 else quotient)


def _truncated(amount: Duration, unit: Duration) -> Duration:
    return amount if unit <= 0 else Duration(_divided(amount, unit) * unit)


def _rounded(amount: Duration, unit: Duration) -> Duration:
    if unit <= 0:
        return amount
    remainder = abs(amount) % unit
    magnitude = abs(amount) - remainder + (unit if remainder * 2 >= unit else 0)
    return Duration(max(-(2**63), min(-magnitude if amount < 0 else magnitude, 2**63 - 1)))


_YEAR_ONE = -62_135_596_800 * SECOND
"""The zero time, from which times are truncated and rounded."""


def _truncated_time(time: Time, unit: Duration) -> Time:
    if unit <= 0:
        return time
    return Time(time.nanoseconds - (time.nanoseconds - _YEAR_ONE) % unit, time.location)


def _rounded_time(time: Time, unit: Duration) -> Time:
    if unit <= 0:
        return time
    remainder = (time.nanoseconds - _YEAR_ONE) % unit
    upwards = unit - remainder if remainder * 2 >= unit else -remainder
    return Time(time.nanoseconds + upwards, time.location)


def _add_date(time: Time, years: int, months: int, days: int) -> Time:
    at = civil.civil_of(time)
    moved = Civil(
        at.year + years,
        at.month + months,
        at.day + days,
        at.hour,
        at.minute,
        at.second,
        at.nanosecond,
    )
    return civil.time_of(moved, time.location)


def _unix(time: Time, unit: int) -> Int64:
    return Int64(wrap(time.nanoseconds // unit))


def _field(name: str) -> Callable[[Time], int]:
    return lambda time: int(getattr(civil.civil_of(time), name))


_DURATION_METHODS: Mapping[str, Method] = {
    "Hours": _method(gotypes.FLOAT64, lambda amount: amount / HOUR),
    "Minutes": _method(gotypes.FLOAT64, lambda amount: amount / MINUTE),
    "Seconds": _method(gotypes.FLOAT64, lambda amount: amount / SECOND),
    "Milliseconds": _method(gotypes.INT64, lambda amount: _divided(amount, MILLISECOND)),
    "Microseconds": _method(gotypes.INT64, lambda amount: _divided(amount, MICROSECOND)),
    "Nanoseconds": _method(gotypes.INT64, Int64),
    "String": _method(gotypes.STRING, format_duration),
    "Abs": _method(gotypes.DURATION, lambda amount: Duration(min(abs(amount), 2**63 - 1))),
    "Truncate": _method(gotypes.DURATION, _truncated, gotypes.DURATION),
    "Round": _method(gotypes.DURATION, _rounded, gotypes.DURATION),
}

_TIME_METHODS: Mapping[str, Method] = {
    "Add": _method(
        gotypes.TIME,
        lambda time, amount: Time(time.nanoseconds + amount, time.location),
        gotypes.DURATION,
    ),
    "AddDate": _method(gotypes.TIME, _add_date, gotypes.INT, gotypes.INT, gotypes.INT),
    "After": _method(
        gotypes.BOOL, lambda time, other: time.nanoseconds > other.nanoseconds, gotypes.TIME
    ),
    "Before": _method(
        gotypes.BOOL, lambda time, other: time.nanoseconds < other.nanoseconds, gotypes.TIME
    ),
    "Compare": _method(
        gotypes.INT,
        lambda time, other: (
            (time.nanoseconds > other.nanoseconds) - (time.nanoseconds < other.nanoseconds)
        ),
        gotypes.TIME,
    ),
    "Equal": _method(
        gotypes.BOOL, lambda time, other: time.nanoseconds == other.nanoseconds, gotypes.TIME
    ),
    "Sub": _method(gotypes.DURATION, lambda time, since: elapsed(since, time), gotypes.TIME),
    "Unix": _method(gotypes.INT64, partial(_unix, unit=SECOND)),
    "UnixMilli": _method(gotypes.INT64, partial(_unix, unit=MILLISECOND)),
    "UnixMicro": _method(gotypes.INT64, partial(_unix, unit=MICROSECOND)),
    "UnixNano": _method(gotypes.INT64, partial(_unix, unit=1)),
    "Year": _method(gotypes.INT, _field("year")),
    "Month": _method(gotypes.MONTH, lambda time: Month(civil.civil_of(time).month)),
    "Day": _method(gotypes.INT, _field("day")),
    "Hour": _method(gotypes.INT, _field("hour")),
    "Minute": _method(gotypes.INT, _field("minute")),
    "Second": _method(gotypes.INT, _field("second")),
    "Nanosecond": _method(gotypes.INT, _field("nanosecond")),
    "Weekday": _method(gotypes.WEEKDAY, lambda time: Weekday(civil.weekday_of(time))),
    "YearDay": _method(gotypes.INT, civil.day_of_year),
    "IsZero": _method(gotypes.BOOL, lambda time: time.nanoseconds == _YEAR_ONE),
    "UTC": _method(gotypes.TIME, lambda time: Time(time.nanoseconds)),
    "Local": _method(gotypes.TIME, lambda time: Time(time.nanoseconds)),
    "In": _method(
        gotypes.TIME, lambda time, location: Time(time.nanoseconds, location), gotypes.LOCATION
    ),
    "Location": _method(gotypes.LOCATION, lambda time: time.location),
    "Format": _method(gotypes.STRING, layouts.format_time, gotypes.STRING),
    "String": _method(gotypes.STRING, layouts.print_time),
    "Truncate": _method(gotypes.TIME, _truncated_time, gotypes.DURATION),
    "Round": _method(gotypes.TIME, _rounded_time, gotypes.DURATION),
}

_METHODS: Mapping[GoType, Mapping[str, Method]] = {
    gotypes.DURATION: _DURATION_METHODS,
    gotypes.TIME: _TIME_METHODS,
    gotypes.MONTH: {"String": _method(gotypes.STRING, lambda month: civil.MONTHS[month - 1])},
    gotypes.WEEKDAY: {"String": _method(gotypes.STRING, lambda day: civil.WEEKDAYS[day])},
    gotypes.LOCATION: {"String": _method(gotypes.STRING, lambda location: location.name)},
}
_WITH_METHODS = (Duration, Time, Month, Weekday, Location)


def method_type(receiver: GoType | None, name: str) -> GoType | None:
    """Returns the type of a method, without its receiver."""
    methods = _METHODS.get(receiver) if receiver is not None else None
    method = methods.get(name) if methods else None
    return method.type if method else None


def bound_method(receiver: Value, name: str) -> Function | None:
    """Returns a method of a value, bound to it."""
    if not isinstance(receiver, _WITH_METHODS):
        return None
    type_ = type_of(receiver)
    method = _METHODS[type_].get(name) if type_ is not None else None
    if method is None:
        return None
    apply = method.apply
    return Function(name, method.type, lambda _, arguments: apply(receiver, *arguments))
