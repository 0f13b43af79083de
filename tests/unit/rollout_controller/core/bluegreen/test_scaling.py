"""The ReplicaSets of blue-green (bluegreen 3)."""

from typing import Any

import pytest

from headrace.model.meta import format_time
from rollout_controller.core import labels, samples
from rollout_controller.core.bluegreen.scaling import reconcile_replica_sets
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.plan import PatchReplicaSet

NOW = samples.NOW
STABLE = samples.replica_set("stable")
NEW = samples.replica_set("new")
SOON, PAST = format_time(NOW + 10), format_time(NOW - 10)
ABORTED = {"abort": True, "abortedAt": format_time(NOW)}
JUDGED = {"postPromotionAnalysis": {"templates": [{"templateName": "ratio"}]}}


def old(pod_hash: str = "old", replicas: int = 4, **more: Any) -> ReplicaSet:
    return samples.replica_set(pod_hash, replicas, **more)


def decided(*sets: ReplicaSet, strategy: dict[str, Any] | None = None, **more: Any) -> Draft:
    draft = Draft(samples.blue_green(strategy, replica_sets=sets, **more), NOW)
    reconcile_replica_sets(draft)
    return draft


def sizes(draft: Draft) -> dict[str, int]:
    return {
        effect.name.removeprefix("app-"): effect.replicas
        for effect in draft.effects
        if isinstance(effect, PatchReplicaSet) and effect.replicas is not None
    }


def deadlines(draft: Draft) -> dict[str, str | None]:
    """The deadlines that a pass writes without changing a size, by ReplicaSet."""
    return {
        effect.name.removeprefix("app-"): effect.annotations[labels.SCALE_DOWN_DEADLINE]
        for effect in draft.effects
        if isinstance(effect, PatchReplicaSet)
        and effect.replicas is None
        and effect.annotations
        and labels.SCALE_DOWN_DEADLINE in effect.annotations
    }


@pytest.mark.spec("bluegreen 3", "bluegreen 3.1", "bluegreen 3.2")
def test_all_sizes_move_in_one_pass() -> None:
    sets = (old("stable", 3), old("new", 0), old("old", scale_down_deadline=PAST))
    assert sizes(decided(*sets)) == {"stable": 4, "new": 4, "old": 0}


@pytest.mark.spec("bluegreen 3", "bluegreen 10.7")
def test_a_halt_stops_nothing() -> None:
    assert sizes(decided(STABLE, old("new", 0), spec={"paused": True})) == {"new": 4}


@pytest.mark.spec("bluegreen 3.1")
def test_what_is_both_stable_and_new_has_one_size() -> None:
    sets = (old("new", 3),)
    status = {"stableRS": "new"}
    strategy = {"previewReplicaCount": 1}
    assert sizes(decided(*sets, strategy=strategy, active="new", status=status)) == {"new": 4}
    # Also when somebody pointed the active Service elsewhere.
    both = (old("new", 3), old())
    assert sizes(decided(*both, strategy=strategy, active="old", status=status)) == {"new": 4}


@pytest.mark.spec("bluegreen 3")
def test_stable_and_new_lose_their_deadlines() -> None:
    sets = (old("stable", scale_down_deadline=SOON), old("new", scale_down_deadline=PAST))
    assert deadlines(decided(*sets)) == {"stable": None, "new": None}


@pytest.mark.spec("bluegreen 9")
def test_pods_that_are_gone_back_to_keep_their_deadline_until_they_are_stable() -> None:
    new = old("new", created_at=NOW - 2000, scale_down_deadline=SOON)
    assert deadlines(decided(STABLE, new)) == {}
    assert deadlines(decided(new, status={"stableRS": "new"}, active="new")) == {"new": None}


@pytest.mark.spec("bluegreen 3.2")
@pytest.mark.parametrize(
    ("strategy", "stable", "new", "sized", "timed"),
    [
        ({}, STABLE, NEW, {}, {"new": format_time(NOW + 30)}),
        ({"abortScaleDownDelaySeconds": 5}, STABLE, NEW, {}, {"new": format_time(NOW + 5)}),
        ({"abortScaleDownDelaySeconds": 0}, STABLE, NEW, {}, {}),
        ({}, old("stable", 4, available=3), NEW, {}, {}),
        ({}, STABLE, old("new", scale_down_deadline=SOON), {}, {}),
        ({}, STABLE, old("new", scale_down_deadline=PAST), {"new": 0}, {}),
        ({}, STABLE, old("new", 3, scale_down_deadline="?"), {"new": 4}, {}),
    ],
    ids=[
        "default",
        "own delay",
        "0 keeps it",
        "stable is not whole",
        "waiting",
        "due",
        "unreadable",
    ],
)
def test_an_aborted_version_goes_after_its_delay(
    strategy: dict[str, Any],
    stable: ReplicaSet,
    new: ReplicaSet,
    sized: dict[str, int],
    timed: dict[str, str],
) -> None:
    draft = decided(stable, new, strategy=strategy, status=ABORTED)
    assert (sizes(draft), deadlines(draft)) == (sized, timed)


@pytest.mark.spec("bluegreen 5")
def test_what_the_active_service_selects_keeps_its_pods_though_it_is_aborted() -> None:
    new = old("new", scale_down_deadline=PAST)
    assert sizes(decided(STABLE, new, active="new", status=ABORTED)) == {}
    smaller = decided(STABLE, old("new", 6, scale_down_deadline=PAST), active="new", status=ABORTED)
    assert sizes(smaller) == {"new": 4}


@pytest.mark.spec("bluegreen 3.3")
@pytest.mark.parametrize(
    ("strategy", "rs", "sized", "timed"),
    [
        ({}, old(), {}, {"old": format_time(NOW + 30)}),
        ({"scaleDownDelaySeconds": 5}, old(), {}, {"old": format_time(NOW + 5)}),
        ({"scaleDownDelaySeconds": 0}, old(), {"old": 0}, {}),
        ({"scaleDownDelayRevisionLimit": 0}, old(), {"old": 0}, {}),
        ({}, old(scale_down_deadline=SOON), {}, {}),
        ({}, old("old", 2, scale_down_deadline=SOON), {"old": 4}, {}),
        ({}, old("old", 2), {}, {"old": format_time(NOW + 30)}),
        ({}, old(scale_down_deadline=PAST), {"old": 0}, {}),
        ({}, old("old", 0), {}, {}),
    ],
    ids=[
        "default",
        "own delay",
        "at once",
        "limit",
        "waiting",
        "waiting, after an autoscaler",
        "keeps its size at first",
        "due",
        "empty",
    ],
)
def test_an_old_version_goes_after_its_delay(
    strategy: dict[str, Any], rs: ReplicaSet, sized: dict[str, int], timed: dict[str, str]
) -> None:
    draft = decided(STABLE, NEW, rs, strategy=strategy)
    assert (sizes(draft), deadlines(draft)) == (sized, timed)


@pytest.mark.spec("bluegreen 3.3", "bluegreen 10.11")
def test_the_revision_limit_keeps_the_newest() -> None:
    sets = (old("old", revision=1), old("older", revision=3))
    draft = decided(STABLE, NEW, *sets, strategy={"scaleDownDelayRevisionLimit": 1})
    assert (sizes(draft), set(deadlines(draft))) == ({"old": 0}, {"older"})


@pytest.mark.spec("bluegreen 3.3", "canary 4.8")
@pytest.mark.parametrize(
    "more",
    [
        {"preview": "old"},
        {"active": "old"},
        {"status": {"blueGreen": {"previewSelector": "old"}}},
        {"status": {"currentPodHash": "old"}},
        {"status": {"pauseConditions": [{"reason": "InconclusiveAnalysisRun", "startTime": PAST}]}},
    ],
    ids=["preview", "active", "persisted selector", "persisted hash", "inconclusive"],
)
def test_what_may_still_be_reached_stays(more: dict[str, Any]) -> None:
    assert sizes(decided(STABLE, NEW, old(scale_down_deadline=PAST), **more)) == {}


@pytest.mark.spec("bluegreen 3.3", "bluegreen 10.4")
@pytest.mark.parametrize(
    ("strategy", "active", "phase", "stays"),
    [
        (JUDGED, "new", None, True),
        (JUDGED, "new", "Running", True),
        (JUDGED, "new", "Successful", False),
        (JUDGED, "stable", None, False),
        (JUDGED | {"scaleDownDelaySeconds": 30}, "new", None, False),
    ],
    ids=["not begun", "running", "passed", "before the switch", "explicit delay"],
)
def test_old_versions_stay_while_the_new_one_is_judged(
    strategy: dict[str, Any], active: str, phase: str | None, stays: bool
) -> None:
    reference = {"name": "run", "status": phase or ""}
    members = {"postPromotionAnalysisRunStatus": reference} if phase else {}
    draft = decided(
        STABLE,
        NEW,
        old(scale_down_deadline=PAST),
        strategy=strategy,
        active=active,
        status={"blueGreen": members},
        runs=(samples.run("run", phase or ""),),
    )
    assert sizes(draft) == ({} if stays else {"old": 0})
