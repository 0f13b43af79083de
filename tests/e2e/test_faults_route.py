"""What happens to traffic while the router is away, and to traffic objects that others change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from headrace_lab.application import CANARY, SPLIT, STABLE, Application
from headrace_lab.lab import Lab
from headrace_lab.recording import TRAFFIC_SPLITS
from headrace_lab.services import Fleet, three
from headrace_lab.steady_load import SteadyLoad
from headrace_lab.timeline import unserved_shares

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

MakeApplication = Callable[..., Application]
MakeLoad = Callable[..., SteadyLoad]

FIRST_PAUSE, SECOND_PAUSE = 2, 5
REPAIR_SECONDS = 5.0
QUIET_SECONDS = 2.0


@pytest.fixture(scope="module")
def mortals(lab: Lab, is_long: bool) -> Iterator[Fleet]:
    """Services that the tests of this file kill; they must not crash by themselves."""
    services = three(lab, {"instance-id": f"away-{time.time_ns()}"}, is_short=not is_long)
    try:
        yield services
        assert services.crashes() == []
    finally:
        services.stop()


@pytest.fixture
def away(mortals: Fleet) -> Fleet:
    """Services whose router will be away; raises are valid for seconds only."""
    return mortals.start()


def wanted_weight(application: Application) -> int | None:
    """The canary's weight in the request that stands in the Rollout."""
    route = application.headrace().get("route") or {}
    weight: int | None = route.get("weights", {}).get("canary")
    return weight


def seconds_left(application: Application) -> float:
    """How long the request in the Rollout is still valid."""
    text = application.headrace()["route"]["validUntil"].replace("Z", "+00:00")
    return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()  # noqa: TID251


def weights_seen(application: Application) -> list[int]:
    """The canary's weight in every version of the TrafficSplit, oldest first."""
    return [
        int(backend["weight"])
        for split in application.recording.versions(TRAFFIC_SPLITS, SPLIT)
        for backend in split["spec"]["backends"]
        if backend["service"] == CANARY
    ]


def start(fleet: Fleet, name: str) -> None:
    fleet[name].start()
    fleet[name].wait_ready()


def raise_without_router(away: Fleet, application: Application) -> int:
    """Let 33 % be asked for while nobody moves traffic, and return the request's epoch."""
    application.deploy()
    application.set_image("v2")
    application.wait_paused(FIRST_PAUSE)
    away["traffic-router"].kill()
    application.promote()
    application.wait(lambda: wanted_weight(application) == 33, "a request for 33 %")
    epoch: int = application.headrace()["route"]["epoch"]
    return epoch


def test_a_renewed_raise_is_applied_once_and_the_old_messages_are_not(
    away: Fleet, applications: MakeApplication
) -> None:
    application = applications(away.instance_id, has_processes=False)
    epoch = raise_without_router(away, application)
    time.sleep(seconds_left(application))
    application.wait(lambda: application.headrace()["route"]["renewal"] >= 2, "renewals")

    start(away, "traffic-router")
    application.wait_paused(SECOND_PAUSE)

    assert weights_seen(application).count(33) == 1
    said = [
        (record.type, record.id)
        for record in away.records(application.key(), "steps", "traffic")
        if record.payload["epoch"] == epoch
    ]
    assert len({found for kind, found in said if kind == "headrace.route.requested.v1"}) >= 3
    assert len({found for kind, found in said if kind == "headrace.route.applied.v1"}) == 1


def test_an_expired_raise_is_refused_until_the_controller_asks_anew(
    away: Fleet, applications: MakeApplication
) -> None:
    application = applications(away.instance_id, has_processes=False)
    epoch = raise_without_router(away, application)
    away["rollout-controller"].kill()
    time.sleep(max(seconds_left(application), 0) + 0.1)

    start(away, "traffic-router")
    refusal = away.wait_record(application.key(), "headrace.route.refused.v1")

    assert refusal.payload["epoch"] == epoch
    application.recording.stays(
        lambda: application.canary_weight == 10, "no more traffic for the canary", QUIET_SECONDS
    )
    start(away, "rollout-controller")
    application.wait_paused(SECOND_PAUSE)
    assert application.canary_weight == 33


def test_a_raise_that_an_abort_overtook_never_shows(
    away: Fleet, applications: MakeApplication
) -> None:
    application = applications(away.instance_id, has_processes=False)
    epoch = raise_without_router(away, application)
    application.abort()
    application.wait_phase("Degraded", seconds=5)

    start(away, "traffic-router")
    application.wait(
        lambda: application.headrace()["acknowledged"]["epoch"] > epoch,
        "the abort's route is acknowledged",
    )

    assert 33 not in weights_seen(application)


def test_an_abort_without_router_moves_traffic_by_the_canary_service(
    away: Fleet, applications: MakeApplication, loads: MakeLoad
) -> None:
    application = applications(away.instance_id)
    application.deploy()
    old = application.hash_of("v1")
    with loads(application) as load:
        application.set_image("v2")
        application.wait_paused(FIRST_PAUSE)
        away["traffic-router"].kill()

        application.abort()
        application.wait(lambda: application.selected(CANARY) == old, "the switch", seconds=3)
        load.settle_on("v1", 300)
        application.wait_phase("Degraded", seconds=4)
        assert application.canary_weight == 10

        start(away, "traffic-router")
        application.wait_weight(0)
        application.wait(lambda: application.sizes["v2"] == 0, "the canary is scaled down")
        report = load.stop()

    assert report.failed_without_version == 0
    assert unserved_shares(application.recording) == []


def test_a_weight_that_somebody_changed_is_repaired_and_the_drift_is_said(
    fleet: Fleet, still_application: Application
) -> None:
    application = still_application
    application.deploy()
    application.set_image("v2")
    application.wait_paused(FIRST_PAUSE)
    split = application.get(TRAFFIC_SPLITS, SPLIT)
    for backend in split["spec"]["backends"]:
        backend["weight"] = 50
    edited = application.patch(
        TRAFFIC_SPLITS, SPLIT, {"spec": {"backends": split["spec"]["backends"]}}
    )

    application.wait(lambda: 50 in weights_seen(application), "the edit")
    application.wait_weight(10, REPAIR_SECONDS)

    drift = fleet.wait_record(application.key(), "headrace.route.drifted.v1")
    metadata = edited["metadata"]
    cause = f"k8s:{metadata['uid']}/{metadata['resourceVersion']}"
    assert drift.headers["ce_causationid"] == cause
    application.promote()
    application.wait_paused(SECOND_PAUSE)
    assert application.weights() == {STABLE: 67, CANARY: 33}


def test_a_traffic_object_that_somebody_deleted_is_made_anew(
    still_application: Application,
) -> None:
    application = still_application
    application.deploy()
    application.set_image("v2")
    application.wait_paused(FIRST_PAUSE)
    before = application.get(TRAFFIC_SPLITS, SPLIT)["metadata"]["uid"]

    application.delete(TRAFFIC_SPLITS, SPLIT)

    def is_made_anew() -> bool:
        found = application.recording.get(TRAFFIC_SPLITS, SPLIT)
        return found is not None and found["metadata"]["uid"] != before

    application.wait(is_made_anew, "a new TrafficSplit", REPAIR_SECONDS)
    application.wait_weight(10, REPAIR_SECONDS)
