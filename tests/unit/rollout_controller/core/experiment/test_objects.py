"""The objects that an Experiment makes, member by member of experiment 4.1, 4.3 and 5."""

from typing import Any

import pytest

from headrace.kubernetes.hashes import pod_template_hash
from headrace.model.experiment import ExperimentAnalysis
from rollout_controller.core import labels
from rollout_controller.core.experiment import objects, samples
from rollout_controller.core.experiment.observed import Observed

OWNER = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Experiment",
    "name": "exp",
    "uid": "uid-exp",
    "controller": True,
    "blockOwnerDeletion": True,
}
OWN = {labels.EXPERIMENT: "exp", labels.EXPERIMENT_TEMPLATE: "a"}


def made(count: int | None = None, **members: Any) -> dict[str, Any]:
    observed = samples.experiment({"templates": [samples.template(**members)]})
    return objects.replica_set(observed, observed.spec.templates[0], count)


@pytest.mark.spec("experiment 4.1")
def test_a_replica_set_has_no_pods_and_the_hash_everywhere() -> None:
    bare = samples.template()["template"]
    pod_hash = pod_template_hash(bare, None)
    expected = {"app": "a", labels.HASH: pod_hash}
    rs = made()
    assert rs["metadata"] == {
        "name": "exp-a",
        "namespace": "default",
        "labels": expected,
        "annotations": OWN,
        "ownerReferences": [OWNER],
    }
    assert rs["spec"]["replicas"] == 0
    assert rs["spec"]["selector"] == {"matchLabels": expected}
    assert rs["spec"]["template"]["metadata"]["labels"] == expected
    assert rs["spec"]["template"]["spec"] == bare["spec"]
    assert "minReadySeconds" not in rs["spec"]
    assert made(minReadySeconds=7)["spec"]["minReadySeconds"] == 7


@pytest.mark.spec("experiment 4.1")
def test_the_count_of_collisions_is_hashed_as_well() -> None:
    bare = samples.template()["template"]
    assert made(1)["metadata"]["labels"][labels.HASH] == pod_template_hash(bare, 1)


def copied(pod_hash: str) -> dict[str, Any]:
    """Return members of a template copied from a Rollout's ReplicaSet."""
    template = samples.template()["template"]
    own = {**template["metadata"]["labels"], labels.HASH: pod_hash}
    return {
        "template": {**template, "metadata": {"labels": own}},
        "selector": {"matchLabels": own},
    }


@pytest.mark.spec("experiment 4.1")
def test_a_hash_that_a_template_brings_is_no_part_of_its_own() -> None:
    bare = samples.template()["template"]
    assert made(**copied("rollout"))["metadata"]["labels"][labels.HASH] == pod_template_hash(bare)


@pytest.mark.spec("experiment 10.1")
@pytest.mark.spec("experiment 10.2")
@pytest.mark.parametrize("pod_hash", ["rollout", pod_template_hash(samples.template()["template"])])
def test_the_hash_of_a_rollout_is_replaced_by_another(pod_hash: str) -> None:
    rs = made(**copied(pod_hash))
    own = rs["metadata"]["labels"][labels.HASH]
    assert own != pod_hash
    assert rs["spec"]["selector"]["matchLabels"][labels.HASH] == own
    assert rs["spec"]["template"]["metadata"]["labels"][labels.HASH] == own


@pytest.mark.spec("experiment 10.1")
def test_the_hash_is_not_the_next_one_of_the_rollout_either() -> None:
    bare = samples.template()["template"]
    taken = {pod_template_hash(bare, count) for count in (None, *range(1, 9))}
    own = made(**copied(pod_template_hash(bare)))["metadata"]["labels"][labels.HASH]
    assert own not in taken


@pytest.mark.spec("experiment 10.3")
def test_a_name_may_be_of_any_length() -> None:
    assert made(name="x" * 70)["metadata"]["name"] == "exp-" + "x" * 70


def service(*ports: dict[str, Any], **members: Any) -> dict[str, Any] | None:
    template = samples.template(service=members)
    template["template"]["spec"]["containers"] = [
        {"name": "app", "image": "app", "ports": ports},
        {"name": "side", "image": "side"},
    ]
    observed = samples.experiment({"templates": [template]})
    manifest = {**samples.replica_set().manifest, "spec": template}
    rs = samples.replica_set(manifest=manifest)
    return objects.service(observed, observed.spec.templates[0], rs)


@pytest.mark.spec("experiment 4.3")
def test_a_service_has_every_declared_port_and_selects_all_labels() -> None:
    found = service({"name": "http", "containerPort": 80, "protocol": "TCP"}, {"containerPort": 90})
    assert found == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "exp-a",
            "namespace": "default",
            "annotations": OWN,
            "ownerReferences": [OWNER],
        },
        "spec": {
            "selector": {"app": "a", labels.HASH: "hash-a"},
            "ports": [
                {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 80},
                {"port": 90, "targetPort": 90},
            ],
        },
    }


@pytest.mark.spec("experiment 4.3")
def test_a_service_may_have_a_name_of_its_own_and_needs_a_port() -> None:
    named = service({"containerPort": 80}, name="mine")
    assert named is not None
    assert named["metadata"]["name"] == "mine"
    assert service() is None


@pytest.mark.spec("experiment 5")
@pytest.mark.parametrize("instance", [None, "blue"])
def test_a_run_has_the_metadata_of_the_spec_and_no_hash(instance: str | None) -> None:
    own = {labels.INSTANCE_ID: instance} if instance else {}
    spec = {"analysisRunMetadata": {"labels": {"team": "a"}, "annotations": {"why": "b"}}}
    observed: Observed = samples.experiment(spec, labels={"other": "x", **own}, key="default/app")
    analysis = ExperimentAnalysis(name="x", template_name="t")
    run = objects.run(observed, analysis, {"metrics": []}, "x.1")
    assert run["metadata"] == {
        "name": "exp-x",
        "namespace": "default",
        "labels": {**own, "team": "a"},
        "annotations": {"why": "b", labels.CAUSE: "x.1", "headrace.io/key": "default/app"},
        "ownerReferences": [OWNER],
    }
    assert run["spec"] == {"metrics": []}
