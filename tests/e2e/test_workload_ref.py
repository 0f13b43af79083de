"""A Rollout takes the place of a Deployment, with the real controllers of Deployments."""

from __future__ import annotations

import pytest

from headrace_lab.application import Application
from headrace_lab.kube import Object
from headrace_lab.people import CommandLine, Person
from headrace_lab.recording import DEPLOYMENTS, REPLICA_SETS, ROLLOUTS

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(120),
    pytest.mark.spec("rollout-api 2.3", "cli-and-clients 2.4", "cli-and-clients 2.5"),
]

GENERATION = "rollout.argoproj.io/workload-generation"
NAME = "web"
REPLICAS = 4
DEPLOYMENT: Object = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": NAME},
    "spec": {
        "replicas": REPLICAS,
        "selector": {"matchLabels": {"app": NAME}},
        "template": {
            "metadata": {"labels": {"app": NAME}},
            "spec": {"containers": [{"name": NAME, "image": "headrace/still-app:v1"}]},
        },
    },
}


def rollout(scale_down: str) -> Object:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": REPLICAS,
            "workloadRef": {**reference, "scaleDown": scale_down},
            "strategy": {"canary": {"steps": [{"setWeight": 25}, {"pause": {}}]}},
        },
    }


def pods_of_deployment(application: Application) -> int:
    """How many pods the Deployment has ready: the sum over its own ReplicaSets."""
    return sum(
        item.get("status", {}).get("readyReplicas", 0)
        for item in application.recording.all(REPLICA_SETS)
        if item["metadata"]["ownerReferences"][0]["kind"] == "Deployment"
    )


@pytest.mark.parametrize("mode", ["onsuccess", "progressively"])
def test_a_rollout_takes_the_place_of_a_deployment(
    still_application: Application, person: Person, mode: str
) -> None:
    application = still_application
    application.apply(DEPLOYMENT)
    application.wait(
        lambda: pods_of_deployment(application) == REPLICAS, "the Deployment serves", seconds=20
    )
    application.apply(rollout(mode))
    application.wait_phase("Healthy", name=NAME)
    application.wait(
        lambda: pods_of_deployment(application) == 0, "the Deployment has gone down", seconds=10
    )
    taken = application.get(ROLLOUTS, NAME)
    deployment = application.get(DEPLOYMENTS, NAME)
    assert deployment["spec"]["replicas"] == 0
    assert "template" not in taken["spec"]
    assert "selector" not in taken["spec"]

    def is_observed() -> bool:
        seen = application.rollout(NAME)
        wanted = str(deployment["metadata"]["generation"])
        annotated = seen["metadata"]["annotations"].get(GENERATION)
        return {annotated, seen["status"].get("workloadObservedGeneration")} == {wanted}

    application.wait(is_observed, "the scaling of the Deployment is observed", seconds=5)
    assert application.status(NAME)["readyReplicas"] == REPLICAS

    person.set_image("v2", NAME)
    application.wait_paused(1, name=NAME)
    assert application.get(DEPLOYMENTS, NAME)["spec"]["replicas"] == 0
    person.undo(NAME)
    application.wait_phase("Healthy", name=NAME)
    assert application.status(NAME)["stableRS"] == application.hash_of("v1", NAME)
    person.set_image("v3", NAME)
    application.wait_paused(1, name=NAME)
    person.promote(NAME)
    application.wait_phase("Healthy", name=NAME)
    assert application.status(NAME)["stableRS"] == application.hash_of("v3", NAME)
    assert pods_of_deployment(application) == 0


@pytest.mark.spec("rollout-api 2.3")
def test_what_a_person_does_is_said_of_the_deployment(still_application: Application) -> None:
    application, headrace = still_application, CommandLine(still_application)
    application.apply(DEPLOYMENT)
    application.apply(rollout("never"))
    application.wait_phase("Healthy", name=NAME)
    assert pods_of_deployment(application) == REPLICAS
    said = headrace("set", "image", NAME, f"{NAME}=headrace/still-app:v2")
    assert said == [f'deployment "{NAME}" image updated']
    application.wait_paused(1, name=NAME)
    assert headrace("undo", NAME) == [f"rollout '{NAME}' undo"]
    application.wait_phase("Healthy", name=NAME)
    assert application.get(DEPLOYMENTS, NAME)["spec"]["replicas"] == REPLICAS
