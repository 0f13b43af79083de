"""When the new version becomes stable, and the trip-wire before it (bluegreen 8)."""

from typing import Any

import pytest

from headrace.model.rollout_status import AnalysisRunReference
from rollout_controller.core import samples
from rollout_controller.core.bluegreen.promotion import advance, promotion_reason
from rollout_controller.core.draft import Draft

pytestmark = pytest.mark.spec("bluegreen 8")

READY = (samples.replica_set("stable"), samples.replica_set("new"))
JUDGED = {"postPromotionAnalysis": {"templates": [{"templateName": "ratio"}]}}
WINDOW = {"rollbackWindow": {"revisions": 1}}


def drafted(strategy: dict[str, Any] | None = None, **more: Any) -> Draft:
    more.setdefault("replica_sets", READY)
    more.setdefault("active", "new")
    return Draft(samples.blue_green(strategy, **more), samples.NOW)


def older() -> tuple[Any, ...]:
    return (READY[0], samples.replica_set("new", created_at=samples.NOW - 2000))


@pytest.mark.parametrize(
    ("strategy", "more", "wanted"),
    [
        ({}, {}, "Completed blue-green update"),
        ({}, {"status": {"stableRS": None}}, "Initial deploy"),
        ({}, {"status": {"stableRS": "gone"}}, "Initial deploy"),
        ({}, {"active": "", "status": {"stableRS": "new"}}, "Initial deploy"),
        ({}, {"active": ""}, None),
        ({}, {"active": "stable"}, None),
        ({}, {"active": "stable", "status": {"promoteFull": True}}, None),
        (JUDGED, {"status": {"promoteFull": True}}, "Full promotion requested"),
        (JUDGED, {"status": {"stableRS": "new"}}, "Fast rollback"),
        (JUDGED, {"spec": WINDOW, "replica_sets": older()}, "Rollback within window"),
        ({}, {"status": {"abort": True}}, None),
        (JUDGED, {}, None),
    ],
    ids=[
        "done",
        "nothing stable yet",
        "stable is gone",
        "nobody selected at first",
        "nobody selected any more",
        "not switched",
        "not switched, full",
        "full",
        "back to stable",
        "window",
        "aborted",
        "not judged",
    ],
)
def test_the_first_rule_that_matches_gives_the_reason(
    strategy: dict[str, Any], more: dict[str, Any], wanted: str | None
) -> None:
    assert promotion_reason(drafted(strategy, **more)) == wanted


@pytest.mark.parametrize(
    ("phase", "wanted"), [("Successful", "Completed blue-green update"), ("Running", None)]
)
def test_a_judged_version_needs_its_verdict(phase: str, wanted: str | None) -> None:
    draft = drafted(JUDGED)
    draft.runs["PostPromotion"] = AnalysisRunReference(name="run", status=phase)
    assert promotion_reason(draft) == wanted


def test_a_promotion_clears_what_the_update_left() -> None:
    pauses = [{"reason": "BlueGreenPause", "startTime": "2027-01-15T08:00:00Z"}]
    members = {"scaleUpPreviewCheckPoint": True}
    status = {"pauseConditions": pauses, "promoteFull": True, "blueGreen": members}
    draft = drafted({"previewReplicaCount": 1}, status=status)
    outcome = advance(draft)
    assert (outcome.stable_rs, outcome.promote_full) == ("new", False)
    assert outcome.completion == "FastPromoted"
    assert draft.pause_conditions() == ()
    assert not draft.check_point
    (event,) = draft.events
    assert event.message == (
        "Rollout completed update to revision 2 (new): Full promotion requested"
    )


def test_promote_full_stays_until_it_is_done() -> None:
    outcome = advance(drafted(active="stable", status={"promoteFull": True}))
    assert (outcome.stable_rs, outcome.promote_full) == ("stable", True)


PREVIEW = (samples.replica_set("stable"), samples.replica_set("new", 1))
RESUMED = {"controllerPause": True}
MANUAL = {"previewReplicaCount": 1, "autoPromotionEnabled": False}


@pytest.mark.parametrize(
    ("strategy", "more", "wanted"),
    [
        ({"previewReplicaCount": 1}, {}, True),
        ({}, {}, False),
        (MANUAL, {}, False),
        (MANUAL, {"status": RESUMED}, True),
        (MANUAL, {"status": {"blueGreen": {"scaleUpPreviewCheckPoint": True}}}, True),
        ({"previewReplicaCount": 2}, {}, False),
        (
            {
                "previewReplicaCount": 1,
                "prePromotionAnalysis": {"templates": [{"templateName": "ratio"}]},
            },
            {},
            False,
        ),
    ],
    ids=["automatic", "no preview", "waiting", "resumed", "sticky", "pods missing", "not judged"],
)
def test_the_check_point_remembers_that_the_pause_is_over(
    strategy: dict[str, Any], more: dict[str, Any], wanted: bool
) -> None:
    draft = drafted(strategy, active="stable", replica_sets=PREVIEW, **more)
    assert advance(draft).stable_rs == "stable"
    assert draft.check_point is wanted
