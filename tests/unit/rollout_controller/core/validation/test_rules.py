"""Which of several errors is told."""

from typing import Any

import pytest

from headrace.model.rollout import RolloutSpec
from rollout_controller.core import samples
from rollout_controller.core.validation.rules import first_error, spec_error

pytestmark = pytest.mark.spec("rollout-api 4")


def error_of(**members: Any) -> str:
    valid = {
        "selector": {"matchLabels": {"app": "app"}},
        "template": samples.TEMPLATE,
        "strategy": {"canary": {}},
    }
    return spec_error(RolloutSpec.load(valid | members))


def test_a_good_spec_has_no_error() -> None:
    assert error_of() == ""


def test_what_is_malformed_comes_before_what_is_not_built() -> None:
    unbuilt: dict[str, Any] = {"canary": {"trafficRouting": {"plugins": {"acme/router": {}}}}}
    assert error_of(replicas=-1, strategy=unbuilt).startswith("spec.replicas: ")
    path = "spec.strategy.canary.trafficRouting.plugins[acme/router]"
    assert error_of(strategy=unbuilt).startswith(f"{path}: Forbidden: ")


def test_the_spec_comes_before_what_it_names() -> None:
    observed = samples.rollout({"canaryService": "gone"}, spec_error="spec.a: Required value")
    assert first_error(observed) == "spec.a: Required value"


def test_missing_objects_are_told_when_the_spec_is_good() -> None:
    error = first_error(samples.rollout({"canaryService": "gone"}))
    assert error is not None
    assert error.endswith('service "gone" not found')
    assert first_error(samples.rollout({})) is None
