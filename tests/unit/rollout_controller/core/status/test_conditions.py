"""Conditions: how one is set, and which hold after a pass (rollout-api 5)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.conditions import Condition, ConditionStatus, ConditionType, Reason
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core import labels, samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.status.conditions import (
    ConditionList,
    calculate,
    deadline_of_progress,
    is_deadline_abort_due,
    is_progressing,
)

pytestmark = pytest.mark.spec("rollout-api 5")

NOW = samples.NOW
TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
STEPS: list[dict[str, Any]] = [{"setWeight": 25}, {"pause": {}}]
DONE: dict[str, Any] = {
    "stableRS": "new",
    "currentStepIndex": 2,
    "replicas": 4,
    "updatedReplicas": 4,
    "readyReplicas": 4,
    "availableReplicas": 4,
}


def condition(
    type_: str, status: str, reason: str, message: str = "", seconds_ago: float = 60
) -> dict[str, str]:
    time = format_time(NOW - seconds_ago)
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": time,
        "lastTransitionTime": time,
    }


def drafted(*conditions: dict[str, str], **more: Any) -> Draft:
    status = {"conditions": list(conditions), **more.pop("status", {})}
    more.setdefault("replica_sets", (samples.replica_set("stable"), samples.replica_set("new")))
    return Draft(samples.rollout({"steps": STEPS}, status=status, **more), NOW)


def after(draft: Draft, *, holds_route: bool = False, **status: Any) -> dict[str, Condition]:
    """The conditions of a pass that leaves `status`, by type."""
    raw = draft.status.dump() | status
    claimed = RolloutStatus.load({k: v for k, v in raw.items() if v is not None})
    found = calculate(draft, claimed, holds_route=holds_route)
    return {each.type: each for each in found}


def facts(found: Condition) -> tuple[str, str, str]:
    return found.status, found.reason, found.message


# The setter


def items(*conditions: dict[str, str]) -> ConditionList:
    return ConditionList([Condition.load(each) for each in conditions], NOW)


def test_the_same_status_and_reason_change_nothing_though_the_message_differs() -> None:
    kept = items(condition("Healthy", "True", "RolloutHealthy", "old"))
    assert not kept.set(ConditionType.HEALTHY, TRUE, Reason.ROLLOUT_HEALTHY, "new")
    assert kept.items[0].message == "old"


def test_a_new_reason_keeps_the_time_of_the_transition() -> None:
    changed = items(condition("Progressing", "True", "ReplicaSetUpdated"))
    assert changed.set(ConditionType.PROGRESSING, TRUE, Reason.NEW_REPLICA_SET_AVAILABLE, "")
    found = changed.items[0]
    assert (found.last_update_time, found.last_transition_time) == (NOW, NOW - 60)


def test_a_new_status_is_a_transition_and_moves_to_the_end() -> None:
    changed = items(
        condition("Progressing", "True", "ReplicaSetUpdated"),
        condition("Available", "True", "AvailableReason"),
    )
    changed.set(ConditionType.PROGRESSING, FALSE, Reason.ROLLOUT_ABORTED, "")
    assert [each.type for each in changed.items] == ["Available", "Progressing"]
    assert changed.items[1].last_transition_time == NOW


# Progressing


def test_progress_moves_the_time_of_the_condition() -> None:
    draft = drafted(condition("Progressing", "True", "ReplicaSetUpdated"))
    found = after(draft, availableReplicas=1)["Progressing"]
    assert facts(found) == ("True", "ReplicaSetUpdated", 'ReplicaSet "app-new" is progressing.')
    assert (found.last_update_time, found.last_transition_time) == (NOW, NOW - 60)


def test_without_progress_the_condition_stays() -> None:
    old = condition("Progressing", "True", "ReplicaSetUpdated")
    assert after(drafted(old))["Progressing"].last_update_time == NOW - 60


def test_a_rollout_without_condition_found_its_replica_set() -> None:
    assert facts(after(drafted())["Progressing"]) == (
        "True",
        "FoundNewReplicaSet",
        'Found new replica set "app-new"',
    )


def of_revision(revision: str, replicas: int = 0) -> ReplicaSet:
    """The new ReplicaSet, made by us for a revision."""
    made = samples.replica_set("new", replicas)
    metadata = {**made.manifest["metadata"], "annotations": {labels.CAUSE: revision}}
    return replace(made, manifest={**made.manifest, "metadata": metadata})


@pytest.mark.parametrize("before", [None, "ReplicaSetUpdated", "NewReplicaSetAvailable"])
def test_a_new_replica_set_is_told_before_its_progress(before: str | None) -> None:
    old = [condition("Progressing", "True", before)] if before else []
    sets = (samples.replica_set("stable"), of_revision("2"))
    draft = drafted(*old, replica_sets=sets, status={"currentPodHash": "stable"})
    first = after(draft, currentPodHash="new", updatedReplicas=0)["Progressing"]
    assert facts(first) == ("True", "NewReplicaSetCreated", 'Created new replica set "app-new"')
    assert first.last_update_time == NOW
    told = drafted(condition("Progressing", "True", "NewReplicaSetCreated"), replica_sets=sets)
    assert after(told)["Progressing"].reason == "NewReplicaSetCreated"
    assert after(told, updatedReplicas=1)["Progressing"].reason == "ReplicaSetUpdated"


@pytest.mark.parametrize(
    "found",
    [of_revision("1"), of_revision("2", replicas=1), samples.replica_set("new")],
    ids=["of an older revision", "with pods", "of another controller"],
)
def test_a_replica_set_that_was_there_is_found_not_created(found: ReplicaSet) -> None:
    sets = (samples.replica_set("stable"), found)
    first = drafted(replica_sets=sets, status={"currentPodHash": None})
    assert facts(after(first, currentPodHash="new")["Progressing"]) == (
        "True",
        "FoundNewReplicaSet",
        'Found new replica set "app-new"',
    )
    back = drafted(
        condition("Progressing", "True", "NewReplicaSetAvailable"),
        replica_sets=sets,
        status={"currentPodHash": "stable"},
    )
    change: dict[str, Any] = {"currentPodHash": "new", "updatedReplicas": 1}
    assert after(back, **change)["Progressing"].reason == "ReplicaSetUpdated"


def test_success_is_told_when_all_is_done() -> None:
    draft = drafted(condition("Progressing", "True", "ReplicaSetUpdated"))
    found = after(draft, **DONE)
    assert facts(found["Progressing"]) == (
        "True",
        "NewReplicaSetAvailable",
        'ReplicaSet "app-new" has successfully progressed.',
    )
    assert facts(found["Healthy"]) == ("True", "RolloutHealthy", "Rollout is healthy")


def test_a_completed_rollout_that_loses_pods_says_so() -> None:
    draft = drafted(
        condition("Healthy", "True", "RolloutHealthy"),
        condition("Progressing", "True", "NewReplicaSetAvailable"),
        status=DONE,
    )
    found = after(draft, readyReplicas=3, availableReplicas=3)
    assert facts(found["Healthy"]) == ("False", "RolloutHealthy", "Rollout is not healthy")
    assert facts(found["Progressing"]) == (
        "True",
        "ReplicaSetNotAvailable",
        "Rollout does not have minimum availability",
    )


def test_an_unhealthy_rollout_has_no_condition_before_it_was_healthy() -> None:
    assert "Healthy" not in after(drafted())


def test_health_waits_for_the_first_route() -> None:
    assert "Healthy" not in after(drafted(), holds_route=True, **DONE)


@pytest.mark.parametrize(
    ("change", "is_progress"),
    [
        ({}, False),
        ({"updatedReplicas": 2}, True),
        ({"replicas": 3}, True),
        ({"replicas": 5}, False),
        ({"readyReplicas": 4}, True),
        ({"readyReplicas": 2}, False),
        ({"availableReplicas": 4}, True),
        ({"stableRS": "x"}, True),
        ({"currentStepIndex": 2}, True),
        ({"currentStepHash": "x"}, True),
    ],
)
def test_what_counts_as_progress(change: dict[str, Any], is_progress: bool) -> None:
    old = {
        "replicas": 4,
        "updatedReplicas": 1,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "currentStepIndex": 1,
    }
    assert is_progressing(RolloutStatus.load(old), RolloutStatus.load(old | change)) is is_progress


# The deadline


def test_lack_of_progress_is_a_timeout() -> None:
    old = condition("Progressing", "True", "ReplicaSetUpdated", seconds_ago=601)
    assert facts(after(drafted(old))["Progressing"]) == (
        "False",
        "ProgressDeadlineExceeded",
        'ReplicaSet "app-new" has timed out progressing.',
    )
    late = condition("Progressing", "True", "ReplicaSetUpdated", seconds_ago=599)
    assert after(drafted(late))["Progressing"].reason == "ReplicaSetUpdated"


def test_the_deadline_is_the_users() -> None:
    old = condition("Progressing", "True", "ReplicaSetUpdated")
    draft = drafted(old, spec={"progressDeadlineSeconds": 100})
    assert deadline_of_progress(draft, draft.status.conditions) == NOW + 40


@pytest.mark.spec("canary 10.20")
@pytest.mark.parametrize(
    "reason",
    ["RolloutAborted", "RolloutPaused", "ProgressDeadlineExceeded", "NewReplicaSetAvailable"],
)
def test_no_deadline_when_nothing_is_to_come(reason: str) -> None:
    draft = drafted(condition("Progressing", "True", reason))
    assert deadline_of_progress(draft, draft.status.conditions) is None


def test_a_resumed_rollout_has_a_deadline_again() -> None:
    draft = drafted(condition("Progressing", "Unknown", "RolloutResumed"))
    assert deadline_of_progress(draft, draft.status.conditions) == NOW + 540


@pytest.mark.parametrize(
    "suspended",
    [
        {"status": {"currentStepIndex": 1}},
        {
            "replica_sets": (
                samples.replica_set("stable"),
                samples.replica_set("new"),
                samples.replica_set("old", scale_down_deadline=format_time(NOW + 5)),
            )
        },
    ],
    ids=["pause step", "scale-down delay"],
)
def test_waiting_on_purpose_suspends_the_deadline(suspended: dict[str, Any]) -> None:
    draft = drafted(condition("Progressing", "True", "ReplicaSetUpdated"), **suspended)
    assert deadline_of_progress(draft, draft.status.conditions) is None


def test_a_paused_rollout_has_no_deadline() -> None:
    draft = drafted(
        condition("Progressing", "True", "ReplicaSetUpdated"),
        condition("Paused", "True", "RolloutPaused"),
    )
    assert deadline_of_progress(draft, draft.status.conditions) is None


def test_a_timeout_stays_until_there_is_progress() -> None:
    old = condition("Progressing", "False", "ProgressDeadlineExceeded")
    assert after(drafted(old))["Progressing"].reason == "ProgressDeadlineExceeded"
    assert after(drafted(old), availableReplicas=1)["Progressing"].reason == "ReplicaSetUpdated"


LATE = condition("Progressing", "True", "ReplicaSetUpdated", seconds_ago=601)
ABORTING: dict[str, Any] = {"spec": {"progressDeadlineAbort": True}}


def is_due(*old: dict[str, str], **more: Any) -> bool:
    draft = drafted(*old, **{**ABORTING, **more})
    return is_deadline_abort_due(draft, draft.status)


@pytest.mark.spec("rollout-api 5")
def test_lack_of_progress_aborts_where_the_user_wants_it() -> None:
    assert is_due(LATE)
    assert is_due(condition("Progressing", "False", "ProgressDeadlineExceeded"))
    assert not is_due(LATE, spec={})
    assert not is_due(condition("Progressing", "True", "ReplicaSetUpdated", seconds_ago=599))


@pytest.mark.spec("rollout-api 5")
@pytest.mark.parametrize(
    "more",
    [
        {"status": {"abort": True}},
        {"status": {"stableRS": "new", "currentStepIndex": 2}},
        {"status": {"currentStepIndex": 1}},
    ],
    ids=["aborted", "completed", "pause step"],
)
def test_the_deadline_aborts_only_an_update_that_shall_move(more: dict[str, Any]) -> None:
    assert not is_due(LATE, **more)
    exceeded = condition("Progressing", "False", "ProgressDeadlineExceeded")
    assert not is_due(exceeded, **more)


@pytest.mark.spec("rollout-api 5")
def test_progress_in_this_very_pass_aborts_nothing() -> None:
    draft = drafted(LATE, **ABORTING)
    moved = draft.status.model_copy(update={"updated_replicas": 1})
    assert not is_deadline_abort_due(draft, moved)


def test_a_router_that_does_not_answer_aborts_nothing_by_itself() -> None:
    def is_due_without_router(pods: int) -> bool:
        sets = (samples.replica_set("stable"), samples.replica_set("new", 1, available=pods))
        observed = samples.routed(
            STEPS,
            weight=25,
            is_acknowledged=False,
            status={"conditions": [LATE]},
            replica_sets=sets,
            **ABORTING,
        )
        draft = Draft(observed, NOW)
        return is_deadline_abort_due(draft, draft.status)

    assert not is_due_without_router(pods=1)
    assert is_due_without_router(pods=0)


# Abort and retry


def test_an_abort_is_told_once_and_keeps_its_first_message() -> None:
    draft = drafted(status={"abort": True})
    draft.abort_message = "too many errors"
    found = after(draft)["Progressing"]
    text = "Rollout aborted update to revision 2: too many errors"
    assert facts(found) == ("False", "RolloutAborted", text)
    assert [(e.message, e.type) for e in draft.events if e.reason == "RolloutAborted"] == [
        (text, "Warning")
    ]
    again = drafted(
        condition("Progressing", "False", "RolloutAborted", text), status={"abort": True}
    )
    assert after(again)["Progressing"].message == text
    assert [event for event in again.events if event.reason == "RolloutAborted"] == []


def test_a_users_abort_has_no_suffix() -> None:
    found = after(drafted(status={"abort": True}))["Progressing"]
    assert found.message == "Rollout aborted update to revision 2"


def test_a_retry_is_told() -> None:
    found = after(drafted(condition("Progressing", "False", "RolloutAborted")))["Progressing"]
    assert facts(found) == ("Unknown", "RolloutRetry", "Retrying Rollout after abort")


# Pauses


def paused(*conditions: dict[str, str], **more: Any) -> dict[str, Condition]:
    pauses = [{"reason": "CanaryPauseStep", "startTime": format_time(NOW)}]
    return after(drafted(*conditions, **more), pauseConditions=pauses)


def test_a_pause_has_two_conditions() -> None:
    found = paused(condition("Progressing", "True", "ReplicaSetUpdated"))
    assert facts(found["Progressing"]) == ("Unknown", "RolloutPaused", "Rollout is paused")
    assert facts(found["Paused"]) == ("True", "RolloutPaused", "Rollout is paused")


def test_the_end_of_a_pause_restarts_the_deadline() -> None:
    found = after(
        drafted(
            condition("Progressing", "Unknown", "RolloutPaused"),
            condition("Paused", "True", "RolloutPaused"),
        )
    )
    assert facts(found["Progressing"]) == ("Unknown", "RolloutResumed", "Rollout is resumed")
    assert found["Progressing"].last_update_time == NOW
    assert facts(found["Paused"]) == ("False", "RolloutPaused", "Rollout is paused")


def test_a_rollout_that_never_paused_has_no_such_condition() -> None:
    assert "Paused" not in after(drafted())


def test_an_abort_is_not_overwritten_by_a_pause() -> None:
    aborted = condition("Progressing", "False", "RolloutAborted")
    found = paused(aborted, status={"abort": True})
    assert found["Progressing"].reason == "RolloutAborted"
    assert "Paused" not in found


def test_a_paused_rollout_is_not_healthy() -> None:
    draft = drafted(condition("Healthy", "True", "RolloutHealthy"), spec={"paused": True})
    assert after(draft, **DONE)["Healthy"].status == "False"


def test_a_person_who_pauses_a_completed_rollout_takes_no_pods_away() -> None:
    draft = drafted(
        condition("Healthy", "True", "RolloutHealthy"),
        condition("Progressing", "True", "NewReplicaSetAvailable"),
        spec={"paused": True},
        status=DONE,
    )
    assert after(draft)["Progressing"].reason == "NewReplicaSetAvailable"
    lost = after(draft, readyReplicas=3, availableReplicas=3)
    assert lost["Progressing"].reason == "ReplicaSetNotAvailable"


# The others


def test_availability_counts_all_pods() -> None:
    assert facts(after(drafted(), availableReplicas=4)["Available"]) == (
        "True",
        "AvailableReason",
        "Rollout has minimum availability",
    )
    assert facts(after(drafted(), availableReplicas=3)["Available"]) == (
        "False",
        "AvailableReason",
        "Rollout does not have minimum availability",
    )


def test_completion_means_that_the_new_version_is_stable() -> None:
    assert facts(after(drafted(), stableRS="new")["Completed"]) == (
        "True",
        "RolloutCompleted",
        "RolloutCompleted",
    )
    draft = drafted(condition("Completed", "True", "RolloutCompleted"))
    assert after(draft)["Completed"].status == "False"
    (event,) = draft.events
    assert event.reason == "RolloutNotCompleted"
    assert event.message == "Rollout not completed, started update to revision 2 (new)"


def test_a_failure_to_make_pods_is_passed_on_and_taken_back() -> None:
    failure = ("True", "FailedCreate", "quota")
    sets = (samples.replica_set("stable"), samples.replica_set("new", failure=failure))
    assert facts(after(drafted(replica_sets=sets))["ReplicaFailure"]) == failure
    old = condition("ReplicaFailure", "True", "FailedCreate")
    assert "ReplicaFailure" not in after(drafted(old))


def test_the_failure_of_the_new_version_comes_first() -> None:
    sets = (
        samples.replica_set("stable", failure=("True", "FailedCreate", "stable")),
        samples.replica_set("new", failure=("True", "FailedCreate", "new")),
    )
    assert after(drafted(replica_sets=sets))["ReplicaFailure"].message == "new"


def test_an_invalid_spec_is_forgotten_when_it_is_valid() -> None:
    assert "InvalidSpec" not in after(drafted(condition("InvalidSpec", "True", "InvalidSpec")))


def test_a_steady_state_changes_nothing() -> None:
    draft = drafted(status=DONE)
    first = calculate(draft, draft.status, holds_route=False)
    status = draft.status.model_copy(update={"conditions": tuple(first)})
    later = Draft(replace(draft.observed, status=status), Instant(NOW + 3600))
    assert calculate(later, status, holds_route=False) == first
    assert later.events == []


SERVED: dict[str, Any] = {
    "replicas": 8,
    "updatedReplicas": 4,
    "availableReplicas": 4,
    "observedGeneration": "1",
}


def blue_green(*sets: Any, **more: Any) -> Draft:
    sets = sets or (samples.replica_set("stable"), samples.replica_set("new"))
    return Draft(samples.blue_green(replica_sets=sets, **more), NOW)


@pytest.mark.spec("rollout-api 5")
@pytest.mark.parametrize(
    ("selectors", "is_true"),
    [
        ({"activeSelector": "new", "previewSelector": "new"}, True),
        ({"activeSelector": "new", "previewSelector": "old"}, False),
        ({"activeSelector": "old", "previewSelector": "new"}, False),
        ({}, False),
    ],
)
def test_blue_green_is_healthy_when_both_services_select_the_new_version(
    selectors: dict[str, str], is_true: bool
) -> None:
    draft = blue_green()
    status = RolloutStatus.load(draft.status.dump() | SERVED | {"blueGreen": selectors})
    found = calculate(draft, status, holds_route=False)
    healthy = [c for c in found if c.type == ConditionType.HEALTHY and c.status == TRUE]
    assert bool(healthy) is is_true


@pytest.mark.spec("rollout-api 5")
@pytest.mark.parametrize(
    ("active", "is_true"),
    [
        (samples.replica_set("stable"), True),
        (samples.replica_set("stable", 4, available=3), False),
        (samples.replica_set("stable", 4, desired_annotation="5"), False),
        (samples.replica_set("gone"), False),
    ],
)
def test_blue_green_is_available_when_the_active_version_is_whole(
    active: Any, is_true: bool
) -> None:
    draft = blue_green(active, samples.replica_set("new"))
    found = calculate(draft, draft.status, holds_route=False)
    (available,) = [c for c in found if c.type == ConditionType.AVAILABLE]
    assert (available.status == TRUE) is is_true


@pytest.mark.spec("bluegreen 10.12")
def test_no_deadline_runs_while_old_pods_wait_for_their_end() -> None:
    late = {"conditions": [condition("Progressing", "True", "ReplicaSetUpdated", seconds_ago=601)]}
    waiting = samples.replica_set("old", scale_down_deadline=format_time(NOW + 5))
    sets = (samples.replica_set("stable"), samples.replica_set("new"))
    for others, is_suspended in (((waiting,), True), ((), False)):
        draft = blue_green(*sets, *others, status=late)
        deadline = deadline_of_progress(draft, draft.status.conditions)
        assert (deadline is None) is is_suspended


@pytest.mark.spec("rollout-api 5")
@pytest.mark.parametrize("selector", ["activeSelector", "previewSelector"])
def test_a_switched_service_is_progress(selector: str) -> None:
    old = blue_green().status
    new = RolloutStatus.load(old.dump() | {"blueGreen": {selector: "other"}})
    assert is_progressing(old, new)
