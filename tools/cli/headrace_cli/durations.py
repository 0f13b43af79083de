"""Durations as kubectl shows and takes them."""

from __future__ import annotations

from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_YEAR: Final = 365 * _DAY


def human_duration(seconds: float) -> str:
    """Return a duration with the two units that matter, as `kubectl get` prints ages.

    Source: k8s.io/apimachinery, `duration.HumanDuration`.
    """
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 10 * _MINUTE:
        return _two(whole, _MINUTE, "m", 1, "s")
    if whole < 3 * _HOUR:
        return f"{whole // _MINUTE}m"
    if whole < 8 * _HOUR:
        return _two(whole, _HOUR, "h", _MINUTE, "m")
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h"
    if whole < 8 * _DAY:
        return _two(whole, _DAY, "d", _HOUR, "h")
    if whole < 2 * _YEAR:
        return f"{whole // _DAY}d"
    if whole < 8 * _YEAR:
        return _two(whole, _YEAR, "y", _DAY, "d")
    return f"{whole // _YEAR}y"


def _two(whole: int, unit: int, name: str, small_unit: int, small_name: str) -> str:
    large, rest = divmod(whole, unit)
    small = rest // small_unit
    return f"{large}{name}{small}{small_name}" if small else f"{large}{name}"


def duration(text: str) -> str:
    """Return a duration as the user gave it, once it is one; for the options of commands.

    Raises:
        typer.BadParameter: It is none.
    """
    seconds_of(text)
    return text


def seconds_of(text: str) -> float:
    """Return a duration given by the user, as `90s` or `1h30m`, in seconds.

    Raises:
        typer.BadParameter: The text is no duration.
    """
    import typer

    from headrace.model.quantities import parse_duration

    try:
        seconds = float(parse_duration(text))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write it as 30s, 5m or 1h30m") from None
    if seconds < 0:
        raise typer.BadParameter("a duration cannot be negative")
    return seconds
