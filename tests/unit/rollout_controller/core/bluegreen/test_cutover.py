"""The moment at which the active Service moves (bluegreen 5)."""

from typing import Any

import pytest

from rollout_controller.core import samples
from rollout_controller.core.bluegreen.cutover import reconcile_active
from rollout_controller.core.draft import Draft
from rollout_controller.core.plan import SwitchService

pytestmark = pytest.mark.spec("bluegreen 5")

STABLE = samples.replica_set("stable")
READY = (STABLE, samples.replica_set("new"))
MANUAL = {"autoPromotionEnabled": False}
ABORTED = {"abort": True, "abortedAt": "2027-01-15T08:00:00Z"}
JUDGED = {"prePromotionAnalysis": {"templates": [{"templateName": "ratio"}]}}


def target(strategy: dict[str, Any] | None = None, **more: Any) -> str | None:
    """The hash to which a pass moves the active Service; None when it moves nowhere."""
    more.setdefault("replica_sets", READY)
    draft = Draft(samples.blue_green(strategy, **more), samples.NOW)
    reconcile_active(draft)
    switches = [e for e in draft.effects if isinstance(e, SwitchService)]
    return switches[0].pod_hash if switches else None


def test_moves_when_all_pods_are_there_and_nothing_holds() -> None:
    assert target() == "new"


@pytest.mark.parametrize(
    "new",
    [
        samples.replica_set("new", 4, available=3),
        samples.replica_set("new", 3),
        samples.replica_set("new", 4, desired_annotation="3"),
    ],
    ids=["a pod is missing", "too small", "scaled for another size"],
)
def test_stays_while_the_new_version_is_not_whole(new: Any) -> None:
    assert target(replica_sets=(STABLE, new)) is None
    assert target(replica_sets=(STABLE, new), status={"promoteFull": True}) is None


@pytest.mark.parametrize(
    ("strategy", "more"),
    [
        (MANUAL, {}),
        (JUDGED, {}),
        ({"previewReplicaCount": 4}, {"spec": {"replicas": 6}}),
        ({}, {"spec": {"paused": True}}),
    ],
    ids=["a person decides", "not judged", "preview only", "halted"],
)
def test_stays(strategy: dict[str, Any], more: dict[str, Any]) -> None:
    assert target(strategy, **more) is None


@pytest.mark.spec("bluegreen 4")
def test_moves_in_the_pass_in_which_the_resume_is_seen() -> None:
    assert target(MANUAL, status={"controllerPause": True}) == "new"


@pytest.mark.spec("bluegreen 9")
def test_a_full_promotion_waits_for_no_judgement() -> None:
    assert target(MANUAL | JUDGED, status={"promoteFull": True}) == "new"


@pytest.mark.spec("bluegreen 10.8")
def test_what_somebody_moved_elsewhere_is_brought_back() -> None:
    assert target(MANUAL, active="elsewhere", status={"stableRS": "new"}) == "new"


@pytest.mark.parametrize("available", [4, 0], ids=["whole", "broken"])
def test_an_abort_goes_back_to_stable_whatever_the_new_version_does(available: int) -> None:
    new = samples.replica_set("new", 4, available=available)
    assert target(active="new", status=ABORTED, replica_sets=(STABLE, new)) == "stable"


def test_an_abort_before_the_switch_moves_nothing() -> None:
    assert target(status=ABORTED) is None


def test_an_abort_waits_until_stable_can_answer() -> None:
    sets = (samples.replica_set("stable", 4, available=0), READY[1])
    assert target(active="new", status=ABORTED, replica_sets=sets) is None


@pytest.mark.spec("bluegreen 10.15")
def test_an_abort_is_held_by_a_pause() -> None:
    assert target(active="new", status=ABORTED, spec={"paused": True}) is None


LOST: dict[str, Any] = {"active": ""}


@pytest.mark.parametrize(
    ("strategy", "more", "wanted"),
    [
        (MANUAL, LOST, "stable"),
        ({}, LOST, "stable"),
        (JUDGED, LOST | {"status": {"blueGreen": {"activeSelector": "new"}}}, "new"),
        ({}, LOST | {"replica_sets": (samples.replica_set("stable", 0), READY[1])}, "new"),
        (MANUAL, LOST | {"replica_sets": (samples.replica_set("stable", 0), READY[1])}, None),
        (MANUAL, LOST | {"status": {"stableRS": "new"}}, "new"),
    ],
    ids=[
        "paused",
        "nothing to wait for",
        "on trial",
        "stable has no pods",
        "paused, and stable has no pods",
        "first deployment",
    ],
)
def test_a_service_that_lost_its_hash_goes_back(
    strategy: dict[str, Any], more: dict[str, Any], wanted: str | None
) -> None:
    assert target(strategy, **more) == wanted
