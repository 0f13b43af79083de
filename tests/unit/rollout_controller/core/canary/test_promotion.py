"""When the new version becomes stable (canary 3.1; architecture, section 4)."""

from typing import Any

import pytest

from headrace.model.quantities import Instant
from rollout_controller.core import samples
from rollout_controller.core.canary.promotion import promotion_reason
from rollout_controller.core.draft import Draft

pytestmark = pytest.mark.spec("canary 3.1")

STEPS: list[dict[str, Any]] = [{"setWeight": 10}, {"pause": {}}]


def reason(
    index: int, *, available: int = 4, steps: list[dict[str, Any]] | None = None, **status: Any
) -> str | None:
    sets = (samples.replica_set("stable"), samples.replica_set("new", 4, available=available))
    strategy = {"steps": STEPS if steps is None else steps}
    observed = samples.rollout(strategy, status=status, replica_sets=sets)
    return promotion_reason(Draft(observed, samples.NOW), index)


def test_the_first_version_is_stable_at_once() -> None:
    assert reason(0, available=0, stableRS=None) == "Initial deploy"


@pytest.mark.spec("canary 10.12")
def test_a_stable_version_whose_pods_somebody_deleted_is_replaced_at_once() -> None:
    assert reason(0, available=0, stableRS="gone") == "Initial deploy"


def test_an_aborted_update_is_never_promoted() -> None:
    assert reason(2, abort=True) is None


def test_all_pods_must_be_available() -> None:
    assert reason(2, available=3) is None
    assert reason(2, available=5) == "Completed all 2 canary steps"


def test_all_steps_must_be_done() -> None:
    assert reason(1) is None
    assert reason(2) == "Completed all 2 canary steps"
    assert reason(0, steps=[]) == "Completed all 0 canary steps"


@pytest.mark.spec("canary 3.2")
def test_a_person_may_promote_at_once() -> None:
    assert reason(0, promoteFull=True) == "Full promotion requested"
    assert reason(0, promoteFull=True, available=3) is None


def test_going_back_to_stable_needs_no_steps() -> None:
    assert reason(0, stableRS="new") == "Fast rollback"


def window(is_settled: bool = True) -> str | None:
    old = samples.replica_set("new", created_at=Instant(samples.NOW - 5000))
    observed = samples.routed(
        STEPS,
        weight=100,
        spec={"rollbackWindow": {"revisions": 1}},
        replica_sets=(samples.replica_set("stable"), old),
    )
    draft = Draft(observed, samples.NOW)
    draft.is_route_settled = is_settled
    return promotion_reason(draft, 0)


@pytest.mark.spec("canary 3.4")
def test_a_rollback_within_the_window_needs_no_steps() -> None:
    assert window() == "Rollback within window"
    assert window(is_settled=False) is None


@pytest.mark.spec("canary 4.4")
@pytest.mark.parametrize(
    ("kind", "value", "available", "is_promoted"),
    [
        ("Percent", 50, 2, True),
        ("Percent", 51, 2, False),
        ("Pods", 3, 3, True),
        ("Pods", 3, 2, False),
        ("Percent", -1, 3, False),
    ],
)
def test_a_threshold_says_how_many_pods_are_enough(
    kind: str, value: int, available: int, is_promoted: bool
) -> None:
    strategy = {"steps": STEPS, "replicaProgressThreshold": {"type": kind, "value": value}}
    sets = (samples.replica_set("stable"), samples.replica_set("new", 4, available=available))
    draft = Draft(samples.rollout(strategy, replica_sets=sets), samples.NOW)
    assert (promotion_reason(draft, 2) is not None) is is_promoted


def test_the_last_weight_must_be_acknowledged() -> None:
    sets = (samples.replica_set("stable"), samples.replica_set("new"))
    observed = samples.routed(STEPS, weight=100, status={"currentStepIndex": 2}, replica_sets=sets)
    draft = Draft(observed, samples.NOW)
    draft.is_route_settled = False
    assert promotion_reason(draft, 2) is None
    draft.is_route_settled = True
    assert promotion_reason(draft, 2) == "Completed all 2 canary steps"


@pytest.mark.parametrize(("weight", "is_promoted"), [(50, False), (100, True)])
def test_a_weight_of_the_last_step_is_not_that_of_the_end(weight: int, is_promoted: bool) -> None:
    # With a pod more than wanted the weight of the step before is the one to hold for now.
    sets = (samples.replica_set("stable"), samples.replica_set("new", 5))
    status = {"currentStepIndex": 2}
    observed = samples.routed(STEPS, weight=weight, status=status, replica_sets=sets)
    assert (promotion_reason(Draft(observed, samples.NOW), 2) is not None) is is_promoted


@pytest.mark.spec("canary 3.2")
def test_a_full_promotion_waits_for_no_weight() -> None:
    sets = (samples.replica_set("stable"), samples.replica_set("new"))
    observed = samples.routed(STEPS, weight=10, status={"promoteFull": True}, replica_sets=sets)
    draft = Draft(observed, samples.NOW)
    draft.is_route_settled = False
    assert promotion_reason(draft, 2) == "Full promotion requested"


@pytest.mark.spec("canary 10.7")
def test_nothing_needs_pods_when_none_are_wanted() -> None:
    sets = (samples.replica_set("stable", 0), samples.replica_set("new", 0))
    observed = samples.rollout({}, spec={"replicas": 0}, replica_sets=sets)
    assert promotion_reason(Draft(observed, samples.NOW), 0) == "Completed all 0 canary steps"


@pytest.mark.spec("canary 6.3")
@pytest.mark.parametrize("status", [{"promoteFull": True}, {"currentStepIndex": 2}])
def test_roles_swap_only_when_the_canary_role_selects_the_new_version(
    status: dict[str, Any],
) -> None:
    full = (samples.replica_set("stable"), samples.replica_set("new", 4))
    for pod_hash, is_promoted in (("new", True), ("old", False), ("", False)):
        observed = samples.ping_pong(
            STEPS, weight=100, status=status, selected={"pong": pod_hash}, replica_sets=full
        )
        draft = Draft(observed, samples.NOW)
        assert (promotion_reason(draft, 2) is not None) is is_promoted
