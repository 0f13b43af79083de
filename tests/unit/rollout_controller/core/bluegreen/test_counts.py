"""How many pods the new version has while the old one serves (bluegreen 3.2, 4, 5)."""

from typing import Any

import pytest

from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from rollout_controller.core import samples
from rollout_controller.core.bluegreen.counts import (
    desired_new_count,
    is_ready_for_pause,
    is_saturated,
)
from rollout_controller.core.draft import Draft

CHECKED = {"blueGreen": {"scaleUpPreviewCheckPoint": True}}
PAUSED = {"pauseConditions": [{"reason": "BlueGreenPause", "startTime": "2027-01-15T08:00:00Z"}]}


STABLE = samples.replica_set("stable")
NEW = samples.replica_set("new")
OLDER = samples.replica_set(
    "new",
    created_at=samples.NOW - 2000,
    scale_down_deadline=format_time(Instant(samples.NOW + 60)),
)


def drafted(preview: int | None = 1, **more: Any) -> Draft:
    strategy = {} if preview is None else {"previewReplicaCount": preview}
    return Draft(samples.blue_green(strategy, **more), samples.NOW)


@pytest.mark.spec("bluegreen 3.2")
@pytest.mark.parametrize(
    ("preview", "more", "wanted"),
    [
        (None, {}, 4),
        (1, {}, 1),
        (0, {}, 0),
        (1, {"active": "gone"}, 4),
        (1, {"active": ""}, 4),
        (1, {"active": "new"}, 4),
        (1, {"status": {"promoteFull": True}}, 4),
        (1, {"status": {"currentPodHash": "stable", **CHECKED}}, 1),
        (1, {"status": CHECKED}, 4),
        (1, {"status": CHECKED | PAUSED}, 1),
        (1, {"status": CHECKED, "spec": {"paused": True}}, 1),
    ],
    ids=[
        "no preview count",
        "preview",
        "empty preview",
        "the active one is gone",
        "nothing is active",
        "it is active itself",
        "promote full",
        "another update",
        "check point",
        "check point, but paused",
        "check point, but paused by hand",
    ],
)
def test_the_first_rule_that_matches_gives_the_size(
    preview: int | None, more: dict[str, Any], wanted: int
) -> None:
    assert desired_new_count(drafted(preview, **more)) == wanted


@pytest.mark.spec("bluegreen 9", "bluegreen 10.8")
@pytest.mark.parametrize(
    "more",
    [
        {"replica_sets": (STABLE, OLDER), "status": {"stableRS": "stable"}},
        {"replica_sets": (STABLE, NEW), "status": {"stableRS": "new"}, "active": "stable"},
    ],
    ids=["within its delay", "stable, but moved away from by hand"],
)
def test_what_goes_back_at_once_has_all_pods(more: dict[str, Any]) -> None:
    assert desired_new_count(drafted(1, **more)) == 4


@pytest.mark.spec("bluegreen 4")
@pytest.mark.parametrize(
    ("size", "available", "is_ready"), [(1, 1, True), (1, 0, False), (2, 2, False), (0, 0, False)]
)
def test_a_pause_needs_exactly_the_pods_of_the_preview(
    size: int, available: int, is_ready: bool
) -> None:
    new = samples.replica_set("new", size, available=available)
    draft = drafted(1, replica_sets=(samples.replica_set("stable"), new))
    assert is_ready_for_pause(draft) is is_ready


@pytest.mark.spec("bluegreen 5")
@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"available": 3}, False),
        ({"replicas": 5, "available": 5}, False),
        ({"desired_annotation": "5"}, False),
        ({"desired_annotation": None}, False),
    ],
)
def test_all_traffic_needs_every_number_to_be_the_wanted_one(
    changes: dict[str, Any], wanted: bool
) -> None:
    size = changes.pop("replicas", 4)
    assert is_saturated(drafted(), samples.replica_set("new", size, **changes)) is wanted


def test_without_new_replica_set_nothing_is_ready() -> None:
    draft = drafted(replica_sets=(samples.replica_set("stable"),))
    assert not is_ready_for_pause(draft)
    assert not is_saturated(draft, draft.new)
