"""Fields that a kind does not have."""

from typing import Any

import pytest

from headrace.model.strict import mistyped_field, unknown_field

pytestmark = pytest.mark.spec("cli-and-clients 5")


def rollout(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": spec}


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        (rollout(replicas=1), None),
        (rollout(replica=1), "replica"),
        (rollout(zulu=1, alpha=1), "alpha"),
        (rollout(strategy={"canary": {"steps": [{}, {"weight": 1}]}}), "weight"),
        (rollout(template={"spec": {"containers": [{"img": "x"}]}}), "img"),
        (rollout(template={"spec": {"volumes": [{"name": "a", "emptyDirs": {}}]}}), "emptyDirs"),
        (rollout(template={"spec": {"volumes": [{"emptyDir": {"size": 1}}]}}), "size"),
        (rollout(template={"spec": {"volumes": [{"emptyDir": {"sizeLimit": 1}}]}}), None),
        (rollout(template={"spec": {"volumes": "all"}}), None),
        (rollout(template={"spec": {"nodeSelector": {"any": "x"}}}), None),
        (
            rollout(strategy={"canary": {"trafficRouting": {"plugins": {"a/b": {"any": 1}}}}}),
            None,
        ),
        (rollout(strategy={"canary": {"maxSurge": "25%"}}), None),
        ({"metadata": {"name": "a", "labels": {"any": "x"}}}, None),
        ({"metadata": {"title": "a"}}, "title"),
        ({"extra": 1}, "extra"),
    ],
)
def test_the_first_unknown_field_is_named(manifest: dict[str, Any], name: str | None) -> None:
    assert unknown_field("Rollout", manifest) == name


def steps(*steps: Any) -> dict[str, Any]:
    return rollout(strategy={"canary": {"steps": list(steps)}})


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (rollout(replicas=3, paused=None), None),
        (rollout(replicas=3.0), None),
        (rollout(replicas="3"), "string into spec.replicas of type integer"),
        (rollout(replicas=1.5), "number into spec.replicas of type integer"),
        (rollout(paused="yes"), "string into spec.paused of type boolean"),
        (rollout(replicas=True), "boolean into spec.replicas of type integer"),
        (
            steps({"setWeight": 1}, {"setWeight": "10"}),
            "string into spec.strategy.canary.steps[1].setWeight of type integer",
        ),
        (steps({"pause": {"duration": "10s"}}, {"pause": {"duration": 10}}), None),
        (
            steps({"pause": {"duration": True}}),
            "boolean into spec.strategy.canary.steps[0].pause.duration of type int-or-string",
        ),
        (
            rollout(template={"metadata": {"labels": {"a": "b", "v": 1}}}),
            "number into spec.template.metadata.labels.v of type string",
        ),
        (rollout(template=[]), "array into spec.template of type object"),
        (rollout(strategy={"canary": {"trafficRouting": {"plugins": {"a/b": 1}}}}), None),
        ({"metadata": {"name": 3}}, "number into metadata.name of type string"),
        ({"metadata": {"labels": {"v": 1.5}}}, "number into metadata.labels.v of type string"),
    ],
)
def test_the_first_value_of_another_type_is_named(
    manifest: dict[str, Any], text: str | None
) -> None:
    assert mistyped_field("Rollout", manifest) == text
