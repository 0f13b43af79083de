from __future__ import annotations

import pytest
from pydantic import ValidationError

from headrace.model.analysis import AnalysisRun, AnalysisRunSpec
from headrace.model.experiment import TemplateStatus
from headrace.model.rollout import Rollout, RolloutSpec, Strategy
from headrace.model.rollout_status import RolloutStatus
from headrace.model.steps import CanaryStep


def test_absent_fields_are_not_dumped() -> None:
    assert RolloutStatus().dump() == {}


def test_a_zero_is_dumped_only_where_absent_means_something_else() -> None:
    status = RolloutStatus(current_step_index=0, available_replicas=0, abort=False)
    assert status.dump() == {"currentStepIndex": 0}


def test_wire_names_are_those_of_the_api() -> None:
    status = RolloutStatus(hpa_replicas=2, stable_rs="abc", blue_green={"activeSelector": "x"})
    assert status.dump() == {
        "HPAReplicas": 2,
        "stableRS": "abc",
        "blueGreen": {"activeSelector": "x"},
    }


def test_a_resource_always_says_what_it_is() -> None:
    run = AnalysisRun(spec=AnalysisRunSpec(metrics=()))
    assert run.dump() == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "spec": {"metrics": []},
    }


def test_counters_of_a_template_status_are_always_written() -> None:
    assert TemplateStatus(name="a").dump() == {
        "name": "a",
        "replicas": 0,
        "updatedReplicas": 0,
        "readyReplicas": 0,
        "availableReplicas": 0,
    }


def test_null_is_the_same_as_absent_where_the_field_is_optional() -> None:
    assert CanaryStep.load({"setWeight": None, "pause": {}}).dump() == {"pause": {}}


def test_unknown_fields_are_ignored_outside_raw_json() -> None:
    template = {"spec": {"futureField": [None, {"a": 1}]}}
    rollout = Rollout.load({"spec": {"template": template, "futureField": 1}, "future": 2})
    assert rollout.dump()["spec"] == {"template": template}


def test_what_the_crd_admits_parses_though_it_makes_no_sense() -> None:
    step = CanaryStep.load(
        {"setWeight": -5, "pause": {"duration": "soon"}, "setCanaryScale": {"replicas": -1}}
    )
    assert step.set_weight == -5


def test_models_are_frozen() -> None:
    spec = RolloutSpec()
    with pytest.raises(ValidationError):
        spec.paused = True  # type: ignore[misc]


def test_what_only_users_write_is_required_by_the_server_alone() -> None:
    strategy = Strategy.load({"blueGreen": {"previewService": "p"}})
    assert strategy.blue_green is not None
    assert strategy.blue_green.active_service == ""
