"""Pod templates as a ReplicaSet admits them (rollout-api 4.1, rule 7)."""

from typing import Any

import pytest

from headrace.model.meta import LabelSelector
from rollout_controller.core.validation import pod_template

pytestmark = pytest.mark.spec("rollout-api 4.1")

SELECTOR = LabelSelector(match_labels={"app": "x"})
CONTAINER = {"name": "c", "image": "i"}


def errors(spec: dict[str, Any], **metadata: Any) -> list[str]:
    template = {
        "metadata": {"labels": {"app": "x"}, **metadata},
        "spec": {"containers": [CONTAINER], **spec},
    }
    return list(pod_template.errors(template, SELECTOR, "t"))


def test_admits_what_people_write() -> None:
    container = {
        **CONTAINER,
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [
            {"name": "A", "value": "1"},
            {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": 1, "memory": "1Gi"}},
        "readinessProbe": {"httpGet": {"port": "http"}, "successThreshold": 2},
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "e", "mountPath": "/e"}],
    }
    spec = {
        "containers": [container],
        "initContainers": [{"name": "i", "image": "i"}],
        "volumes": [{"name": "v", "configMap": {"name": "m"}}, {"name": "e"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "serviceAccountName": "robot",
        "dnsPolicy": "None",
        "terminationGracePeriodSeconds": 0,
    }
    assert errors(spec, annotations={"prometheus.io/scrape": "true"}) == []


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"dnsPolicy": "Foo"}, 't.spec.dnsPolicy: Unsupported value: "Foo": supported values: '),
        ({"nodeSelector": {"a b": ""}}, 't.spec.nodeSelector: Invalid value: "a b": name part '),
        ({"serviceAccountName": "A"}, 't.spec.serviceAccountName: Invalid value: "A": a lower'),
        ({"hostname": "a.b"}, 't.spec.hostname: Invalid value: "a.b": a lowercase RFC 1123 label'),
        ({"activeDeadlineSeconds": 1}, "t.spec.activeDeadlineSeconds: Forbidden: "),
        ({"ephemeralContainers": [CONTAINER]}, "t.spec.ephemeralContainers: Forbidden: "),
        ({"volumes": [{"emptyDir": {}}]}, "t.spec.volumes[0].name: Required value"),
        ({"volumes": [{"name": "A"}]}, 't.spec.volumes[0].name: Invalid value: "A": a lowercase'),
        (
            {"volumes": [{"name": "a"}, {"name": "a"}]},
            't.spec.volumes[1].name: Duplicate value: "a"',
        ),
        (
            {"volumes": [{"name": "a", "hostPath": {"path": "/"}, "emptyDir": {}}]},
            "t.spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        ),
    ],
)
def test_says_what_is_wrong_with_the_pod(spec: dict[str, Any], wanted: str) -> None:
    (error,) = errors(spec)
    assert error.startswith(wanted)


def test_an_unknown_restart_policy_is_neither_known_nor_always() -> None:
    assert errors({"restartPolicy": "Foo"}) == [
        't.spec.restartPolicy: Unsupported value: "Foo": '
        'supported values: "Always", "Never", "OnFailure"',
        't.spec.restartPolicy: Unsupported value: "Foo": supported values: "Always"',
    ]


def test_checks_labels_and_annotations() -> None:
    labels, annotations = errors({}, labels={"app": "x", "a": "b c"}, annotations={"a b": "c"})
    assert labels.startswith('t.labels: Invalid value: "b c": a valid label must be')
    assert annotations.startswith('t.annotations: Invalid value: "a b": name part must')


def test_no_selector_matches_nothing() -> None:
    template = {"metadata": None, "spec": {"containers": [CONTAINER]}}
    assert list(pod_template.errors(template, None, "t")) == [
        "t.metadata.labels: Invalid value: null: `selector` does not match template `labels`"
    ]


def test_a_template_that_cannot_be_read_is_an_error() -> None:
    (error,) = errors({"containers": "none"})
    assert error.startswith("t: Internal error: ")
