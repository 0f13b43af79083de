"""What must hold of every plan (architecture, "Never-false-safe")."""

from dataclasses import replace

import pytest

from headrace.errors import InvariantViolation
from rollout_controller.core import samples
from rollout_controller.core.invariants import check
from rollout_controller.core.observed import Acknowledgement, ReplicaSet
from rollout_controller.core.plan import (
    DeleteReplicaSet,
    PatchReplicaSet,
    Plan,
    SwitchService,
)

STEPS = [{"setWeight": 25}]
CANARY = (samples.replica_set("stable"), samples.replica_set("new", 1))


def test_a_quiet_plan_holds() -> None:
    check(samples.routed(STEPS, weight=25, replica_sets=CANARY), Plan())


def test_weights_add_up() -> None:
    weights = samples.route(25).weights.model_copy(update={"stable": 80})
    route = samples.route(25).model_copy(update={"weights": weights})
    with pytest.raises(InvariantViolation, match=r"^weights sum to 105, not to 100$"):
        check(samples.routed(STEPS), Plan(request=route))


def test_no_weight_is_negative() -> None:
    with pytest.raises(InvariantViolation, match=r"^a weight is negative$"):
        check(samples.routed(STEPS), Plan(request=samples.route(-5)))


def test_a_service_keeps_a_selector() -> None:
    with pytest.raises(InvariantViolation, match=r"^Service active would lose its selector$"):
        check(samples.routed(STEPS), Plan(effects=(SwitchService("active", ""),)))


def test_an_aborted_rollout_asks_for_no_traffic_to_the_canary() -> None:
    observed = samples.routed(STEPS, weight=0, status={"abort": True}, replica_sets=CANARY)
    with pytest.raises(InvariantViolation, match=r"^an aborted rollout asks for traffic"):
        check(observed, Plan(request=samples.route(25, epoch=2)))
    check(observed, Plan(request=samples.route(0, epoch=2)))


GONE = Plan(effects=(PatchReplicaSet("app-new", replicas=0),))


@pytest.mark.parametrize("is_acknowledged", [False, True])
def test_a_replica_set_keeps_its_pods_while_it_has_a_share(is_acknowledged: bool) -> None:
    known = Acknowledgement(1) if is_acknowledged else None
    observed = samples.routed(
        STEPS,
        weight=25,
        is_acknowledged=is_acknowledged,
        replica_sets=CANARY,
        acknowledgement=known,
    )
    with pytest.raises(InvariantViolation, match=r"^ReplicaSet app-new would lose pods"):
        check(observed, GONE)


def test_a_replica_set_may_go_when_the_route_without_it_is_applied() -> None:
    observed = samples.routed(STEPS, weight=0, is_acknowledged=False, replica_sets=CANARY)
    raised = observed.headrace.model_copy(update={"shares": {"stable": 100, "new": 25}})
    observed = replace(observed, headrace=raised)
    with pytest.raises(InvariantViolation):
        check(observed, GONE)
    check(replace(observed, acknowledgement=Acknowledgement(1)), GONE)


def test_nothing_waits_for_routing_that_was_removed() -> None:
    routed = samples.routed(STEPS, weight=25, is_acknowledged=False, replica_sets=CANARY)
    bare = samples.rollout({"steps": STEPS}, replica_sets=CANARY)
    check(replace(bare, headrace=routed.headrace), GONE)


READY = (samples.replica_set("stable"), samples.replica_set("new"))
BROKEN = (samples.replica_set("stable"), samples.replica_set("new", 4, available=0))
CUTOVER = Plan(effects=(SwitchService("active", "new"),))


def test_all_traffic_moves_only_to_pods_that_answer() -> None:
    check(samples.blue_green(replica_sets=READY), CUTOVER)
    with pytest.raises(InvariantViolation, match=r"^Service active would select pods that cannot"):
        check(samples.blue_green(replica_sets=BROKEN), CUTOVER)
    check(samples.blue_green(replica_sets=BROKEN, spec={"replicas": 0}), CUTOVER)
    check(samples.blue_green(replica_sets=BROKEN, active="new"), CUTOVER)
    check(
        samples.blue_green(replica_sets=BROKEN, preview="stable"),
        Plan(effects=(SwitchService("preview", "new"),)),
    )


def test_where_nobody_answers_nobody_is_lost() -> None:
    sets = (samples.replica_set("stable", 4, available=0), BROKEN[1])
    check(samples.blue_green(replica_sets=sets), CUTOVER)
    with pytest.raises(InvariantViolation, match=r"^Service active would select pods that cannot"):
        check(samples.blue_green(replica_sets=BROKEN, active=""), CUTOVER)


def test_what_the_active_service_selects_keeps_its_pods() -> None:
    with pytest.raises(InvariantViolation, match=r"^ReplicaSet app-new would lose pods"):
        check(samples.blue_green(replica_sets=READY, active="new"), GONE)
    check(samples.blue_green(replica_sets=READY), GONE)


def empty(pod_hash: str) -> ReplicaSet:
    return samples.replica_set(pod_hash, 1, available=0)


def test_a_weight_is_raised_only_where_pods_are() -> None:
    sets = (samples.replica_set("stable"), empty("new"))
    observed = samples.routed(STEPS, weight=10, replica_sets=sets)
    with pytest.raises(InvariantViolation, match=r"^25 of 100 would go to pods that are not ready"):
        check(observed, Plan(request=samples.route(25, epoch=2)))
    check(observed, Plan(request=samples.route(10, epoch=1)))
    check(observed, Plan(request=samples.route(0, epoch=2)))


def test_a_service_with_traffic_is_not_moved_to_pods_that_cannot_answer() -> None:
    sets = (samples.replica_set("stable"), empty("new"))
    observed = samples.routed(STEPS, weight=10, replica_sets=sets)
    with pytest.raises(InvariantViolation, match=r"^Service active would select pods that cannot"):
        check(observed, Plan(effects=(SwitchService("active", "new"),)))
    check(observed, Plan(effects=(SwitchService("preview", "stable"),)))
    check(observed, Plan(effects=(SwitchService("preview", "gone"),)))  # nobody answered before
    served = samples.routed(STEPS, weight=10, replica_sets=CANARY)
    with pytest.raises(InvariantViolation, match=r"^Service preview would select pods that cannot"):
        check(served, Plan(effects=(SwitchService("preview", "gone"),)))
    idle = samples.routed(STEPS, weight=0, replica_sets=sets)
    check(idle, Plan(effects=(SwitchService("preview", "gone"),)))


def test_a_replica_set_with_a_share_is_not_deleted() -> None:
    observed = samples.routed(STEPS, weight=25, replica_sets=CANARY)
    gone = Plan(effects=(DeleteReplicaSet("app-new"),))
    with pytest.raises(InvariantViolation, match=r"^ReplicaSet app-new would go although"):
        check(observed, gone)
    check(samples.routed(STEPS, weight=0, replica_sets=CANARY), gone)
