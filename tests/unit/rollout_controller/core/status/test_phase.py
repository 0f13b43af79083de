"""Phase and message: the first row that matches (rollout-api 6)."""

from typing import Any

import pytest

from headrace.model.meta import format_time
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core import samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.status.phase import calculate

pytestmark = pytest.mark.spec("rollout-api 6")

NOW = format_time(samples.NOW)
HEALTHY: dict[str, Any] = {
    "stableRS": "new",
    "currentPodHash": "new",
    "replicas": 4,
    "updatedReplicas": 4,
    "availableReplicas": 4,
}


def phase(
    status: dict[str, Any],
    *,
    strategy: dict[str, Any] | None = None,
    holds_route: bool = False,
    available: int = 4,
    **spec: Any,
) -> tuple[str, str]:
    sets = (samples.replica_set("stable"), samples.replica_set("new", available=available))
    draft = Draft(samples.rollout(strategy or {}, spec=spec, replica_sets=sets), samples.NOW)
    given = {name: value for name, value in (HEALTHY | status).items() if value is not None}
    name, message = calculate(draft, RolloutStatus.load(given), holds_route=holds_route)
    return str(name), message


def condition(type_: str, reason: str, message: str) -> dict[str, str]:
    return {
        "type": type_,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastUpdateTime": NOW,
        "lastTransitionTime": NOW,
    }


PAUSED = {"pauseConditions": [{"reason": "CanaryPauseStep", "startTime": NOW}]}
ABORTED = {"conditions": [condition("Progressing", "RolloutAborted", "gone")]}
INVALID = {"conditions": [condition("InvalidSpec", "InvalidSpec", "bad")]}
STUCK = {"conditions": [condition("Progressing", "ProgressDeadlineExceeded", "late")]}
ROUTED: dict[str, Any] = {"trafficRouting": {"smi": {}}}


@pytest.mark.parametrize(
    ("status", "more", "wanted"),
    [
        ({}, {}, ("Healthy", "")),
        (INVALID, {}, ("Degraded", "InvalidSpec: bad")),
        (ABORTED, {}, ("Degraded", "RolloutAborted: gone")),
        (STUCK, {}, ("Degraded", "ProgressDeadlineExceeded: late")),
        (ABORTED | PAUSED, {"paused": True}, ("Degraded", "RolloutAborted: gone")),
        (PAUSED, {"paused": True}, ("Paused", "manually paused")),
        (PAUSED, {}, ("Paused", "CanaryPauseStep")),
        ({}, {"restartAt": NOW}, ("Progressing", "rollout is restarting")),
        ({"restartedAt": NOW}, {"restartAt": NOW}, ("Healthy", "")),
        (
            {"updatedReplicas": 3, "availableReplicas": 3},
            {},
            ("Progressing", "more replicas need to be updated"),
        ),
        (
            {"availableReplicas": 3},
            {},
            ("Progressing", "updated replicas are still becoming available"),
        ),
        (
            {"replicas": 6, "updatedReplicas": 6, "availableReplicas": 5},
            {},
            ("Progressing", "updated replicas are still becoming available"),
        ),
        ({"replicas": 5}, {}, ("Progressing", "old replicas are pending termination")),
        ({"replicas": 5}, {"strategy": ROUTED}, ("Healthy", "")),
        ({"stableRS": "stable"}, {}, ("Progressing", "waiting for all steps to complete")),
        ({"stableRS": None}, {}, ("Progressing", "waiting for all steps to complete")),
    ],
)
def test_the_first_row_that_matches_wins(
    status: dict[str, Any], more: dict[str, Any], wanted: tuple[str, str]
) -> None:
    assert phase(status, **more) == wanted


def test_the_first_route_is_awaited_as_pods_are() -> None:
    # Deviation 13.
    waiting = ("Progressing", "updated replicas are still becoming available")
    assert phase({}, strategy=ROUTED, holds_route=True) == waiting


def test_pods_of_an_old_version_make_no_new_one_healthy() -> None:
    # Deviation 54: three new pods and one old one, which stays for its delay, are four available.
    waiting = ("Progressing", "updated replicas are still becoming available")
    assert phase({"replicas": 8}, strategy=ROUTED, available=3) == waiting


def test_the_order_of_conditions_decides_between_two() -> None:
    both = {"conditions": [*ABORTED["conditions"], *INVALID["conditions"]]}
    assert phase(both) == ("Degraded", "RolloutAborted: gone")


ACTIVE = {"blueGreen": {"activeSelector": "new"}}
JUDGED = {"postPromotionAnalysis": {"templates": [{"templateName": "ratio"}]}}


def judged(phase: str) -> dict[str, Any]:
    run = {"name": "run", "status": phase}
    return {"blueGreen": {"activeSelector": "new", "postPromotionAnalysisRunStatus": run}}


@pytest.mark.spec("rollout-api 6", "bluegreen 11")
@pytest.mark.parametrize(
    ("strategy", "status", "message"),
    [
        ({}, ACTIVE, ""),
        ({}, {"updatedReplicas": 3}, "more replicas need to be updated"),
        ({}, {"availableReplicas": 3}, "updated replicas are still becoming available"),
        ({}, {"blueGreen": {}}, "active service cutover pending"),
        ({}, {"blueGreen": {"activeSelector": "old"}}, "active service cutover pending"),
        (JUDGED, ACTIVE | {"stableRS": "old"}, "waiting for analysis to complete"),
        (JUDGED, judged("Running") | {"stableRS": "old"}, "waiting for analysis to complete"),
        (
            JUDGED,
            judged("Successful") | {"stableRS": "old"},
            "waiting for post-promotion verification to complete",
        ),
        (
            {},
            ACTIVE | {"stableRS": "old"},
            "waiting for post-promotion verification to complete",
        ),
        ({}, ACTIVE | {"replicas": 8}, ""),
    ],
)
def test_blue_green_says_what_the_new_version_still_needs(
    strategy: dict[str, Any], status: dict[str, Any], message: str
) -> None:
    draft = Draft(samples.blue_green(strategy), samples.NOW)
    name, found = calculate(draft, RolloutStatus.load(HEALTHY | status), holds_route=False)
    assert (str(name), found) == ("Progressing" if message else "Healthy", message)
