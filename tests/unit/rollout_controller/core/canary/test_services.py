"""Which pods each Service selects (canary 6; architecture, section 4)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import InvariantViolation
from headrace.model.headrace_status import Acknowledged
from rollout_controller.core import samples
from rollout_controller.core.canary.services import reconcile_services
from rollout_controller.core.decide import decide
from rollout_controller.core.draft import Draft
from rollout_controller.core.invariants import check
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import Plan, SwitchService

pytestmark = [
    pytest.mark.spec("canary 6.1"),
    pytest.mark.spec("canary 6.2"),
]

STEPS: list[dict[str, Any]] = [{"setWeight": 10}, {"setWeight": 50}]
READY = (samples.replica_set("stable"), samples.replica_set("new", 1))
EMPTY = (samples.replica_set("stable"), samples.replica_set("new", 1, available=0))


def switches(observed: Observed) -> dict[str, str]:
    draft = Draft(observed, samples.NOW)
    reconcile_services(draft)
    return {e.name: e.pod_hash for e in draft.effects if isinstance(e, SwitchService)}


def services(active: str, preview: str, managed_by: str = "app") -> Any:
    return (
        samples.service("active", active, managed_by=managed_by),
        samples.service("preview", preview, managed_by=managed_by),
    )


def test_each_service_selects_its_role() -> None:
    observed = samples.routed(STEPS, weight=0, services=services("", "stable"), replica_sets=READY)
    assert switches(observed) == {"active": "stable", "preview": "new"}


def test_nothing_is_written_twice() -> None:
    observed = samples.routed(STEPS, weight=10, replica_sets=READY)
    assert switches(observed) == {}


def test_says_what_it_switches_and_adopts_what_nobody_manages() -> None:
    full = (samples.replica_set("stable"), samples.replica_set("new", 4))
    found = services("stable", "", managed_by="")
    draft = Draft(samples.routed(STEPS, services=found, replica_sets=full), samples.NOW)
    reconcile_services(draft)
    assert draft.effects == [SwitchService("preview", "new", managed_by="app")]
    (event,) = draft.events
    assert event.reason == "SwitchService"
    assert event.message == "Switched selector for service 'preview' from '' to 'new'"


def test_an_adopted_service_waits_for_all_pods_and_ours_for_one() -> None:
    half = (samples.replica_set("stable"), samples.replica_set("new", 4, available=2))
    foreign = services("stable", "", managed_by="")
    assert switches(samples.routed(STEPS, services=foreign, replica_sets=half)) == {}
    own = services("stable", "")
    assert switches(samples.routed(STEPS, services=own, replica_sets=half)) == {"preview": "new"}


def test_a_service_never_moves_to_pods_that_are_not_there() -> None:
    assert switches(samples.routed(STEPS, services=services("", ""), replica_sets=EMPTY)) == {
        "active": "stable"
    }


def test_a_missing_service_or_name_is_left_alone() -> None:
    assert switches(samples.rollout({"steps": STEPS}, replica_sets=READY)) == {}
    assert switches(samples.routed(STEPS, services=(), replica_sets=READY)) == {}


@pytest.mark.spec("canary 10.5")
@pytest.mark.parametrize(
    ("stable", "canary", "is_switched"),
    [
        pytest.param(1, 1, True, id="stable needs not all of its pods"),
        pytest.param(0, 0, True, id="nor any when nobody answers anyway"),
        pytest.param(0, 1, False, id="but the last pods that answer are not left"),
    ],
)
def test_an_abort_does_not_wait_for_pods_where_a_router_serves(
    stable: int, canary: int, is_switched: bool
) -> None:
    sets = (
        samples.replica_set("stable", 4, available=stable),
        samples.replica_set("new", 1, available=canary),
    )
    observed = samples.routed(STEPS, weight=10, status={"abort": True}, replica_sets=sets)
    assert switches(observed) == ({"preview": "stable"} if is_switched else {})
    check(observed, decide(observed, now=samples.NOW))


@pytest.mark.parametrize(("stable", "is_switched"), [(0, False), (1, True)])
def test_an_abort_leaves_the_version_that_answers_only_for_one_that_does(
    stable: int, is_switched: bool
) -> None:
    sets = (
        samples.replica_set("stable", 4, available=stable),
        samples.replica_set("before", 1),
        samples.replica_set("new", 1, available=0),
    )
    found, status = services("stable", "before"), {"abort": True}
    observed = samples.routed(STEPS, weight=10, status=status, services=found, replica_sets=sets)
    assert switches(observed) == ({"preview": "stable"} if is_switched else {})
    check(observed, decide(observed, now=samples.NOW))


def test_an_abort_without_routers_waits_for_stable() -> None:
    down = (samples.replica_set("stable", 4, available=0), samples.replica_set("new", 1))
    strategy = {"canaryService": "preview", "steps": STEPS}
    found = (samples.service("preview", "new"),)
    status = {"abort": True}
    held = samples.rollout(strategy, status=status, services=found, replica_sets=down)
    assert switches(held) == {}
    free = samples.rollout(strategy, status=status, services=found, replica_sets=READY)
    assert switches(free) == {"preview": "stable"}


def test_after_the_promotion_both_select_the_same() -> None:
    observed = samples.routed(
        STEPS,
        weight=100,
        status={"stableRS": "new", "currentStepIndex": 2},
        replica_sets=(samples.replica_set("stable"), samples.replica_set("new")),
    )
    assert switches(observed) == {"active": "new"}


@pytest.mark.parametrize(
    ("acknowledged", "moves"),
    [(None, False), (Acknowledged(epoch=0), False), (Acknowledged(epoch=1, canary=0), True)],
    ids=["never", "an older one", "the newest"],
)
def test_a_new_revision_takes_the_service_when_no_traffic_is_on_it(
    acknowledged: Acknowledged | None, moves: bool
) -> None:
    observed = samples.routed(
        STEPS, weight=0, services=services("stable", "old"), replica_sets=READY
    )
    route = samples.route(0).model_copy(
        update={"hashes": samples.route(0).hashes.model_copy(update={"canary": "old"})}
    )
    headrace = observed.headrace.model_copy(update={"acknowledged": acknowledged, "route": route})
    assert switches(observed.with_status(observed.status, headrace)) == (
        {"preview": "new"} if moves else {}
    )


def test_a_new_revision_never_inherits_the_weight_of_the_last() -> None:
    observed = samples.routed(
        STEPS, weight=10, services=services("stable", "old"), replica_sets=READY
    )
    route = samples.route(10).model_copy(
        update={"hashes": samples.route(10).hashes.model_copy(update={"canary": "old"})}
    )
    headrace = observed.headrace.model_copy(update={"route": route})
    assert switches(observed.with_status(observed.status, headrace)) == {}


def test_a_retry_takes_the_service_with_at_most_the_weight_of_its_step() -> None:
    back = services("stable", "stable")
    low = samples.routed(STEPS, weight=10, services=back, replica_sets=READY)
    assert switches(low) == {"preview": "new"}
    high = samples.routed(STEPS, weight=50, services=back, replica_sets=READY)
    assert switches(high) == {}


def test_the_first_version_takes_both_services() -> None:
    observed = samples.routed(
        STEPS,
        services=services("", ""),
        status={"stableRS": "new", "currentStepIndex": 2},
        replica_sets=(samples.replica_set("new"),),
    )
    assert switches(observed) == {"active": "new", "preview": "new"}


@pytest.mark.parametrize(
    ("left", "managed_by", "wanted"),
    [
        pytest.param(0, "app", {"active": "stable"}, id="nobody is behind it"),
        pytest.param(1, "app", {}, id="a pod of setCanaryScale still answers"),
        pytest.param(0, "", {}, id="whom it serves is not known"),
    ],
)
def test_at_no_replicas_the_stable_service_leaves_the_canary_before_pods_come(
    left: int, managed_by: str, wanted: dict[str, str]
) -> None:
    """Names were swapped: a canary that comes up before stable would get all of its weight."""
    observed = samples.routed(
        STEPS,
        weight=0,
        services=(samples.service("active", "new", managed_by=managed_by),),
        replica_sets=(samples.replica_set("stable", 0), samples.replica_set("new", left)),
        spec={"replicas": 0},
    )
    assert switches(observed) == wanted


# Ping and pong


PONG_IS_OLD = {"pong": "old"}


@pytest.mark.spec("canary 6.3")
def test_the_canary_role_is_switched_without_a_look_at_pods() -> None:
    observed = samples.ping_pong(STEPS, weight=0, selected=PONG_IS_OLD)
    assert observed.replica_sets[1].available == 0
    assert switches(observed) == {"pong": "new"}
    turned = samples.ping_pong(STEPS, stable="pong", weight=0, selected={"ping": "old"})
    assert switches(turned) == {"ping": "new"}
    assert switches(samples.ping_pong(STEPS, weight=0)) == {}


@pytest.mark.spec("canary 6.3")
@pytest.mark.parametrize("pong", ["old", ""])
@pytest.mark.parametrize(
    "changes", [{"weight": 10}, {"weight": 0, "is_acknowledged": False}, {"weight": None}]
)
def test_the_canary_role_waits_until_its_traffic_is_surely_gone(
    pong: str, changes: dict[str, Any]
) -> None:
    stored = {"status": {"currentStepIndex": 0}, **changes}
    observed = samples.ping_pong([{"setWeight": 5}], selected={"pong": pong}, **stored)
    assert switches(observed) == {}


@pytest.mark.spec("canary 6.3")
def test_after_a_swap_the_weight_is_that_of_the_service_and_not_of_its_role() -> None:
    """Everything goes to pong by the newest route, which was stable when that was asked for."""
    stored = samples.ping_pong(STEPS, stable="pong", weight=0).headrace
    observed = replace(samples.ping_pong(STEPS, selected=PONG_IS_OLD), headrace=stored)
    assert switches(observed) == {}
    plan = Plan(effects=(SwitchService("pong", "new"),))
    old = (*EMPTY, samples.replica_set("old"))
    with pytest.raises(InvariantViolation, match=r"pong would select pods that cannot answer"):
        check(replace(observed, replica_sets=old), plan)


@pytest.mark.spec("canary 6.3")
def test_a_service_that_has_the_traffic_moves_only_to_pods_that_answer() -> None:
    """The step gives the canary everything; pingPong named stable's Service in mid-update."""
    steps = [{"setWeight": 100}]
    stored = samples.ping_pong(steps, stable="pong", weight=0).headrace
    for available, wanted in ((0, {}), (4, {"pong": "new"})):
        sets = (samples.replica_set("stable"), samples.replica_set("new", 4, available=available))
        changes: dict[str, Any] = {"replica_sets": sets, "status": {"currentStepIndex": 0}}
        observed = samples.ping_pong(steps, selected=PONG_IS_OLD, **changes)
        assert switches(replace(observed, headrace=stored)) == wanted


@pytest.mark.spec("canary 6.3")
def test_neither_moves_when_everything_is_promoted() -> None:
    status = {"stableRS": "new"}
    selected = {"ping": "new", "pong": "old"}
    assert switches(samples.ping_pong(STEPS, weight=0, status=status, selected=selected)) == {}


@pytest.mark.spec("canary 6.3")
def test_the_stable_role_is_pointed_back_where_stable_answers() -> None:
    changes: dict[str, Any] = {"weight": 10, "selected": {"ping": "new"}}
    assert switches(samples.ping_pong(STEPS, **changes)) == {"ping": "stable"}
    gone = (samples.replica_set("stable", available=0), samples.replica_set("new", 1))
    assert switches(samples.ping_pong(STEPS, replica_sets=gone, **changes)) == {}


@pytest.mark.spec("canary 6.3")
@pytest.mark.parametrize("acked", [True, False])
def test_services_named_since_take_the_traffic_before_ping_and_pong_move(acked: bool) -> None:
    """The newest route still divides the traffic between ping and pong."""
    stored = samples.ping_pong(STEPS, stable="pong", weight=0, is_acknowledged=acked).headrace
    named = {"stableService": "active", "canaryService": "preview"}
    observed = samples.ping_pong(STEPS, strategy=named, selected=PONG_IS_OLD)
    assert switches(replace(observed, headrace=stored)) == {}
    other = samples.routed(STEPS, weight=10, is_acknowledged=acked).headrace
    assert switches(replace(observed, headrace=other)) == ({"pong": "new"} if acked else {})
