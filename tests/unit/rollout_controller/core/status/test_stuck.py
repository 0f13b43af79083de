"""What counts as stuck, by a raw status."""

from typing import Any

import pytest

from headrace.model.meta import format_time
from rollout_controller.core import samples
from rollout_controller.core.status.stuck import GRACE_SECONDS, is_overdue, stuck_reason

NOW = samples.NOW


def waiting(expected: float | None, *, stuck: bool = False) -> dict[str, Any]:
    found = {"reason": "RouteAcknowledgement", "since": format_time(NOW - 100)}
    if expected is not None:
        found["expected"] = format_time(NOW + expected)
    if stuck:
        found["stuck"] = format_time(NOW)
    return {"headrace": {"waiting": found}}


@pytest.mark.parametrize(
    ("status", "reason", "overdue"),
    [
        ({}, None, False),
        (waiting(None), None, False),
        (waiting(1), None, False),
        (waiting(-1), None, False),
        (waiting(-GRACE_SECONDS), "RouteAcknowledgement", True),
        (waiting(-1, stuck=True), "RouteAcknowledgement", False),
        (
            {"conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]},
            "ProgressDeadlineExceeded",
            False,
        ),
        ({"conditions": [{"type": "Progressing", "reason": "RolloutPaused"}]}, None, False),
    ],
)
def test_is_stuck(status: dict[str, Any], reason: str | None, overdue: bool) -> None:
    assert stuck_reason(status, NOW) == reason
    assert is_overdue(status, NOW) is overdue
