"""What the current step stands for (canary 2.1, 4.1)."""

from typing import Any

import pytest

from headrace.model.rollout import CanaryStrategy
from headrace.model.steps import CanaryStep
from rollout_controller.core.canary import steps as canary_steps


def strategy(*steps: dict[str, Any], **more: Any) -> CanaryStrategy:
    return CanaryStrategy.load({"steps": steps, "trafficRouting": {"smi": {}}, **more})


def weight(index: int | None, *steps: dict[str, Any], is_aborted: bool = False) -> int:
    return canary_steps.current_set_weight(
        strategy(*steps).steps, index, is_aborted=is_aborted, base=100
    )


@pytest.mark.spec("canary 4.1")
def test_the_weight_is_that_of_the_nearest_step_before() -> None:
    steps: list[dict[str, Any]] = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 40}]
    assert [weight(index, *steps) for index in (None, 0, 1, 2, 3)] == [10, 10, 10, 40, 100]


@pytest.mark.spec("canary 4.1")
def test_there_is_no_canary_before_the_first_weight() -> None:
    assert weight(0, {"pause": {}}, {"setWeight": 10}) == 0


@pytest.mark.spec("canary 4.1")
def test_an_aborted_canary_gets_nothing() -> None:
    assert weight(0, {"setWeight": 10}, is_aborted=True) == 0
    assert weight(1, {"setWeight": 10}, is_aborted=True) == 0


@pytest.mark.spec("canary 4.1")
def test_without_steps_the_canary_gets_everything() -> None:
    assert weight(None) == 100


def test_all_traffic_is_the_maximum_weight() -> None:
    routing = {"plugins": {"argoproj-labs/gatewayAPI": {}}, "maxTrafficWeight": 1000}
    assert canary_steps.weight_base(strategy(trafficRouting=routing)) == 1000
    assert canary_steps.weight_base(strategy()) == 100
    assert canary_steps.weight_base(CanaryStrategy()) == 100


SCALED: list[dict[str, Any]] = [
    {"setCanaryScale": {"weight": 25}},
    {"pause": {}},
    {"setCanaryScale": {"matchTrafficWeight": True}},
    {"setCanaryScale": {"replicas": 3}},
]


@pytest.mark.parametrize(
    ("index", "scale"),
    [(0, {"weight": 25}), (1, {"weight": 25}), (2, None), (3, {"replicas": 3}), (4, None)],
)
def test_the_scale_in_effect_is_the_nearest_before(index: int, scale: Any) -> None:
    found = canary_steps.scale_in_effect(strategy(*SCALED), index, is_aborted=False)
    assert (found.dump() if found else None) == scale


def test_no_scale_without_a_router() -> None:
    unrouted = CanaryStrategy.load({"steps": SCALED})
    assert canary_steps.scale_in_effect(unrouted, 0, is_aborted=False) is None


@pytest.mark.spec("canary 4.1")
@pytest.mark.parametrize(("delay", "holds"), [(None, False), (30, False), (0, True)])
def test_an_abort_ends_the_scale_unless_the_pods_shall_stay(delay: int | None, holds: bool) -> None:
    kept = strategy(*SCALED, abortScaleDownDelaySeconds=delay)
    found = canary_steps.scale_in_effect(kept, 0, is_aborted=True)
    assert (found is not None) is holds


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"setWeight": 20}, "setWeight: 20"),
        ({"pause": {}}, "pause"),
        ({"pause": {"duration": "10s"}}, "pause: 10s"),
        ({"pause": {"duration": 30}}, "pause: 30"),
        ({"experiment": {"templates": []}}, "experiment"),
        ({"analysis": {}}, "analysis"),
        ({"setCanaryScale": {"weight": 25}}, "setCanaryScale{weight: 25}"),
        (
            {"setCanaryScale": {"matchTrafficWeight": True}},
            "setCanaryScale{matchTrafficWeight: true}",
        ),
        ({"setCanaryScale": {"replicas": 3}}, "setCanaryScale{replicas: 3}"),
        ({"setCanaryScale": {}}, "invalid"),
        ({"plugin": {"name": "a"}}, "plugin: a"),
        ({"setHeaderRoute": {"name": "h"}}, "setHeaderRoute: h"),
        ({"setMirrorRoute": {"name": "m"}}, "setMirrorRoute: m"),
        ({"setWeight": 0, "pause": {}}, "setWeight: 0"),
        ({}, "invalid"),
    ],
)
@pytest.mark.spec("canary 2.1")
def test_describes_a_step_as_clients_show_it(step: dict[str, Any], text: str) -> None:
    assert canary_steps.describe(CanaryStep.load(step)) == text
