"""Which weight the canary gets, and the gate (canary 5.2, 5.3, 5.4)."""

from dataclasses import replace
from typing import Any

import pytest

from rollout_controller.core import samples
from rollout_controller.core.canary.weights import apply_order, desired_weight, gate_holds
from rollout_controller.core.draft import Draft

STEPS: list[dict[str, Any]] = [
    {"setWeight": 25},
    {"pause": {}},
    {"setWeight": 50},
    {"setWeight": 75},
]


def draft(canary: int, *, index: int = 0, stable: int = 4, **more: Any) -> Draft:
    """The draft of an update with so many available pods."""
    available = more.pop("stable_available", stable)
    sets = (
        samples.replica_set("stable", stable, available=available),
        samples.replica_set("new", canary),
    )
    status = {"currentStepIndex": index, **more.pop("status", {})}
    more.setdefault("weight", 0)
    return Draft(samples.routed(STEPS, status=status, replica_sets=sets, **more), samples.NOW)


def weight(canary: int, **more: Any) -> int:
    return desired_weight(draft(canary, **more)).weight


@pytest.mark.spec("canary 5.2")
def test_a_promoted_version_is_stable_and_no_canary() -> None:
    wanted = desired_weight(draft(4, status={"stableRS": "new"}))
    assert (wanted.weight, wanted.keeps_managed_routes, wanted.is_abort) == (0, False, False)


@pytest.mark.spec("canary 5.2")
@pytest.mark.spec("canary 3.3")
def test_an_abort_takes_the_traffic_back() -> None:
    wanted = desired_weight(draft(4, index=2, status={"abort": True}))
    assert (wanted.weight, wanted.keeps_managed_routes, wanted.is_abort) == (0, False, True)


@pytest.mark.spec("canary 5.2")
@pytest.mark.spec("canary 10.3")
def test_a_canary_without_available_pods_gets_nothing() -> None:
    assert weight(0, index=3) == 0


@pytest.mark.spec("canary 5.2")
@pytest.mark.parametrize("scale", [{"weight": 0}, {"replicas": 0}], ids=["weight", "replicas"])
def test_the_weight_goes_before_the_last_pod(scale: dict[str, int]) -> None:
    steps: list[dict[str, Any]] = [{"setWeight": 50}, {"setCanaryScale": scale}]
    sets = (samples.replica_set("stable"), samples.replica_set("new", 2))
    status = {"currentStepIndex": 1}
    observed = samples.routed(steps, weight=50, status=status, replica_sets=sets)
    wanted = desired_weight(Draft(observed, samples.NOW))
    assert (wanted.weight, wanted.keeps_managed_routes) == (0, False)


@pytest.mark.spec("canary 5.2")
@pytest.mark.spec("canary 3.2")
def test_full_promotion_keeps_the_weight_until_it_is_stable() -> None:
    wanted = desired_weight(draft(2, weight=25, status={"promoteFull": True}))
    assert (wanted.weight, wanted.keeps_managed_routes) == (25, False)


@pytest.mark.spec("canary 5.2")
def test_the_weight_follows_the_pods_of_its_step() -> None:
    assert weight(1, index=0) == 25
    assert weight(1, index=1) == 25
    assert weight(2, index=2) == 50
    assert weight(4, index=4) == 100


@pytest.mark.spec("canary 5.2")
@pytest.mark.spec("canary 10.3")
def test_the_weight_stays_until_the_pods_of_the_step_are_there() -> None:
    assert weight(1, index=2, weight=25) == 25


def test_skipped_steps_never_give_more_than_the_pods_carry() -> None:
    # Deviation 5: 75 stands before the index, but one pod of four carries 25.
    assert weight(1, index=4, weight=0) == 25
    assert weight(3, index=4, weight=0) == 75


def test_a_weight_earned_before_is_not_capped() -> None:
    assert weight(1, index=4, weight=75) == 75
    assert weight(1, index=4, weight=50) == 50


@pytest.mark.spec("canary 5.2")
@pytest.mark.spec("canary 5.6")
def test_without_steps_the_weight_is_0_until_the_promotion() -> None:
    observed = samples.routed(
        [], replica_sets=(samples.replica_set("stable"), samples.replica_set("new"))
    )
    assert desired_weight(Draft(observed, samples.NOW)).weight == 0


@pytest.mark.parametrize(
    ("available", "wanted", "holds"),
    [
        (4, 0, True),
        (3, 0, False),
        (3, 25, True),
        (2, 26, True),  # 74 % of 4 pods, rounded down
        (1, 26, False),
        (0, 100, True),
    ],
)
@pytest.mark.spec("canary 5.3")
@pytest.mark.spec("canary 10.4")
def test_stable_has_the_pods_for_what_it_keeps(available: int, wanted: int, holds: bool) -> None:
    assert gate_holds(draft(1, stable_available=available, weight=10), wanted) is holds


@pytest.mark.spec("canary 4.4")
@pytest.mark.spec("canary 5.3")
@pytest.mark.parametrize(("available", "holds"), [(3, True), (2, False)])
def test_a_threshold_says_how_many_pods_of_stable_are_enough(available: int, holds: bool) -> None:
    strategy = {"replicaProgressThreshold": {"type": "Percent", "value": 75}}
    found = draft(1, stable_available=available, weight=10, strategy=strategy)
    assert gate_holds(found, 0) is holds


@pytest.mark.spec("canary 5.3")
@pytest.mark.spec("canary 5.3")
def test_nothing_is_routed_before_there_is_a_stable_version() -> None:
    assert not gate_holds(draft(4, status={"stableRS": None}), 0)


def test_an_empty_canary_is_left_as_soon_as_stable_has_one_pod() -> None:
    # Deviation 2: whatever goes to the canary fails for certain.
    assert gate_holds(draft(0, stable_available=1, weight=50), 0)
    assert not gate_holds(draft(0, stable_available=0, weight=50), 0)
    assert not gate_holds(draft(1, stable_available=1, weight=50), 0)


@pytest.mark.parametrize(("available", "holds"), [(3, False), (0, True)])
def test_a_superseded_version_keeps_its_traffic_until_stable_can_carry_it(
    available: int, holds: bool
) -> None:
    observed = draft(0, stable_available=1, weight=75).observed
    headrace = observed.headrace.model_copy(update={"shares": {"stable": 25, "second": 75}})
    found = replace(
        observed.with_status(observed.status, headrace),
        replica_sets=(
            *observed.replica_sets,
            samples.replica_set("second", 3, available=available),
        ),
    )
    assert gate_holds(Draft(found, samples.NOW), 0) is holds


@pytest.mark.spec("canary 5.4")
def test_the_order_of_writes_never_gives_a_weight_to_empty_pods() -> None:
    assert apply_order(draft(0, weight=25)) == "weight-hash"
    assert apply_order(draft(0, weight=0)) == "hash-weight"
    assert apply_order(draft(2, weight=25)) == "hash-weight"


@pytest.mark.parametrize("status", [{"abort": True}, {"promoteFull": True}, {"stableRS": "new"}])
@pytest.mark.spec("canary 5.4")
def test_managed_routes_go_first_at_the_end(status: dict[str, Any]) -> None:
    assert apply_order(draft(2, weight=25, status=status)) == "remove-hash-weight"


@pytest.mark.spec("canary 5.3")
@pytest.mark.parametrize(("wanted", "holds"), [(25, False), (50, True), (75, True)])
def test_what_is_requested_already_is_not_lowered_as_a_repair(wanted: int, holds: bool) -> None:
    # The route of 50 may hold, although only 10 is acknowledged: less would go to a broken stable.
    observed = draft(4, stable_available=0, weight=10).observed
    asked = {"route": samples.route(50, epoch=2), "epoch": 2}
    headrace = observed.headrace.model_copy(update=asked)
    found = Draft(observed.with_status(observed.status, headrace), samples.NOW)
    assert gate_holds(found, wanted) is holds
