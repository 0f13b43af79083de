"""The route stage: epochs, renewal, acknowledgement (canary 5; architecture, section 2)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.headrace_status import Acknowledged, HeadraceStatus, Waiting
from headrace.model.meta import format_micro_time
from headrace.model.quantities import Instant
from headrace.model.route import AdditionalDestination, Weights
from rollout_controller.core import samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Acknowledgement, Observed, Settings
from rollout_controller.core.route import reconcile_route, reconcile_stored_abort
from rollout_controller.core.share import replicas_needed, share

pytestmark = [
    pytest.mark.spec("canary 5"),
    pytest.mark.spec("canary 5.1"),
    pytest.mark.spec("canary 5.4"),
]

NOW = samples.NOW
STEPS: list[dict[str, Any]] = [{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}]
CANARY = (samples.replica_set("stable"), samples.replica_set("new", 1))


def observe(weight: int | None = None, **more: Any) -> Observed:
    more.setdefault("replica_sets", CANARY)
    return samples.routed(STEPS, weight=weight, **more)


def decided(observed: Observed, *, at: float = 0.0) -> Draft:
    draft = Draft(observed, Instant(NOW + at))
    reconcile_route(draft)
    return draft


def acknowledged(observed: Observed, epoch: int = 1, **answer: Any) -> Draft:
    return decided(replace(observed, acknowledgement=Acknowledgement(epoch, **answer)))


# Requests


def test_asks_for_the_weight_of_the_step() -> None:
    draft = decided(observe())
    assert draft.request is not None
    assert draft.needs_intent
    assert not draft.is_route_settled
    assert draft.request == samples.route(25)
    assert draft.epoch == 1


def test_at_no_replicas_no_weight_waits_for_the_stable_service() -> None:
    """setCanaryScale may give the canary a pod all the same; stable has none to point it at."""
    sets = (samples.replica_set("stable", 0), samples.replica_set("new", 1))
    adopted_later = samples.service("active", "older", managed_by="")
    services = (adopted_later, samples.service("preview", "new"))
    steps: list[dict[str, Any]] = [{"setCanaryScale": {"replicas": 1}}, {"setWeight": 25}]
    observed = samples.routed(
        steps,
        replica_sets=sets,
        services=services,
        spec={"replicas": 0},
        status={"currentStepIndex": 1},
    )
    draft = decided(observed)
    assert draft.request is not None
    assert draft.request.weights.canary == 25
    assert decided(replace(observed, spec=observe().spec)).request is None


def test_the_request_says_why_and_by_whom() -> None:
    observed = observe(generation=7, cause="k8s:uid/9", actor="ann")
    settings = Settings(cluster_uid="c", instance_id="blue")
    draft = decided(replace(observed, settings=settings))
    route = draft.request
    assert route is not None
    assert (route.generation, route.causation, route.actor) == (7, "k8s:uid/9", "ann")
    assert (route.cluster, route.instance_id) == ("c", "blue")


def test_shares_are_raised_with_the_request() -> None:
    draft = decided(observe(0))
    assert draft.shares == {"stable": 100, "new": 25}


def test_the_same_weight_needs_no_new_epoch() -> None:
    draft = decided(observe(25, status={"currentStepIndex": 1}))
    assert (draft.epoch, draft.needs_intent, draft.resend) == (1, False, False)
    assert draft.is_route_settled


def test_a_newer_route_supersedes_an_unacknowledged_one_at_once() -> None:
    draft = decided(observe(25, is_acknowledged=False, status={"abort": True}))
    assert draft.request is not None
    assert (draft.request.epoch, draft.request.weights.canary) == (2, 0)
    assert draft.request.aborted
    assert draft.shares == {"stable": 100, "new": 25}


def test_lowering_to_stable_never_expires() -> None:
    draft = decided(observe(25, status={"abort": True}))
    assert draft.request is not None
    assert draft.request.valid_until is None


def test_a_new_version_gets_its_own_epoch_though_the_weight_is_the_same() -> None:
    observed = observe(0, replica_sets=(CANARY[0], samples.replica_set("new", 0)))
    stored = samples.route(0)
    hashes = stored.hashes.model_copy(update={"canary": "old"})
    headrace = observed.headrace.model_copy(
        update={"route": stored.model_copy(update={"hashes": hashes})}
    )
    draft = decided(replace(observed, headrace=headrace))
    assert draft.epoch == 2


# What a request relies on


def test_waits_until_the_services_select_their_pods() -> None:
    elsewhere = (samples.service("active", "stable"), samples.service("preview", "stable"))
    draft = Draft(observe(services=elsewhere), samples.NOW)
    draft.selected["preview"] = "new"  # planned in this very pass
    reconcile_route(draft)
    assert (draft.request, draft.needs_intent, draft.is_route_settled) == (None, False, False)
    nowhere = (samples.service("active", ""), samples.service("preview", "new"))
    assert decided(observe(services=nowhere)).request is None


def test_a_service_that_selects_other_pods_gets_nothing_and_may_leave_them_then() -> None:
    """An adopted Rollout has no route yet whose acknowledgement would let the Service go."""
    elsewhere = (samples.service("active", "stable"), samples.service("preview", "stable"))
    draft = decided(observe(services=elsewhere))
    assert draft.request is not None
    assert (draft.request.weights.canary, draft.needs_intent) == (0, True)
    assert not draft.is_route_settled


def test_waits_until_stable_has_the_pods_for_the_rest() -> None:
    short = (samples.replica_set("stable", 4, available=2), CANARY[1])
    assert decided(observe(replica_sets=short)).request is None


def test_an_abort_waits_for_the_gate_too() -> None:
    # Deviation 2.
    short = (samples.replica_set("stable", 4, available=2), CANARY[1])
    draft = decided(observe(25, replica_sets=short, status={"abort": True}))
    assert draft.request is not None
    assert draft.request.epoch == 1
    assert not draft.is_route_settled


def test_asks_for_no_raise_while_the_servers_time_is_unknown() -> None:
    assert decided(observe(server_offset_seconds=None)).request is None
    lowered = decided(observe(25, status={"abort": True}, server_offset_seconds=None))
    assert lowered.request is not None
    assert lowered.request.weights.canary == 0


def test_times_are_those_of_the_api_server() -> None:
    draft = decided(observe(server_offset_seconds=10.0))
    assert draft.request is not None
    assert draft.request.decided_at == format_micro_time(NOW + 10)
    assert draft.request.valid_until == format_micro_time(NOW + 70)


# Epochs


@pytest.mark.parametrize(
    ("status", "has_headrace", "epoch"),
    [
        ({"currentPodHash": None}, False, 1),
        ({}, False, int(NOW)),
        ({}, True, 1),
    ],
    ids=["a new rollout", "adopted or lost", "known, no route yet"],
)
def test_the_first_epoch(status: dict[str, Any], has_headrace: bool, epoch: int) -> None:
    ready = replace(observe(), has_headrace=has_headrace)
    typed = ready.status.model_copy(
        update={"current_pod_hash": ""} if "currentPodHash" in status else {}
    )
    assert decided(replace(ready, status=typed)).epoch == epoch


def test_the_first_deployment_is_routed_before_it_is_healthy() -> None:
    observed = observe(
        status={"stableRS": "new", "currentStepIndex": 3},
        services=(samples.service("active", "new"), samples.service("preview", "new")),
        replica_sets=(samples.replica_set("new"),),
    )
    draft = decided(observed)
    assert draft.request is not None
    assert (draft.request.weights.canary, draft.request.weights.stable) == (0, 100)
    assert draft.request.hashes.stable == draft.request.hashes.canary == "new"


def test_continues_above_the_epoch_that_a_refusal_found() -> None:
    draft = acknowledged(observe(25, is_acknowledged=False), level=None, found_epoch=41)
    assert draft.request is not None
    assert (draft.request.epoch, draft.request.weights.canary) == (42, 25)
    assert draft.needs_intent


# Acknowledgement


def test_an_acknowledgement_settles_the_route_and_resets_the_shares() -> None:
    observed = observe(25, is_acknowledged=False)
    headrace = observed.headrace.model_copy(update={"shares": {"stable": 100, "new": 25}})
    status = observed.status.model_copy(
        update={"canary": observed.status.canary.model_copy(update={"weights": None})}
    )
    draft = acknowledged(replace(observed, headrace=headrace, status=status))
    assert draft.is_route_settled
    assert draft.shares == {"stable": 75, "new": 25}
    assert draft.acknowledged is not None
    assert (draft.acknowledged.epoch, draft.acknowledged.canary) == (1, 25)
    assert draft.weights is not None
    assert draft.weights.canary.dump() == {
        "weight": 25,
        "serviceName": "preview",
        "podTemplateHash": "new",
    }
    assert [event.message for event in draft.events] == ["Traffic weight updated to 25"]


def test_a_changed_weight_is_told_with_the_old_one() -> None:
    observed = observe(
        50,
        is_acknowledged=False,
        status={"currentStepIndex": 2},
        replica_sets=(CANARY[0], samples.replica_set("new", 2)),
    )
    old = observed.status.canary.weights
    assert old is not None
    canary = old.canary.model_copy(update={"weight": 25})
    weights = old.model_copy(update={"canary": canary})
    status = observed.status.model_copy(
        update={"canary": observed.status.canary.model_copy(update={"weights": weights})}
    )
    draft = acknowledged(replace(observed, status=status))
    assert [event.message for event in draft.events] == ["Traffic weight updated from 25 to 50"]


def test_other_destinations_are_told_as_go_prints_them() -> None:
    observed = observe(25, is_acknowledged=False)
    assert observed.headrace.route is not None
    one = AdditionalDestination(service="exp-a", hash="a", weight=5, experiment="exp")
    weights = Weights(canary=25, stable=70, additional=(one,))
    route = observed.headrace.route.model_copy(update={"weights": weights})
    headrace = observed.headrace.model_copy(update={"route": route})
    draft = acknowledged(replace(observed, headrace=headrace))
    assert [event.message for event in draft.events] == [
        "Traffic weight updated additional: [{5 exp-a a}]"
    ]


def test_an_older_acknowledgement_settles_nothing() -> None:
    observed = observe(25, is_acknowledged=False)
    headrace = observed.headrace.model_copy(
        update={"epoch": 2, "route": samples.route(25, epoch=2)}
    )
    draft = acknowledged(replace(observed, headrace=headrace), epoch=1)
    assert not draft.is_route_settled
    assert draft.acknowledged is None


def test_an_acknowledgement_is_taken_over_once() -> None:
    draft = acknowledged(observe(25))
    assert draft.acknowledged == Acknowledged(epoch=1, canary=25)
    assert draft.events == []


def test_a_higher_level_is_taken_over_too() -> None:
    draft = acknowledged(observe(25), level="observed", verified=True)
    assert draft.acknowledged is not None
    assert (draft.acknowledged.level, draft.acknowledged.verified) == ("observed", True)


def test_an_error_is_told_once_and_settles_nothing() -> None:
    observed = observe(25, is_acknowledged=False)
    draft = acknowledged(observed, level=None, error="no such TrafficSplit")
    assert draft.route_error == "no such TrafficSplit"
    assert not draft.is_route_settled
    (event,) = draft.events
    assert (event.reason, event.type) == ("TrafficRoutingError", "Warning")
    told = Waiting(reason="RouteFailed", since="", unblock="no such TrafficSplit")
    again = replace(observed, headrace=observed.headrace.model_copy(update={"waiting": told}))
    assert acknowledged(again, level=None, error="no such TrafficSplit").events == []


# Renewal and expiry


def test_an_unacknowledged_request_is_said_again() -> None:
    draft = decided(observe(25, is_acknowledged=False), at=1)
    assert (draft.resend, draft.needs_intent) == (True, False)
    assert draft.request == samples.route(25)
    assert draft.wake_at is not None


def test_a_raise_is_renewed_under_its_epoch() -> None:
    draft = decided(observe(25, is_acknowledged=False), at=30)
    assert draft.needs_intent
    assert draft.request is not None
    assert (draft.request.epoch, draft.request.renewal) == (1, 1)
    assert draft.request.valid_until == format_micro_time(NOW + 90)
    assert draft.request.decided_at == format_micro_time(NOW)


def test_an_expired_raise_is_renewed_by_whoever_comes_back() -> None:
    draft = decided(observe(25, is_acknowledged=False), at=3600)
    assert draft.needs_intent
    assert draft.request is not None
    assert draft.request.valid_until == format_micro_time(NOW + 3660)


def test_a_raise_is_not_renewed_while_the_gate_fails() -> None:
    short = (samples.replica_set("stable", 4, available=2), CANARY[1])
    draft = decided(observe(25, is_acknowledged=False, replica_sets=short), at=45)
    assert not draft.needs_intent
    assert draft.request is not None
    assert draft.request.renewal == 0


def test_an_acknowledged_route_is_left_alone() -> None:
    draft = decided(observe(25), at=3600)
    assert (draft.needs_intent, draft.resend, draft.wake_at) == (False, False, None)


# Without routers


def test_without_routers_there_are_no_weights() -> None:
    draft = decided(samples.rollout({"steps": STEPS}, replica_sets=CANARY))
    assert (draft.request, draft.weights, draft.is_route_settled) == (None, None, True)


def test_a_routing_without_router_routes_nothing() -> None:
    draft = decided(samples.rollout({"steps": STEPS, "trafficRouting": {}}, replica_sets=CANARY))
    assert (draft.request, draft.weights) == (None, None)


@pytest.mark.spec("canary 10.11")
def test_removed_routing_is_withdrawn_and_nothing_waits() -> None:
    stored = observe(25)
    bare = samples.rollout({"steps": STEPS}, replica_sets=CANARY)
    draft = decided(replace(bare, headrace=stored.headrace, status=stored.status))
    assert draft.request is not None
    assert draft.request.routers == ()
    assert [each.router.kind for each in draft.request.withdraw] == ["smi"]
    assert (draft.request.epoch, draft.request.weights.canary) == (2, 0)
    assert draft.is_route_settled
    assert draft.weights is None
    assert [share(draft, rs) for rs in CANARY] == [0, 0]


@pytest.mark.spec("canary 10.11")
@pytest.mark.parametrize(
    ("is_acknowledged", "shares"), [(False, {"stable": 25, "new": 75}), (True, {})]
)
def test_what_the_old_split_brings_is_known_until_it_is_given_up(
    is_acknowledged: bool, shares: dict[str, int]
) -> None:
    """Should a router be added again before, a canary that shall shrink keeps its pods for it."""
    sets = (samples.replica_set("stable", 4), samples.replica_set("new", 3))
    routed = observe(75, replica_sets=sets)
    bare = samples.rollout({"steps": STEPS}, replica_sets=sets)
    removed = decided(replace(bare, headrace=routed.headrace, status=routed.status))
    assert removed.request is not None
    headrace = routed.headrace.model_copy(
        update={"epoch": 2, "route": removed.request, "shares": removed.shares}
    )
    seen = Acknowledgement(epoch=2) if is_acknowledged else None
    waits = decided(replace(bare, headrace=headrace, acknowledgement=seen))
    assert (waits.shares, waits.weights, waits.events) == (shares, None, [])
    again = decided(replace(observe(), replica_sets=sets, headrace=headrace, acknowledgement=seen))
    needed = 0 if is_acknowledged else 3
    assert (again.epoch, replicas_needed(again, sets[1])) == (3, needed)


def test_a_withdrawal_is_asked_for_once() -> None:
    bare = samples.rollout({"steps": STEPS}, replica_sets=CANARY)
    route = samples.route(0, epoch=2).model_copy(update={"routers": ()})
    draft = decided(replace(bare, headrace=HeadraceStatus(epoch=2, route=route)))
    assert not draft.needs_intent


def test_a_router_that_was_replaced_is_withdrawn() -> None:
    other = {"trafficRouting": {"smi": {"rootService": "root2"}}}
    draft = decided(observe(25, strategy=other))
    assert draft.request is not None
    assert [each.router.config for each in draft.request.withdraw] == ['{"rootService":"root"}']


# An abort while the spec is invalid


def test_an_abort_needs_no_spec() -> None:
    # Deviation 4.
    draft = Draft(observe(25, status={"abort": True}), NOW)
    reconcile_stored_abort(draft)
    assert draft.request is not None
    assert (draft.request.epoch, draft.request.weights.canary) == (2, 0)
    assert draft.request.aborted
    assert draft.request.routers == samples.route(25).routers


def test_an_abort_without_route_moves_nothing() -> None:
    draft = Draft(observe(status={"abort": True}), NOW)
    reconcile_stored_abort(draft)
    assert (draft.request, draft.needs_intent) == (None, False)


def test_a_stored_abort_is_kept_alive() -> None:
    observed = observe(0, is_acknowledged=False, status={"abort": True})
    route = samples.route(0).model_copy(update={"aborted": True})
    headrace = observed.headrace.model_copy(update={"route": route})
    draft = Draft(replace(observed, headrace=headrace), NOW)
    reconcile_stored_abort(draft)
    assert (draft.needs_intent, draft.resend) == (False, True)


def test_nothing_is_settled_while_the_canary_service_is_elsewhere() -> None:
    """A weight of 0, asked for until the Service has moved, is not the weight of the step."""
    observed = samples.routed(
        [{"setWeight": 25}],
        weight=0,
        replica_sets=(samples.replica_set("stable"), samples.replica_set("new", 1)),
        services=(samples.service("active", "stable"), samples.service("preview", "stable")),
    )
    draft = Draft(observed, samples.NOW)
    reconcile_route(draft)
    assert draft.request == observed.headrace.route
    assert not draft.is_route_settled
