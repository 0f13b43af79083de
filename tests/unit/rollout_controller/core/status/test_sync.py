"""From a pass to the status that it claims (canary 2.2, 2.5)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.conditions import PauseReason
from headrace.model.headrace_status import Acknowledged, HeadraceStatus, Transition
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace.model.rollout_status import AnalysisRunReference
from rollout_controller.core import samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.status import sync

pytestmark = pytest.mark.spec("canary 2.2")

NOW = samples.NOW
STEPS: list[dict[str, Any]] = [{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}]
PAUSES = [{"reason": "CanaryPauseStep", "startTime": format_time(NOW - 60)}]
ONE = (samples.replica_set("stable"), samples.replica_set("new", 1))


def drafted(steps: list[dict[str, Any]] | None = None, **more: Any) -> Draft:
    more.setdefault("replica_sets", ONE)
    return Draft(samples.rollout({"steps": STEPS if steps is None else steps}, **more), NOW)


def routed(weight: int, **more: Any) -> Draft:
    more.setdefault("replica_sets", ONE)
    observed = samples.routed(STEPS, weight=weight, **more)
    draft = Draft(observed, NOW)
    draft.request = observed.headrace.route
    return draft


# What changed (canary 1)


@pytest.mark.parametrize(
    ("status", "changed"),
    [
        ({}, False),
        ({"currentStepHash": None}, True),
        ({"currentStepHash": "other"}, True),
        ({"currentPodHash": "other"}, True),
        ({"currentPodHash": None}, False),
    ],
    ids=["nothing", "first pass", "steps", "template", "no hash yet"],
)
@pytest.mark.spec("canary 10.8")
def test_a_change_of_steps_or_template_begins_anew(status: dict[str, Any], changed: bool) -> None:
    assert sync.spec_changed(drafted(status=status)) is changed


# Reset (canary 2.2, rule 1)


def test_a_new_update_starts_at_its_first_step_with_nothing_left_behind() -> None:
    old = {
        "currentPodHash": "other",
        "currentStepIndex": 2,
        "pauseConditions": PAUSES,
        "controllerPause": True,
        "abort": True,
        "abortedAt": format_time(NOW),
        "promoteFull": True,
        "canary": {"currentBackgroundAnalysisRunStatus": {"name": "run", "status": "Running"}},
    }
    draft = drafted(status=old, spec={"restartAt": format_time(NOW - 5)})
    status = sync.claim_reset(draft).status
    assert status.current_step_index == 0
    assert (status.pause_conditions, status.controller_pause) == ((), False)
    assert (status.abort, status.aborted_at, status.promote_full) == (False, None, False)
    assert status.canary.current_background_analysis_run_status is None
    assert status.restarted_at == NOW - 5
    assert (status.current_pod_hash, status.stable_rs) == ("new", "stable")


@pytest.mark.spec("canary 2.2")
@pytest.mark.spec("canary 3.4")
@pytest.mark.parametrize(
    ("replicas", "index"), [(1, len(STEPS)), (0, 0)], ids=["it runs", "it has no pods"]
)
def test_going_back_within_the_window_skips_the_steps(replicas: int, index: int) -> None:
    old = samples.replica_set("new", replicas, created_at=Instant(NOW - 5000))
    draft = drafted(
        status={"currentPodHash": "other"},
        spec={"rollbackWindow": {"revisions": 1}},
        replica_sets=(samples.replica_set("stable"), old),
    )
    assert sync.claim_reset(draft).status.current_step_index == index
    assert [e.message for e in draft.events if e.reason == "SkipSteps"] == (
        ["Rollback to active ReplicaSets within RollbackWindow"] if replicas else []
    )


@pytest.mark.spec("canary 2.2")
@pytest.mark.spec("canary 3.4")
def test_a_rollback_within_the_window_has_no_pauses() -> None:
    old = samples.replica_set("new", 1, created_at=Instant(NOW - 5000))
    draft = drafted(
        status={"currentStepIndex": 1, "pauseConditions": PAUSES, "controllerPause": True},
        spec={"rollbackWindow": {"revisions": 1}},
        replica_sets=(samples.replica_set("stable"), old),
    )
    status = sync.claim_steps(draft).status
    assert (status.current_step_index, status.pause_conditions) == (len(STEPS), ())
    assert "RolloutStepCompleted" not in [e.reason for e in draft.events]


@pytest.mark.spec("canary 3.4")
@pytest.mark.spec("canary 3.4")
def test_going_back_to_stable_skips_the_steps() -> None:
    draft = drafted(status={"stableRS": "new", "currentPodHash": "other"})
    assert sync.claim_reset(draft).status.current_step_index == len(STEPS)
    assert [e.message for e in draft.events if e.reason == "SkipSteps"] == [
        "Rollback to stable ReplicaSets"
    ]


def test_without_steps_there_is_no_index() -> None:
    assert sync.claim_reset(drafted([])).status.current_step_index is None


# Counters (rollout-api 3)


def test_counts_the_pods_of_all_revisions() -> None:
    sets = (
        samples.replica_set("stable", 4, ready=3, available=2),
        samples.replica_set("new", 1),
        samples.replica_set("old", 2),
    )
    draft = drafted(replica_sets=sets, generation=7)
    status = sync.claim_steps(draft).status
    assert (status.replicas, status.updated_replicas, status.hpa_replicas) == (7, 1, 7)
    assert (status.ready_replicas, status.available_replicas) == (6, 5)
    assert (status.observed_generation, status.selector) == ("7", "app=app")


def test_a_pass_that_only_scales_moves_nothing_else() -> None:
    run = {"name": "run", "status": "Running"}
    old = {"canary": {"currentStepAnalysisRunStatus": run}, "currentStepIndex": 1}
    status = sync.claim_counts(drafted(status=old)).status
    assert status.current_step_index == 1
    assert status.canary.current_step_analysis_run_status == AnalysisRunReference.load(run)


# Steps (canary 2.1)


@pytest.mark.spec("canary 2.1")
@pytest.mark.spec("canary 10.6")
def test_a_weight_is_reached_when_its_pods_are_there() -> None:
    draft = drafted()
    strategy = {"steps": STEPS, "maxSurge": 1, "maxUnavailable": 0}
    sets = (samples.replica_set("stable", 3), samples.replica_set("new", 1))
    draft = Draft(samples.rollout(strategy, replica_sets=sets), NOW)
    assert sync.claim_steps(draft).status.current_step_index == 1
    (event,) = (event for event in draft.events if event.reason == "RolloutStepCompleted")
    assert event.message == "Rollout step 1/3 completed (setWeight: 25)"


@pytest.mark.spec("canary 2.1")
def test_a_routed_weight_is_reached_when_it_is_acknowledged() -> None:
    draft = routed(25)
    assert sync.claim_steps(draft).status.current_step_index == 1
    waiting = routed(25)
    waiting.is_route_settled = False
    assert sync.claim_steps(waiting).status.current_step_index == 0


@pytest.mark.parametrize(("verified", "index"), [(None, 1), (True, 1), (False, 0)])
def test_a_weight_that_is_known_not_to_hold_is_not_reached(
    verified: bool | None, index: int
) -> None:
    draft = routed(25)
    assert draft.weights is not None
    draft.weights = draft.weights.model_copy(update={"verified": verified})
    assert sync.claim_steps(draft).status.current_step_index == index


@pytest.mark.spec("canary 2.1")
def test_a_scale_is_reached_by_its_pods_alone() -> None:
    steps: list[dict[str, Any]] = [{"setCanaryScale": {"weight": 25}}, {"pause": {}}]
    draft = Draft(samples.routed(steps, replica_sets=ONE), NOW)
    draft.is_route_settled = False
    assert sync.claim_steps(draft).status.current_step_index == 1


@pytest.mark.spec("canary 2.1")
def test_an_analysis_is_done_when_it_succeeded() -> None:
    analysis = {"templates": [{"templateName": "t"}]}
    steps: list[dict[str, Any]] = [{"analysis": analysis}, {"pause": {}}]
    for phase, index in (("Running", 0), ("Successful", 1), ("Inconclusive", 0)):
        draft = drafted(steps)
        draft.runs["Step"] = AnalysisRunReference(name="run", status=phase)
        status = sync.claim_steps(draft).status
        assert status.current_step_index == index
        assert (status.canary.current_step_analysis_run_status is None) is (index == 1)


@pytest.mark.spec("canary 2.1")
def test_a_pause_is_over_when_the_person_said_so() -> None:
    resumed = drafted(status={"currentStepIndex": 1, "controllerPause": True})
    status = sync.claim_steps(resumed).status
    assert (status.current_step_index, status.controller_pause) == (2, False)


@pytest.mark.spec("canary 2.1")
def test_no_step_ends_while_a_person_holds_everything() -> None:
    draft = routed(25, spec={"paused": True})
    assert sync.claim_steps(draft).status.current_step_index == 0


def test_one_step_at_a_time() -> None:
    steps: list[dict[str, Any]] = [{"setCanaryScale": {"weight": 25}}] * 3
    draft = Draft(samples.routed(steps, replica_sets=ONE), NOW)
    assert sync.claim_steps(draft).status.current_step_index == 1


# Pauses, abort, promotion


def test_a_pause_is_told_after_it_is_stored() -> None:
    draft = drafted(status={"currentStepIndex": 1})
    draft.add_pause(PauseReason.CANARY_PAUSE_STEP)
    status = sync.claim_steps(draft).status
    assert (status.phase, status.message) == ("Paused", "CanaryPauseStep")
    told = [event for event in draft.events if event.reason == "RolloutPaused"]
    assert [(event.message, event.is_before_claim) for event in told] == [
        ("Rollout is paused (CanaryPauseStep)", False)
    ]


@pytest.mark.spec("canary 3.3")
def test_an_abort_rewinds_and_drops_the_pauses() -> None:
    old = {
        "abort": True,
        "currentStepIndex": 1,
        "pauseConditions": PAUSES,
        "controllerPause": True,
    }
    draft = drafted(status=old)
    status = sync.claim_steps(draft).status
    assert (status.abort, status.aborted_at, status.current_step_index) == (True, NOW, 0)
    assert (status.pause_conditions, status.controller_pause) == ((), False)
    assert status.phase == "Degraded"
    assert status.message.startswith("RolloutAborted: Rollout aborted update to revision 2")
    assert [event for event in draft.events if event.reason == "RolloutResumed"] == []


@pytest.mark.spec("canary 3.3")
def test_an_abort_keeps_the_time_it_began() -> None:
    old = {"abort": True, "abortedAt": format_time(NOW - 9)}
    assert sync.claim_steps(drafted(status=old)).status.aborted_at == NOW - 9


@pytest.mark.spec("canary 3.3")
def test_a_retry_begins_at_the_first_step() -> None:
    claim = sync.claim_steps(drafted(status={"abortedAt": format_time(NOW - 9)}))
    assert (claim.status.aborted_at, claim.status.current_step_index) == (None, 0)
    assert claim.headrace.attempt == 1


FULL = (samples.replica_set("stable", 0), samples.replica_set("new"))


def test_a_promotion_makes_the_new_version_stable() -> None:
    draft = drafted(status={"currentStepIndex": 3}, replica_sets=FULL)
    status = sync.claim_steps(draft).status
    assert (status.stable_rs, status.current_step_index) == ("new", 3)
    assert (status.phase, status.message) == ("Healthy", "")
    assert [e.message for e in draft.events if e.reason == "RolloutCompleted"] == [
        "Rollout completed update to revision 2 (new): Completed all 3 canary steps"
    ]


def test_a_promotion_is_told_once() -> None:
    draft = drafted(status={"currentStepIndex": 3, "stableRS": "new"}, replica_sets=FULL)
    sync.claim_steps(draft)
    assert [event for event in draft.events if event.reason == "RolloutCompleted"] == []


@pytest.mark.spec("canary 3.2")
def test_a_full_promotion_ends_pauses_and_waits_for_pods_only() -> None:
    old = {"promoteFull": True, "pauseConditions": PAUSES, "controllerPause": True}
    waiting = sync.claim_steps(drafted(status=old)).status
    assert (waiting.current_step_index, waiting.promote_full) == (3, True)
    assert waiting.pause_conditions == ()
    done = sync.claim_steps(drafted(status=old, replica_sets=FULL)).status
    assert (done.stable_rs, done.promote_full) == ("new", False)
    assert done.duration is None or done.duration.completion_status == "FastPromoted"


@pytest.mark.spec("canary 2.3")
def test_the_first_deployment_is_stable_before_its_pods_are_ready() -> None:
    sets = (samples.replica_set("new", 4, ready=0, available=0),)
    status = sync.claim_steps(drafted(status={"stableRS": None}, replica_sets=sets)).status
    assert (status.stable_rs, status.current_step_index) == ("new", 3)
    assert status.phase == "Progressing"


# status.headrace


def test_remembers_what_a_restart_needs() -> None:
    draft = routed(25)
    headrace = sync.claim_steps(draft).headrace
    assert headrace.epoch == 1
    assert headrace.route == samples.route(25)
    assert headrace.acknowledged == Acknowledged(epoch=1, canary=25)
    assert headrace.shares == {"stable": 75, "new": 25}


def test_what_the_broker_has_is_recorded_with_another_change_only() -> None:
    old = (Transition(ordinal=1, at="", type="x"),)
    observed = samples.rollout({"steps": STEPS}, replica_sets=ONE, delivered=1)
    calm = Draft(replace(observed, headrace=HeadraceStatus(history=old)), NOW)
    assert sync.headrace_after(calm, calm.status).published == 0
    moved = calm.status.model_copy(update={"current_step_index": 1})
    assert sync.headrace_after(calm, moved).published == 1


# The claim of an abort (architecture, section 4)


def aborted(*, is_acknowledged: bool = False, seconds: float = 0.0, **more: Any) -> Draft:
    route = samples.route(0).model_copy(update={"aborted": True})
    draft = routed(0, is_acknowledged=is_acknowledged, status={"abort": True}, **more)
    draft.request = route
    draft.now = type(NOW)(NOW + seconds)
    return draft


def test_the_claim_of_an_abort_waits_for_the_route_but_not_for_long() -> None:
    early = aborted(seconds=1)
    assert sync.is_abort_claim_held(early)
    assert early.wake_at == NOW + 2
    assert not sync.is_abort_claim_held(aborted(seconds=2))
    assert not sync.is_abort_claim_held(aborted(is_acknowledged=True))


def test_only_an_abort_is_held() -> None:
    assert not sync.is_abort_claim_held(routed(25, is_acknowledged=False))
    without_route = drafted(status={"abort": True})
    assert not sync.is_abort_claim_held(without_route)


def test_a_claimed_abort_is_not_held_again() -> None:
    claim = sync.claim_steps(aborted())
    draft = aborted()
    draft.status = claim.status
    assert not sync.is_abort_claim_held(draft)


# Blue-green (bluegreen 8)


def blue_green(**more: Any) -> Draft:
    sets = (samples.replica_set("stable", 4, ready=3, available=2), samples.replica_set("new", 1))
    return Draft(samples.blue_green(replica_sets=sets, **more), NOW)


@pytest.mark.spec("bluegreen 8", "rollout-api 3")
def test_the_counters_of_blue_green_are_those_of_the_active_version() -> None:
    manifest = {"spec": {"selector": {"matchLabels": {"app": "app", "hash": "stable"}}}}
    draft = blue_green()
    active = replace(draft.observed.replica_sets[0], manifest=manifest)
    sets = (active, draft.observed.replica_sets[1])
    draft = Draft(replace(draft.observed, replica_sets=sets), NOW)
    status = sync.claim_counts(draft).status
    assert (status.replicas, status.updated_replicas) == (5, 1)
    assert (status.hpa_replicas, status.ready_replicas, status.available_replicas) == (4, 3, 2)
    assert status.selector == "app=app,hash=stable"


@pytest.mark.spec("bluegreen 8")
@pytest.mark.parametrize("active", ["", "gone"])
def test_all_pods_count_while_no_version_is_known_to_be_active(active: str) -> None:
    status = sync.claim_counts(blue_green(active=active)).status
    assert (status.hpa_replicas, status.ready_replicas, status.available_replicas) == (5, 4, 3)
    assert status.selector == "app=app"


@pytest.mark.spec("bluegreen 1")
@pytest.mark.parametrize(
    ("status", "changed"),
    [({}, False), ({"currentPodHash": "other"}, True), ({"currentPodHash": None}, False)],
)
def test_only_another_template_begins_a_blue_green_update(
    status: dict[str, Any], changed: bool
) -> None:
    assert sync.spec_changed(blue_green(status=status)) is changed


@pytest.mark.spec("bluegreen 8")
def test_a_new_blue_green_update_leaves_nothing_behind() -> None:
    run = {"name": "run", "status": "Running"}
    members = {"scaleUpPreviewCheckPoint": True, "prePromotionAnalysisRunStatus": run}
    old = {"currentPodHash": "other", "promoteFull": True, "blueGreen": members}
    status = sync.claim_reset(blue_green(status=old)).status
    assert status.blue_green.dump() == {"activeSelector": "stable", "previewSelector": "new"}
    assert (status.promote_full, status.current_pod_hash) == (False, "new")
    assert status.current_step_index is None
    assert status.current_step_hash == ""


@pytest.mark.spec("bluegreen 8")
def test_a_pass_that_only_scales_keeps_the_check_point() -> None:
    status = {"blueGreen": {"scaleUpPreviewCheckPoint": True}}
    claim = sync.claim_counts(blue_green(status=status))
    assert claim.status.blue_green.scale_up_preview_check_point
