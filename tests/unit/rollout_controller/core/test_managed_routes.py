"""Header and mirror routes of the document (canary 2.1, 2.3, 5.2, 5.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.quantities import Instant
from headrace.model.route import HeaderRoute, ManagedRoutes, RouteDocument
from rollout_controller.core import samples
from rollout_controller.core.decide import decide
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Acknowledgement, Observed, References
from rollout_controller.core.route import reconcile_route, reconcile_stored_abort
from rollout_controller.core.routers import shares_of

pytestmark = [pytest.mark.spec("canary 5.4"), pytest.mark.spec("canary 2.1")]

NOW = Instant(samples.NOW)
MATCH = [{"headerName": "x", "headerValue": {"exact": "1"}}]
STEPS: list[dict[str, Any]] = [
    {"setCanaryScale": {"replicas": 1}},
    {"setHeaderRoute": {"name": "a", "match": MATCH}},
    {"setMirrorRoute": {"name": "m", "match": [{"method": {"exact": "GET"}}], "percentage": 5}},
    {"setHeaderRoute": {"name": "b", "match": MATCH}},
    {"setHeaderRoute": {"name": "a"}},
    {"pause": {}},
]
ROUTING = {
    "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "web"}},
    "managedRoutes": [{"name": "a"}, {"name": "m"}, {"name": "b"}],
}
CANARY = (samples.replica_set("stable"), samples.replica_set("new", 1))


def observe(index: int, **more: Any) -> Observed:
    more.setdefault("replica_sets", CANARY)
    status = {"currentStepIndex": index, **more.pop("status", {})}
    strategy = {"trafficRouting": ROUTING}
    return samples.routed(STEPS, weight=0, strategy=strategy, status=status, **more)


def asked(observed: Observed) -> RouteDocument:
    draft = Draft(observed, Instant(samples.NOW))
    reconcile_route(draft)
    assert draft.request is not None
    return draft.request


def after(index: int, stored: RouteDocument, **more: Any) -> Observed:
    observed = observe(index, **more)
    return replace(
        observed,
        headrace=observed.headrace.model_copy(update={"route": stored, "epoch": stored.epoch}),
    )


def names(route: RouteDocument) -> tuple[list[str], list[str]]:
    managed = route.managed
    return [each.name for each in managed.header], [each.name for each in managed.mirror]


def test_routes_are_accumulated_step_by_step() -> None:
    route = asked(observe(0))
    assert route.managed == ManagedRoutes(names=("a", "m", "b"), step_names=("a", "b", "m"))
    told = []
    for index in range(1, len(STEPS)):
        route = asked(after(index, route))
        told.append(names(route))
    assert told == [
        (["a"], []),
        (["a"], ["m"]),
        (["a", "b"], ["m"]),
        (["b"], ["m"]),
        (["b"], ["m"]),
    ]


def test_a_route_that_was_skipped_is_never_made() -> None:
    assert names(asked(observe(5))) == ([], [])


def test_a_header_route_is_a_raise_and_a_share_at_any_weight() -> None:
    route = asked(observe(1))
    assert route.weights.canary == 0
    assert route.valid_until is not None
    assert shares_of(route) == {"stable": 100, "new": 1}


@pytest.mark.spec("canary 5.2")
@pytest.mark.parametrize(
    "more",
    [
        {"status": {"abort": True}},
        {"status": {"promoteFull": True}},
        {"replica_sets": (CANARY[0], samples.replica_set("new", 1, available=0))},
    ],
)
def test_rules_that_remove_managed_routes_remove_them(more: dict[str, Any]) -> None:
    route = asked(after(3, asked(observe(1)), **more))
    assert names(route) == ([], [])


def test_the_routes_go_before_the_last_pod_does() -> None:
    """Else the share of the route would hold the pods, and the step would wait for ever."""
    steps = [*STEPS[:2], {"setCanaryScale": {"matchTrafficWeight": True}}]
    stored = asked(observe(1))
    last = samples.routed(
        steps,
        weight=0,
        strategy={"trafficRouting": ROUTING},
        status={"currentStepIndex": 2},
        replica_sets=CANARY,
    )
    headrace = last.headrace.model_copy(update={"route": stored, "epoch": stored.epoch})
    assert names(asked(replace(last, headrace=headrace))) == ([], [])


@pytest.mark.parametrize("index", [0, 5])
def test_a_new_revision_begins_without_any(index: int) -> None:
    stored = asked(observe(1))
    hashes = stored.hashes.model_copy(update={"canary": "old" if index else "new"})
    assert names(asked(after(index, stored.model_copy(update={"hashes": hashes})))) == ([], [])


@pytest.mark.spec("canary 2.3")
def test_revision_one_makes_no_routes() -> None:
    first = (CANARY[0], replace(CANARY[1], revision=1))
    assert names(asked(observe(1, replica_sets=first))) == ([], [])


def test_an_abort_without_a_readable_spec_removes_them() -> None:
    draft = Draft(after(2, asked(observe(1))), Instant(samples.NOW))
    reconcile_stored_abort(draft)
    assert draft.request is not None
    assert names(draft.request) == ([], [])
    assert draft.request.managed.names == ("a", "m", "b")


def test_the_step_ends_when_the_router_has_said_so() -> None:
    stored = asked(observe(1))
    waiting = replace(
        after(1, stored, is_acknowledged=False),
        server_offset_seconds=0.0,
    )
    plan = decide(waiting, now=Instant(samples.NOW))
    assert plan.claim is None or plan.claim.status.current_step_index == 1
    acked = replace(waiting, acknowledgement=Acknowledgement(stored.epoch))
    plan = decide(acked, now=Instant(samples.NOW))
    assert plan.claim is not None
    assert plan.claim.status.current_step_index == 2
    messages = [event.message for event in plan.events]
    assert "Rollout step 2/6 completed (setHeaderRoute: a)" in messages


def test_the_documents_route_says_what_the_step_says() -> None:
    (route,) = asked(observe(1)).managed.header
    raw = {"name": "a", "match": [{"headerName": "x", "headerValue": {"exact": "1"}}]}
    assert route == HeaderRoute.load(raw)


FULL = (CANARY[0], samples.replica_set("new", 4))
BROKEN = (replace(CANARY[0], available=0), FULL[1])


def promoting(stored: RouteDocument, acked: int | None = None, **more: Any) -> Observed:
    """A full promotion that has all pods; `acked` is the newest acknowledged epoch."""
    more.setdefault("replica_sets", FULL)
    observed = after(3, stored, status={"promoteFull": True}, is_acknowledged=False, **more)
    known = None if acked is None else Acknowledgement(acked)
    return replace(observed, acknowledgement=known)


def promoted(observed: Observed) -> bool:
    plan = decide(observed, now=samples.NOW)
    return plan.claim is not None and plan.claim.status.stable_rs == "new"


@pytest.mark.spec("canary 3.2")
def test_a_full_promotion_waits_until_they_are_surely_gone() -> None:
    with_routes = asked(observe(1))
    assert not promoted(promoting(with_routes, acked=with_routes.epoch))
    unasked = promoting(with_routes, acked=with_routes.epoch)
    elsewhere = (samples.service("active", "old"), samples.service("preview", "new"))
    services = {each.name: each for each in elsewhere}
    assert not promoted(replace(unasked, references=References(services=services)))
    without = asked(promoting(with_routes))
    assert names(without) == ([], [])
    assert not promoted(promoting(without))
    assert not promoted(promoting(without, acked=with_routes.epoch))
    assert promoted(promoting(without, acked=without.epoch))


@pytest.mark.spec("canary 3.2")
def test_the_way_out_of_a_broken_stable_version_waits_for_none_of_them() -> None:
    with_routes = asked(observe(1))
    assert promoted(promoting(with_routes, acked=with_routes.epoch, replica_sets=BROKEN))


@pytest.mark.spec("canary 3.2")
def test_a_full_promotion_without_such_routes_waits_for_no_router() -> None:
    observed = samples.routed(
        [{"setWeight": 10}],
        weight=10,
        is_acknowledged=False,
        status={"promoteFull": True},
        replica_sets=FULL,
    )
    assert promoted(observed)
    plain = promoting(asked(observe(1)))
    canary = plain.spec.strategy.canary
    assert canary is not None
    unrouted = canary.model_copy(update={"traffic_routing": None})
    strategy = plain.spec.strategy.model_copy(update={"canary": unrouted})
    assert promoted(replace(plain, spec=plain.spec.model_copy(update={"strategy": strategy})))


@pytest.mark.parametrize(
    ("sets", "wanted"),
    [
        (CANARY, 2),
        ((CANARY[0], samples.replica_set("new", 1, available=0)), 1),
    ],
    ids=["made", "no pod to send anybody to"],
)
def test_a_step_is_passed_with_its_route_only(sets: tuple[Any, ...], wanted: int) -> None:
    observed = observe(1, replica_sets=sets)
    route = asked(observed)
    known = Acknowledgement(epoch=route.epoch, level="written")
    plan = decide(replace(after(1, route, replica_sets=sets), acknowledgement=known), now=NOW)
    assert plan.claim is not None
    assert plan.claim.status.current_step_index == wanted
