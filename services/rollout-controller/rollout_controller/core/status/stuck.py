"""Rollouts without progress beyond what is expected, by what their status says.

The status says it itself, since every wait has a timer in its plan. The watchdog looks from
outside, so that a lost timer, or a reconcile that fails, cannot hide what does not move.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.model.conditions import ConditionType, Reason
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant

GRACE_SECONDS: Final = 15.0
"""How long after its time a wait may stay untold before its timer counts as lost."""


def stuck_reason(status: Mapping[str, Any], now: Instant) -> str | None:
    """Return why a Rollout counts as stuck, by its raw status; None while it does not."""
    waiting = _waiting(status)
    if waiting.get("stuck") or is_overdue(status, now):
        return str(waiting["reason"])
    for condition in status.get("conditions") or ():
        if (
            condition.get("type") == ConditionType.PROGRESSING
            and condition.get("reason") == Reason.PROGRESS_DEADLINE_EXCEEDED
        ):
            return Reason.PROGRESS_DEADLINE_EXCEEDED
    return None


def is_overdue(status: Mapping[str, Any], now: Instant) -> bool:
    """Return whether a wait is over its time, and nobody has said so."""
    waiting = _waiting(status)
    expected = waiting.get("expected")
    if not expected or waiting.get("stuck"):
        return False
    return now >= parse_time(expected) + GRACE_SECONDS


def _waiting(status: Mapping[str, Any]) -> Mapping[str, Any]:
    headrace = status.get("headrace") or {}
    found: Mapping[str, Any] = headrace.get("waiting") or {}
    return found
