"""Calendar and time zones: from instants to dates in a zone, and back.

The Gregorian calendar goes on in both directions, so that no instant is out of range. Zones come
from the IANA database of the machine, which is data, not state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headrace.expression.durations import SECOND
from headrace.expression.errors import EvaluationError
from headrace.expression.values import Location, Time

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_DAY_SECONDS = 86_400
_FIRST_SECOND = -62_135_596_800 + _DAY_SECONDS  # 0001-01-02, with room for an offset
_LAST_SECOND = 253_402_300_799 - _DAY_SECONDS  # 9999-12-30

ZONE_UTC = Location("UTC", 0)


@dataclass(frozen=True, slots=True)
class Civil:
    """A date and time of day in some zone."""

    year: int
    month: int
    day: int
    hour: int = 0
    minute: int = 0
    second: int = 0
    nanosecond: int = 0


@dataclass(frozen=True, slots=True)
class Zone:
    """What a location says at one instant."""

    abbreviation: str
    offset_seconds: int


def days_in_month(year: int, month: int) -> int:
    """Returns the number of days of a month."""
    if month == 2:
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if leap else 28
    return 30 if month in (4, 6, 9, 11) else 31


def days_from_epoch(year: int, month: int, day: int) -> int:
    """Returns the days from 1970-01-01; the month may be out of range and carries over."""
    year += (month - 1) // 12
    month = (month - 1) % 12 + 1
    shifted = year - (month <= 2)
    era = shifted // 400
    year_of_era = shifted - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return (
        era * 146_097
        + year_of_era * 365
        + year_of_era // 4
        - year_of_era // 100
        + (day_of_year - 719_468)
    )


def _date_of(days: int) -> tuple[int, int, int]:
    days += 719_468
    era = days // 146_097
    day_of_era = days - era * 146_097
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    month = shifted_month + (3 if shifted_month < 10 else -9)
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    return year_of_era + era * 400 + (month <= 2), month, day


def civil_of(time: Time) -> Civil:
    """Returns date and time of day of an instant, in its location."""
    seconds, nanosecond = divmod(time.nanoseconds, SECOND)
    days, second_of_day = divmod(seconds + zone_of(time).offset_seconds, _DAY_SECONDS)
    minutes, second = divmod(second_of_day, 60)
    hour, minute = divmod(minutes, 60)
    return Civil(*_date_of(days), hour, minute, second, nanosecond)


def time_of(civil: Civil, location: Location = ZONE_UTC) -> Time:
    """Returns the instant of a date and time of day; each field carries over."""
    days = days_from_epoch(civil.year, civil.month, civil.day)
    clock = civil.hour * 3600 + civil.minute * 60 + civil.second
    local = days * _DAY_SECONDS + clock
    seconds = local - _offset_at_local(location, local)
    return Time(seconds * SECOND + civil.nanosecond, location)


def weekday_of(time: Time) -> int:
    """Returns the day of the week in the time's location, 0 for Sunday."""
    civil = civil_of(time)
    return (days_from_epoch(civil.year, civil.month, civil.day) + 4) % 7


def day_of_year(time: Time) -> int:
    """Returns the day of the year in the time's location, 1 to 366."""
    civil = civil_of(time)
    first = days_from_epoch(civil.year, 1, 1)
    return days_from_epoch(civil.year, civil.month, civil.day) - first + 1


def load_location(name: str) -> Location:
    """Returns the location of that name in the IANA database.

    Raises:
        EvaluationError: there is none.
    """
    if name in ("", "UTC", "Local"):
        return Location(name or "UTC", 0)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise EvaluationError(f"unknown time zone {name}") from None
    return Location(name)


def zone_of(time: Time) -> Zone:
    """Returns abbreviation and offset of a time's location at that time."""
    location = time.location
    if location.offset_seconds is not None:
        return Zone(location.name, location.offset_seconds)
    seconds = max(_FIRST_SECOND, min(time.nanoseconds // SECOND, _LAST_SECOND))
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    local = moment.astimezone(ZoneInfo(location.name))
    offset = local.utcoffset() or timedelta()
    return Zone(local.tzname() or location.name, int(offset.total_seconds()))


def _offset_at_local(location: Location, local_seconds: int) -> int:
    if location.offset_seconds is not None:
        return location.offset_seconds
    seconds = max(_FIRST_SECOND, min(local_seconds, _LAST_SECOND))
    naive = datetime(1970, 1, 1) + timedelta(seconds=seconds)  # noqa: DTZ001 - a local time
    offset = naive.replace(tzinfo=ZoneInfo(location.name)).utcoffset() or timedelta()
    return int(offset.total_seconds())
