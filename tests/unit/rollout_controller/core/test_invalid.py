"""A Rollout whose spec cannot work (rollout-api 4; architecture, deviation 4)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.headrace_status import HeadraceStatus
from headrace.model.route import AdditionalDestination, Weights
from rollout_controller.core import aftermath, samples
from rollout_controller.core.decide import decide
from rollout_controller.core.invariants import check
from rollout_controller.core.observed import Acknowledgement, Observed
from rollout_controller.core.plan import PatchReplicaSet, Plan

pytestmark = pytest.mark.spec("rollout-api 4")

ERROR = "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
TEXT = f'The Rollout "app" is invalid: {ERROR}'
STEPS: list[dict[str, Any]] = [{"setWeight": 25}]


def observe(**more: Any) -> Observed:
    more.setdefault("spec_error", ERROR)
    sets = (samples.replica_set("stable"), samples.replica_set("new", 1))
    return samples.routed(STEPS, weight=25, replica_sets=sets, generation=3, **more)


def decided(observed: Observed) -> Plan:
    return decide(observed, now=samples.NOW)


def test_says_what_is_wrong_and_touches_nothing() -> None:
    plan = decided(observe())
    assert plan.claim is not None
    status = plan.claim.status
    (condition,) = status.conditions
    assert (condition.type, condition.status, condition.reason) == (
        "InvalidSpec",
        "True",
        "InvalidSpec",
    )
    assert condition.message == TEXT
    assert (status.phase, status.message) == ("Degraded", f"InvalidSpec: {TEXT}")
    assert status.observed_generation == "3"
    assert (plan.effects, plan.request, plan.intent) == ((), None, None)
    assert plan.wake_at is not None


def test_the_rest_of_the_status_stays() -> None:
    observed = observe()
    plan = decided(observed)
    assert plan.claim is not None
    kept = {"conditions", "observed_generation", "phase", "message"}
    for name in set(type(observed.status).model_fields) - kept:
        assert getattr(plan.claim.status, name) == getattr(observed.status, name)


def test_is_said_once() -> None:
    observed = observe()
    claim = decided(observed).claim
    assert claim is not None
    again = decided(observed.with_status(claim.status, claim.headrace))
    assert again.is_quiet
    assert again.wake_at is not None


def test_another_error_replaces_the_condition() -> None:
    observed = observe()
    claim = decided(observed).claim
    assert claim is not None
    other = observe(spec_error="spec.b: Required value")
    plan = decided(other.with_status(claim.status, claim.headrace))
    assert plan.claim is not None
    (condition,) = plan.claim.status.conditions
    assert condition.message.endswith("spec.b: Required value")


def test_the_condition_goes_when_the_spec_is_good_again() -> None:
    claim = decided(observe()).claim
    assert claim is not None
    plan = decided(observe(spec_error="").with_status(claim.status, claim.headrace))
    assert plan.claim is not None
    assert "InvalidSpec" not in [each.type for each in plan.claim.status.conditions]


def test_an_abort_moves_the_traffic_although_the_spec_is_broken() -> None:
    plan = decided(observe(status={"abort": True}))
    assert plan.request is not None
    assert (plan.request.weights.canary, plan.request.aborted) == (0, True)
    assert plan.intent is not None
    assert plan.effects == ()


def drained(
    stable: int, canary: int, weight: int, *, whole: str | None = "4", **more: Any
) -> tuple[Plan, Observed]:
    """Return the plan of an abort with so many available pods on either side."""
    sets = (
        samples.replica_set("stable", stable, desired_annotation=whole),
        samples.replica_set("new", canary, desired_annotation=whole),
    )
    status = {"abort": True}
    observed = samples.routed(
        STEPS, weight=weight, replica_sets=sets, status=status, spec_error=ERROR, **more
    )
    plan = decided(observed)
    check(observed, plan)
    return plan, observed


@pytest.mark.spec("canary 4.6")
@pytest.mark.parametrize(
    ("stable", "canary", "weight", "kept"),
    [
        (4, 3, 75, 0),
        (1, 3, 75, 75),
        (2, 3, 75, 50),
        (3, 3, 75, 25),
        (1, 3, 50, 50),  # never up again
        (1, 0, 75, 0),  # nobody answers at the canary
        (0, 0, 75, 75),  # nobody answers at all
        (0, 3, 75, 75),
    ],
)
def test_the_way_back_gives_stable_no_more_than_its_pods_carry(
    stable: int, canary: int, weight: int, kept: int
) -> None:
    plan, _ = drained(stable, canary, weight)
    assert plan.request is not None
    weights = plan.request.weights
    assert (weights.canary, weights.stable) == (kept, 100 - kept)
    assert plan.request.aborted
    assert plan.request.valid_until is None


@pytest.mark.spec("canary 4.6")
@pytest.mark.parametrize(("whole", "size"), [("4", 4), ("", 3), (None, 3), ("many", 3)])
def test_a_stable_that_shrank_gets_its_pods_back(whole: str | None, size: int) -> None:
    plan, _ = drained(1, 3, 75, whole=whole)
    assert plan.effects == (PatchReplicaSet("app-stable", replicas=size),)
    (event,) = [each for each in plan.events if each.reason == "ScalingReplicaSet"]
    assert event.message == f"Scaled up ReplicaSet app-stable (revision 1) from 1 to {size}"
    assert drained(4, 3, 75)[0].effects == ()


@pytest.mark.spec("canary 4.6")
def test_the_way_back_goes_on_as_pods_come() -> None:
    plan, observed = drained(1, 3, 75)
    seen = []
    for available in (1, 1, 2, 4, 4):
        observed = aftermath.after(observed, plan)
        sets = (
            samples.replica_set("stable", 4, available=available, desired_annotation="4"),
            samples.replica_set("new", 3, desired_annotation="4"),
        )
        route = observed.headrace.route
        assert route is not None
        answer = Acknowledgement(route.epoch, level="observed", canary=route.weights.canary)
        observed = replace(observed, replica_sets=sets, acknowledgement=answer)
        plan = decided(observed)
        check(observed, plan)
        stored = (plan.intent or plan.claim or observed).headrace.route
        assert stored is not None
        seen.append(stored.weights.canary)
    assert seen == [75, 75, 50, 0, 0]


@pytest.mark.spec("canary 4.6")
def test_the_share_of_an_experiment_counts_on_the_way_back() -> None:
    extra = AdditionalDestination(service="exp", hash="e", weight=15, experiment="x")
    route = samples.route(25)
    weights = Weights(canary=25, stable=60, additional=(extra,), base=100)
    headrace = HeadraceStatus(epoch=1, route=route.model_copy(update={"weights": weights}))
    for stable, kept in ((2, (25, 60, 15)), (3, (10, 75, 15)), (4, (0, 100, 0))):
        plan, _ = drained(stable, 2, 25, headrace=headrace)
        assert plan.request is not None
        found = plan.request.weights
        assert (found.canary, found.stable, sum(e.weight for e in found.additional)) == kept


def test_a_refusal_is_a_fact() -> None:
    plan = decided(observe())
    assert plan.claim is not None
    (fact,) = plan.claim.headrace.history
    assert (fact.type, fact.message) == ("headrace.rollout.rejected.v1", TEXT)
