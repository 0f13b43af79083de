"""Fields that a kind does not have."""

from typing import Any

import pytest

from headrace.model.strict import unknown_field

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
