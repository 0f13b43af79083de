"""What no plan for an Experiment may do (architecture, "Never-false-safe", "Share")."""

import pytest

from headrace.errors import InvariantViolation
from headrace.kubernetes.resources import Manifest
from rollout_controller.core.experiment import samples
from rollout_controller.core.experiment.invariants import check
from rollout_controller.core.experiment.observed import OwningRollout
from rollout_controller.core.experiment.plan import (
    CreateService,
    DeleteService,
    Effect,
    PatchTemplate,
    Plan,
)
from rollout_controller.core.plan import PatchReplicaSet

DOWN = PatchTemplate("a", PatchReplicaSet("exp-a", replicas=0))
SMALLER = PatchTemplate("a", PatchReplicaSet("exp-a", replicas=1))
SERVICE = {"spec": {"selector": {"app": "a"}}}
ALL_PODS: Manifest = {"spec": {"selector": {}}}


def checked(effect: Effect, share: int) -> None:
    rollout = OwningRollout("app", "uid-app", "1", shares={"hash-a": share})
    sets = {"a": samples.replica_set()}
    check(samples.experiment(rollout=rollout, replica_sets=sets), Plan(effects=(effect,)))


@pytest.mark.parametrize(
    ("effect", "share", "text"),
    [
        (DOWN, 5, "template a would be scaled down while a route may send to it"),
        (DeleteService("a"), 5, "template a would lose its Service while a route may send to it"),
        (CreateService("a", ALL_PODS), 0, "the Service of a would select all pods"),
    ],
)
def test_what_would_lose_traffic_is_refused(effect: Effect, share: int, text: str) -> None:
    with pytest.raises(InvariantViolation, match=text):
        checked(effect, share)


@pytest.mark.parametrize(
    ("effect", "share"),
    [(DOWN, 0), (SMALLER, 5), (DeleteService("a"), 0), (CreateService("a", SERVICE), 5)],
)
def test_what_is_safe_may_be_done(effect: Effect, share: int) -> None:
    checked(effect, share)
    check(samples.experiment(), Plan(effects=(effect,)))
