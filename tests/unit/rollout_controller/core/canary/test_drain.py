"""Taking the traffic back from pod to pod (canary 4.6)."""

from typing import Any

import pytest

from rollout_controller.core import samples
from rollout_controller.core.canary.drain import abandoned_canary, drained_weight, is_drained
from rollout_controller.core.canary.weights import desired_weight
from rollout_controller.core.draft import Draft
from rollout_controller.core.route import reconcile_route

pytestmark = pytest.mark.spec("canary 4.6")

STEPS: list[dict[str, Any]] = [{"setWeight": 25}, {"setWeight": 50}, {"setWeight": 75}]
DYNAMIC = {"dynamicStableScale": True}


def aborted(
    canary: int,
    stable: int,
    weight: int | None,
    *,
    strategy: dict[str, Any] | None = None,
    **more: Any,
) -> Draft:
    """The draft of an aborted update with so many available pods on either side."""
    sets = (
        samples.replica_set("stable", 4, available=stable),
        samples.replica_set("new", canary),
    )
    observed = samples.routed(
        STEPS,
        weight=weight,
        strategy=DYNAMIC if strategy is None else strategy,
        status={"abort": True},
        replica_sets=sets,
        **more,
    )
    return Draft(observed, samples.NOW)


@pytest.mark.parametrize(
    ("canary", "stable", "current", "weight"),
    [
        (3, 1, 75, 75),  # the next step down needs two pods of stable
        (3, 2, 75, 50),
        (2, 2, 50, 50),
        (2, 3, 50, 25),
        (1, 3, 25, 25),
        (1, 4, 25, 0),
        (3, 4, 75, 50),  # a canary that is still large goes down step by step
        (1, 2, 25, 25),  # never up again when stable loses pods
        (0, 1, 75, 0),  # nobody answers
        (3, 1, None, 75),
    ],
)
def test_the_weight_follows_the_pods_of_stable(
    canary: int, stable: int, current: int | None, weight: int
) -> None:
    assert drained_weight(aborted(canary, stable, current)) == weight


def test_without_a_dynamic_stable_all_comes_back_at_once() -> None:
    assert drained_weight(aborted(3, 1, 75, strategy={})) == 0


def test_a_lowering_that_is_under_way_is_not_taken_back() -> None:
    draft = aborted(3, 1, 75)
    route = samples.route(50, epoch=2, aborted=True)
    headrace = draft.observed.headrace.model_copy(update={"epoch": 2, "route": route})
    again = Draft(draft.observed.with_status(draft.status, headrace), samples.NOW)
    assert drained_weight(again) == 50


def undone(stable: int, *, weight: int = 75, strategy: dict[str, Any] | None = None) -> Draft:
    """The draft of an update that somebody undid: `new` is the stable version again."""
    sets = (
        samples.replica_set("new", 4, available=stable),
        samples.replica_set("undone", 3),
    )
    weights = {
        "canary": {"weight": weight, "podTemplateHash": "undone"},
        "stable": {"weight": 100 - weight, "podTemplateHash": "new"},
    }
    observed = samples.routed(
        STEPS,
        strategy=DYNAMIC if strategy is None else strategy,
        status={"stableRS": "new", "currentStepIndex": 3, "canary": {"weights": weights}},
        replica_sets=sets,
        services=(samples.service("active", "new"), samples.service("preview", "undone")),
    )
    return Draft(observed, samples.NOW)


@pytest.mark.parametrize(("stable", "weight"), [(1, 75), (3, 50), (4, 0)])
def test_the_route_of_an_undone_update_goes_down_with_the_pods(stable: int, weight: int) -> None:
    draft = undone(stable)
    reconcile_route(draft)
    assert draft.request is not None
    assert draft.request.weights.canary == weight


def test_an_undone_update_keeps_its_share_until_stable_is_back() -> None:
    wanted = desired_weight(undone(3))
    assert (wanted.weight, wanted.canary_hash, wanted.only_lowers) == (50, "undone", True)
    assert abandoned_canary(undone(4)) is None
    assert abandoned_canary(undone(2, strategy={})) is None


@pytest.mark.parametrize(
    ("stable", "weight", "is_acknowledged", "is_done"),
    [(4, 0, True, True), (4, 0, False, False), (4, 25, True, False), (3, 0, True, False)],
)
def test_the_canary_service_is_the_last_to_move(
    stable: int, weight: int, is_acknowledged: bool, is_done: bool
) -> None:
    assert is_drained(aborted(1, stable, weight, is_acknowledged=is_acknowledged)) is is_done
    assert is_drained(aborted(1, stable, weight, strategy={}))
