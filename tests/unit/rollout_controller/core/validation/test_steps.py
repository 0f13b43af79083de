"""Rules about the steps of a canary, beyond the reference's vectors (rollout-api 4.1)."""

from typing import Any

import pytest

from headrace.model.rollout import CanaryStrategy
from rollout_controller.core.validation.steps import step_errors

pytestmark = pytest.mark.spec("rollout-api 4.1")


def errors(step: dict[str, Any], **routing: Any) -> list[str]:
    raw: dict[str, Any] = {"steps": [step]}
    if routing:
        raw["trafficRouting"] = routing
    strategy = CanaryStrategy.load(raw)
    return list(step_errors(strategy, strategy.steps[0], "s[0]"))


def test_a_step_does_one_of_four_things() -> None:
    assert errors({"setWeight": 1, "pause": {}}) == [
        's[0]: Invalid value: "step.Experiment: false step.Pause: true step.SetWeight: true '
        'step.Analysis: false": Step must have one of the following set: '
        "experiment, setWeight, setCanaryScale, plugin or pause"
    ]


def test_a_scale_beside_a_weight_is_not_counted() -> None:
    assert errors({"setWeight": 1, "setCanaryScale": {"weight": 5}}, smi={}) == []


def test_a_plugin_is_an_action() -> None:
    assert errors({"plugin": {"name": "a"}}) == []


@pytest.mark.parametrize("duration", ["10s", "1h30m", 0, "0", "3600", "1.5s", 2**31 - 1])
def test_admits_durations(duration: int | str) -> None:
    assert errors({"pause": {"duration": duration}}) == []


def test_a_pause_fits_into_the_api() -> None:
    (error,) = errors({"pause": {"duration": 2**31}})
    assert error.startswith("s[0].pause.duration: Invalid value: 2147483648: ")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"exact": "x"}, None),
        (None, "null: StringMatch value missed"),
        ({"regex": "x"}, '{"regex":"x"}: SetHeaderRoute match value invalid. ALB supports'),
        ({"exact": "x", "prefix": "y"}, '{"exact":"x","prefix":"y"}: SetHeaderRoute match value'),
    ],
)
def test_alb_matches_exact_headers_only(value: Any, problem: str | None) -> None:
    match = [{"headerName": "h"} | ({"headerValue": value} if value else {})]
    step = {"setHeaderRoute": {"name": "r", "match": match}}
    found = errors(step, alb={"servicePort": 80}, managedRoutes=[{"name": "r"}])
    if problem is None:
        assert found == []
    else:
        assert found[0].startswith(f"s[0].setHeaderRoute.match[0]: Invalid value: {problem}")


@pytest.mark.parametrize("member", ["setHeaderRoute", "setMirrorRoute"])
def test_a_route_is_one_of_the_managed(member: str) -> None:
    found = errors({member: {"name": "x"}}, istio={}, managedRoutes=[{"name": "r"}])
    assert found == [
        f's[0].{member}: Invalid value: "x": Steps define a route that does not exist in '
        "spec.strategy.canary.trafficRouting.managedRoutes"
    ]


def test_header_routes_need_a_router_that_has_them() -> None:
    found = errors({"setHeaderRoute": {"name": "r"}}, smi={}, managedRoutes=[{"name": "r"}])
    assert found == [
        's[0].setHeaderRoute: Invalid value: {"name":"r"}: '
        "SetHeaderRoute requires TrafficRouting, supports Istio and ALB and Apisix"
    ]


def test_method_and_path_of_a_mirror_are_matched_but_headers_not() -> None:
    match = [{"method": {}, "path": {"exact": "/"}, "headers": {"a": {}}}]
    step = {"setMirrorRoute": {"name": "r", "match": match}}
    found = errors(step, istio={}, managedRoutes=[{"name": "r"}])
    assert len(found) == 1
    assert found[0].startswith("s[0].setMirrorRoute.match[0]: Invalid value: {}: StringMatch")


def test_experiments_get_traffic_only_through_a_router() -> None:
    step = {"experiment": {"templates": [{"name": "a", "specRef": "canary", "weight": 5}]}}
    assert errors(step) == [
        "s[0].experiment.templates[0].weight: Invalid value: 5: "
        "Experiment template weight cannot be set unless TrafficRouting is enabled"
    ]
    assert errors(step, smi={}) == []


@pytest.mark.parametrize(
    ("path", "is_good"),
    [
        ("metadata.name", True),
        ("metadata.labels['a']", True),
        ("metadata.annotations", True),
        ("metadata.labels['example.com/a']", True),
        ("metadata.labels['a b']", False),
        ("metadata.labels['Example.com/a']", False),
        ("metadata.annotations['Example.com/a']", True),
        ("metadata.annotations['']", False),
        ("metadata.name['a']", False),
        ("metadata", False),
        ("metadata.generation", False),
        ("status.stableRS", True),
    ],
)
@pytest.mark.parametrize("where", ["analysis", "experiment"])
def test_arguments_name_metadata_that_exists(path: str, is_good: bool, where: str) -> None:
    argument = {"name": "a", "valueFrom": {"fieldRef": {"fieldPath": path}}}
    analysis = {"name": "x", "templateName": "t", "args": [argument]}
    steps: dict[str, Any] = {
        "analysis": {"analysis": {"templates": [{"templateName": "t"}], "args": [argument]}},
        "experiment": {"experiment": {"templates": [], "analyses": [analysis]}},
    }
    found = errors(steps[where])
    assert (found == []) is is_good
    assert all(error.startswith("s[0].analyses: Invalid value: [{") for error in found)
