"""The examples tell the story that the demos and the end-to-end tests rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace_lab.kubelet_pods import plan_containers

EXAMPLES = Path(__file__).parents[3] / "examples"
STORY = [
    {"setWeight": 10},
    {"setCanaryScale": {"weight": 25}},
    {"pause": {}},
    {"setWeight": 33},
    {"setCanaryScale": {"weight": 50}},
    {"pause": {}},
]


def load(example: str, file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLES / example / file).read_text()))


def canary_of(example: str) -> dict[str, Any]:
    (rollout,) = load(example, "rollout.yaml")
    canary: dict[str, Any] = rollout["spec"]["strategy"]["canary"]
    return canary


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


@pytest.mark.parametrize("example", ["canary-manual-approval", "canary-with-metrics"])
def test_both_examples_are_the_same_application(example: str) -> None:
    (rollout,) = load(example, "rollout.yaml")
    services = {item["metadata"]["name"] for item in load(example, "services.yaml")}
    canary = rollout["spec"]["strategy"]["canary"]
    (container,) = rollout["spec"]["template"]["spec"]["containers"]

    assert rollout["metadata"]["name"] == container["name"] == "sample-app"
    assert rollout["spec"]["replicas"] == 4
    assert services == {
        canary["stableService"],
        canary["canaryService"],
        canary["trafficRouting"]["smi"]["rootService"],
    }
    assert plan_containers({"spec": rollout["spec"]["template"]["spec"]})[0].is_process


def test_blue_green_is_the_same_application_with_two_services() -> None:
    (rollout,) = load("blue-green", "rollout.yaml")
    (canary,) = load("canary-manual-approval", "rollout.yaml")
    services = {item["metadata"]["name"] for item in load("blue-green", "services.yaml")}
    strategy = rollout["spec"]["strategy"]["blueGreen"]

    assert rollout["spec"]["template"] == canary["spec"]["template"]
    assert services == {strategy["activeService"], strategy["previewService"]}


def test_the_names_are_those_of_the_story() -> None:
    canary = canary_of("canary-manual-approval")

    assert canary["stableService"] == "rollout-canary-active"
    assert canary["canaryService"] == "rollout-canary-preview"
    assert canary["trafficRouting"]["smi"] == {
        "rootService": "rollout-canary-all-traffic",
        "trafficSplitName": "rollout-example-traffic-split",
    }


def test_the_steps_are_the_same_but_for_the_pauses() -> None:
    timed = canary_of("canary-with-metrics")["steps"]

    assert canary_of("canary-manual-approval")["steps"] == STORY
    assert [{"pause": {}} if "pause" in step else step for step in timed] == STORY


def test_each_pause_has_room_for_three_measurements() -> None:
    steps = canary_of("canary-with-metrics")["steps"]
    (template,) = load("canary-with-metrics", "analysis-template.yaml")
    (metric,) = template["spec"]["metrics"]

    needed = seconds(metric["initialDelay"]) + 2 * seconds(metric["interval"])

    for step in steps:
        if "pause" in step:
            assert seconds(step["pause"]["duration"]) > needed


def test_the_analysis_judges_the_canary_alone_and_only_fresh_responses() -> None:
    (template,) = load("canary-with-metrics", "analysis-template.yaml")
    (metric,) = template["spec"]["metrics"]
    analysis = canary_of("canary-with-metrics")["analysis"]
    query = metric["provider"]["prometheus"]["query"]

    assert analysis["startingStep"] == 4
    assert analysis["templates"] == [{"templateName": template["metadata"]["name"]}]
    assert {argument["name"] for argument in analysis["args"]} <= {
        argument["name"] for argument in template["spec"]["args"]
    }
    assert metric["successCondition"] == "result[0] >= 0.95"
    assert query.count('role="canary"') == query.count("[5s]") == 2
    assert seconds(metric["initialDelay"]) > 5


def test_the_canarys_pods_are_labelled_and_lose_the_label_when_promoted() -> None:
    canary = canary_of("canary-with-metrics")

    assert canary["canaryMetadata"] == {"labels": {"role": "canary"}}
    assert canary["stableMetadata"] == {"labels": {"role": "stable"}}
