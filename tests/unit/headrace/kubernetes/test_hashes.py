from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.kubernetes.hashes import (
    canonical_pod_template,
    dumped_template_hash,
    pod_template_hash,
    step_hash,
)
from headrace.model.steps import CanaryStep

pytestmark = pytest.mark.spec("rollout-api 7.3")

FOLDER = Path(__file__).parents[3] / "vectors"
VECTORS: list[dict[str, Any]] = json.loads((FOLDER / "pod-template-hash.json").read_text("utf-8"))
DUMPED: dict[str, Any] = json.loads((FOLDER / "pod-template-dump-hash.json").read_text("utf-8"))


def steps(*raw: dict[str, Any]) -> list[CanaryStep]:
    return [CanaryStep.load(step) for step in raw]


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["hash"])
def test_pod_templates_hash_as_the_reference_hashes_them(case: dict[str, Any]) -> None:
    assert canonical_pod_template(case["template"]) == case["canonical"]
    assert pod_template_hash(case["template"], case["collisionCount"]) == case["hash"]


def test_pod_templates_hash_as_the_controllers_of_kubernetes_hash_them() -> None:
    hashes = [dumped_template_hash(case["template"]) for case in VECTORS]
    assert hashes == DUMPED["templates"]


@pytest.mark.parametrize(("cpu", "expected"), DUMPED["cpu"], ids=str)
def test_quantities_are_dumped_as_they_are_kept(cpu: Any, expected: str) -> None:
    container = {"name": "a", "resources": {"limits": {"cpu": cpu}}}
    assert dumped_template_hash({"spec": {"containers": [container]}}) == expected


def test_a_collision_count_changes_both_hashes() -> None:
    template = VECTORS[0]["template"]
    assert dumped_template_hash(template, 0) != dumped_template_hash(template)
    assert dumped_template_hash(template, 1) != dumped_template_hash(template, 0)


@pytest.mark.parametrize(
    "metadata",
    [
        {"creationTimestamp": "2026-01-01T00:00:00Z"},
        {"managedFields": [{"fieldsV1": {"f:spec": {}}}]},
    ],
)
def test_what_go_prints_differently_on_each_machine_has_no_such_hash(metadata: Any) -> None:
    with pytest.raises(ValueError, match="has no print of its own"):
        dumped_template_hash({"metadata": metadata})


def test_the_fixtures_of_the_specification() -> None:
    empty = {"metadata": {}, "spec": {"containers": None}}
    assert pod_template_hash(empty) == "658c46c486"
    assert pod_template_hash(empty, 1) == "6746d5bbc"
    container = {
        "name": "container-name",
        "image": "foo/bar",
        "resources": {
            "limits": {"cpu": "2000m", "memory": "8192M"},
            "requests": {"cpu": "150m", "memory": "8192M"},
        },
    }
    template = {"metadata": {"labels": {"foo": "bar"}}, "spec": {"containers": [container]}}
    assert pod_template_hash(template) == "6f496f9f78"


def test_how_a_template_is_written_does_not_matter_to_go() -> None:
    written = {"spec": {"containers": [{"image": "b", "name": "a"}], "nodeName": ""}}
    again = {"metadata": None, "spec": {"containers": [{"name": "a", "image": "b"}], "x": 1}}
    assert pod_template_hash(written) == pod_template_hash(again)


def test_a_field_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="expected string, got int"):
        pod_template_hash({"spec": {"nodeName": 5}})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (steps({"setWeight": 10}, {"pause": {}}), "849b756fd4"),
        (steps({"pause": {}}), "6b9b86fbd5"),
        ([], "5ffbfbbd64"),
        (None, "5ffbfbbd64"),
    ],
)
def test_steps_hash_as_the_reference_hashes_them(
    given: list[CanaryStep] | None, expected: str
) -> None:
    assert step_hash(given) == expected


def test_unknown_fields_are_not_part_of_the_step_hash() -> None:
    assert step_hash(steps({"setWeight": 10, "x": 1})) == step_hash(steps({"setWeight": 10}))


def test_the_order_of_keys_in_the_configuration_of_a_plugin_does_not_matter() -> None:
    one = steps({"plugin": {"name": "a/b", "config": {"x": 1, "a": [{"c": 1, "b": 2}]}}})
    two = steps({"plugin": {"name": "a/b", "config": {"a": [{"b": 2, "c": 1}], "x": 1}}})
    assert step_hash(one) == step_hash(two)
