"""A Rollout whose spec cannot work (rollout-api 4; architecture, deviation 4)."""

from typing import Any

import pytest

from rollout_controller.core import samples
from rollout_controller.core.decide import decide
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import Plan

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


def test_a_refusal_is_a_fact() -> None:
    plan = decided(observe())
    assert plan.claim is not None
    (fact,) = plan.claim.headrace.history
    assert (fact.type, fact.message) == ("headrace.rollout.rejected.v1", TEXT)
