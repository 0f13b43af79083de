"""Who carries which share of the traffic (architecture, section 4)."""

from typing import Any

import pytest

from headrace.model.route import AdditionalDestination
from rollout_controller.core import samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.routers import raised, shares_of
from rollout_controller.core.share import replicas_needed, share

STEPS: list[dict[str, Any]] = [{"setWeight": 25}]


def draft(weight: int, *, steps: list[dict[str, Any]] | None = None, **more: Any) -> Draft:
    return Draft(samples.routed(steps or STEPS, weight=weight, **more), samples.NOW)


def test_each_hash_carries_its_weight() -> None:
    assert shares_of(samples.route(25)) == {"stable": 75, "new": 25}
    assert shares_of(samples.route(0)) == {"stable": 100}


def test_weights_of_one_hash_add_up() -> None:
    route = samples.route(25)
    hashes = route.hashes.model_copy(update={"canary": "stable"})
    extra = AdditionalDestination(service="x", hash="x", weight=5)
    weights = route.weights.model_copy(update={"additional": (extra,), "stable": 70})
    merged = route.model_copy(update={"hashes": hashes, "weights": weights})
    assert shares_of(merged) == {"stable": 95, "x": 5}


def test_shares_only_rise_until_the_newest_route_is_acknowledged() -> None:
    shares = raised({"stable": 75, "new": 25}, 100, samples.route(50))
    assert shares == {"stable": 75, "new": 50}
    assert raised(shares, 100, samples.route(0)) == {"stable": 100, "new": 50}
    assert raised({"stable": 750, "new": 254}, 1000, samples.route(0)) == {"stable": 100, "new": 26}


@pytest.mark.parametrize(("weight", "needed"), [(0, 0), (1, 1), (25, 1), (26, 2), (100, 4)])
def test_a_share_needs_its_pods_rounded_up(weight: int, needed: int) -> None:
    drafted = draft(weight)
    assert drafted.new is not None
    assert replicas_needed(drafted, drafted.new) == needed


def test_an_explicit_scale_is_the_users_word() -> None:
    steps: list[dict[str, Any]] = [{"setCanaryScale": {"replicas": 1}}]
    drafted = draft(50, steps=steps)
    assert drafted.new is not None
    assert replicas_needed(drafted, drafted.new) == 1


def test_without_router_there_are_no_shares() -> None:
    drafted = Draft(samples.rollout({"steps": STEPS}), samples.NOW)
    assert drafted.new is not None
    assert share(drafted, drafted.new) == 0


def test_in_blue_green_all_traffic_is_where_the_active_service_points() -> None:
    drafted = Draft(samples.blue_green(active="new"), samples.NOW)
    assert drafted.new is not None
    assert drafted.stable is not None
    assert (share(drafted, drafted.new), share(drafted, drafted.stable)) == (100, 0)
    assert replicas_needed(drafted, drafted.new) == samples.REPLICAS
    nobody = Draft(samples.blue_green(active="new", spec={"replicas": 0}), samples.NOW)
    assert nobody.new is not None
    assert replicas_needed(nobody, nobody.new) == 0
