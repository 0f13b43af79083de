"""A settled Rollout causes no write, and a patch is answered by one at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from headrace_lab.application import CANARY, NAME, ROOT, SPLIT, STABLE, Application
from headrace_lab.kube import SERVICES
from headrace_lab.recording import ROLLOUTS, TRAFFIC_SPLITS
from headrace_lab.services import Fleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

FIRST_PAUSE = 2
SETTLE_SECONDS = 5.0


def deployed(application: Application) -> str:
    application.deploy()
    application.wait_phase("Healthy")
    return "Healthy"


def paused(application: Application) -> str:
    deployed(application)
    application.set_image("v2")
    application.wait_paused(FIRST_PAUSE)
    return "Paused"


def aborted(application: Application) -> str:
    keep_pods(application)
    application.abort()
    application.wait_phase("Degraded")
    return "Degraded"


def promoted(application: Application) -> str:
    keep_pods(application)
    application.promote_full()
    application.wait_phase("Healthy")
    return "Healthy"


def keep_pods(application: Application) -> None:
    """Pause an update whose delays outlast the test, so that one of them is always pending."""
    deployed(application)
    delays = {"scaleDownDelaySeconds": 3600, "abortScaleDownDelaySeconds": 3600}
    application.patch(ROLLOUTS, NAME, {"spec": {"strategy": {"canary": delays}}})
    application.set_image("v2")
    application.wait_paused(FIRST_PAUSE)


def refused(application: Application) -> str:
    deployed(application)
    body = {"spec": {"strategy": {"canary": {"canaryService": "nowhere"}}}}
    application.patch(ROLLOUTS, NAME, body)
    application.wait_phase("Degraded")
    return "Degraded"


def versions(application: Application) -> dict[str, str]:
    """Return what would change by any write: the resourceVersion of each object."""
    objects: list[Any] = [
        application.rollout(),
        application.get(TRAFFIC_SPLITS, SPLIT),
        *(application.get(SERVICES, name) for name in (CANARY, STABLE, ROOT)),
        *application.replica_sets(),
        *application.runs(),
        *application.events(),
    ]
    return {each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in objects}


STATES = (deployed, paused, aborted, promoted, refused)


def test_settled_rollouts_cause_no_writes(
    fleet: Fleet, applications: Callable[..., Application], is_long: bool
) -> None:
    settled: list[tuple[Application, str]] = []
    for reach in STATES:
        application = applications(fleet.instance_id, has_processes=False)
        settled.append((application, reach(application)))
    time.sleep(SETTLE_SECONDS)
    before = [versions(application) for application, _ in settled]
    time.sleep(60.0 if is_long else 12.0)
    for (application, phase), known, reach in zip(settled, before, STATES, strict=True):
        assert versions(application) == known, reach.__name__
        assert application.phase() == phase, reach.__name__
    assert fleet.crashes() == []


REACTION_SECONDS = 0.3
ABORT = {"status": {"abort": True}}
RESUME = {"status": {"pauseConditions": None}}


def reaction_seconds(application: Application, body: Any) -> float:
    """Return how long after the answer to a patch the Rollout was written again."""
    answer = application.patch(ROLLOUTS, NAME, body, subresource="status")
    answered_at = time.monotonic()
    version = answer["metadata"]["resourceVersion"]
    while application.rollout()["metadata"]["resourceVersion"] == version:
        assert time.monotonic() < answered_at + 10.0, "no reaction at all"
    return time.monotonic() - answered_at


@pytest.mark.parametrize("body", [RESUME, ABORT], ids=["promote", "abort"])
def test_a_patch_is_answered_by_a_write_at_once(still_application: Application, body: Any) -> None:
    paused(still_application)
    time.sleep(SETTLE_SECONDS)
    assert reaction_seconds(still_application, body) <= REACTION_SECONDS


def test_an_abort_does_not_wait_for_an_acknowledgement(
    fleets: Callable[..., Fleet], applications: Callable[..., Application], unique: str
) -> None:
    fleet = fleets(unique)
    application = applications(fleet.instance_id, has_processes=False)
    paused(application)
    fleet["traffic-router"].kill()
    application.promote()
    application.wait(
        lambda: application.headrace()["epoch"] > application.headrace()["acknowledged"]["epoch"],
        "a route is outstanding",
    )
    time.sleep(SETTLE_SECONDS)
    assert reaction_seconds(application, ABORT) <= REACTION_SECONDS
