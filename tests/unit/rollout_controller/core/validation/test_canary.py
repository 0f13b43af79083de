"""Rules about the canary strategy as a whole, beyond the reference's vectors (rollout-api 4.1)."""

from typing import Any

import pytest

from headrace.model.rollout import CanaryStrategy
from rollout_controller.core.validation import canary

pytestmark = pytest.mark.spec("rollout-api 4.1")


def errors(**strategy: Any) -> list[str]:
    return list(canary.errors(CanaryStrategy.load(strategy)))


@pytest.mark.parametrize(
    ("surge", "unavailable", "is_good"),
    [
        (0, 0, False),
        ("0", "0%", False),
        (0, 1, True),
        (0, None, True),
        ("1%", 0, True),
        (None, None, True),
    ],
)
def test_something_may_move(surge: Any, unavailable: Any, is_good: bool) -> None:
    assert (errors(maxSurge=surge, maxUnavailable=unavailable) == []) is is_good


def test_a_limit_is_a_number_or_a_percentage() -> None:
    (error,) = errors(maxUnavailable="few")
    assert error.startswith('spec.strategy.maxUnavailable: Invalid value: "few": invalid value')


def test_stable_and_canary_service_are_two() -> None:
    assert errors(stableService="a", canaryService="a") == [
        'spec.strategy.stableService: Invalid value: "a": This rollout uses the same service for '
        "the stable and canary services, but two different services are required."
    ]


def test_a_plugin_needs_no_services() -> None:
    assert errors(trafficRouting={"plugins": {"a/b": {}}}) == []


def test_all_traffic_has_a_weight() -> None:
    routing = {"plugins": {"a/b": {}}, "maxTrafficWeight": 0}
    assert errors(trafficRouting=routing) == [
        "spec.strategy.trafficRouting.maxTrafficWeight: Invalid value: 0: must be greater than 0"
    ]


def test_ping_pong_stands_for_the_services_of_istio_and_alb() -> None:
    pair = {"pingService": "a", "pongService": "b"}
    assert errors(pingPong=pair, trafficRouting={"istio": {}}) == []
    alb = {"servicePort": 80, "rootService": "r"}
    assert errors(pingPong=pair, trafficRouting={"alb": alb}) == []
