"""Containers of a pod template (rollout-api 4.1, rule 7)."""

from typing import Any

import pytest

from headrace.kubernetes.defaults import with_defaults
from headrace.kubernetes.quantities import parse_quantity
from rollout_controller.core.validation.containers import container_errors, init_container_errors

pytestmark = pytest.mark.spec("rollout-api 4.1")


def view(*containers: dict[str, Any]) -> list[dict[str, Any]]:
    named = [{"name": "c", "image": "i"} | container for container in containers]
    view = with_defaults({"spec": {"containers": named}}, quantity=parse_quantity)
    return list(view["spec"]["containers"])


def errors(*containers: dict[str, Any]) -> list[str]:
    return list(container_errors(view(*containers), "cs", {"v"}))


@pytest.mark.parametrize(
    ("container", "wanted"),
    [
        ({"name": ""}, "cs[0].name: Required value"),
        ({"name": "A"}, 'cs[0].name: Invalid value: "A": a lowercase RFC 1123 label must'),
        ({"image": ""}, "cs[0].image: Required value"),
        (
            {"terminationMessagePolicy": "x"},
            'cs[0].terminationMessagePolicy: Unsupported value: "x": '
            'supported values: "File", "FallbackToLogsOnError"',
        ),
        ({"imagePullPolicy": "x"}, 'cs[0].imagePullPolicy: Unsupported value: "x": supported'),
        ({"ports": [{}]}, "cs[0].ports[0].containerPort: Required value"),
        (
            {"ports": [{"containerPort": 65536}]},
            "cs[0].ports[0].containerPort: Invalid value: 65536: must be between 1 and 65535, "
            "inclusive",
        ),
        (
            {"ports": [{"containerPort": 1, "protocol": "x"}]},
            'cs[0].ports[0].protocol: Unsupported value: "x": supported values: "SCTP", "TCP"',
        ),
        (
            {"ports": [{"containerPort": 1, "name": "a_b"}]},
            'cs[0].ports[0].name: Invalid value: "a_b": must contain only alpha-numeric',
        ),
        (
            {"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]},
            'cs[0].ports[1].name: Duplicate value: "a"',
        ),
        ({"env": [{"value": "1"}]}, "cs[0].env[0].name: Required value"),
        ({"env": [{"name": "a=b"}]}, 'cs[0].env[0].name: Invalid value: "a=b": a valid env'),
        (
            {"env": [{"name": "a", "valueFrom": {}}]},
            'cs[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, ',
        ),
        (
            {"env": [{"name": "a", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
            'cs[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not',
        ),
        (
            {
                "env": [
                    {
                        "name": "a",
                        "valueFrom": {
                            "fieldRef": {"fieldPath": "x"},
                            "secretKeyRef": {"name": "s", "key": "k"},
                        },
                    }
                ]
            },
            'cs[0].env[0].valueFrom: Invalid value: "": may not have more than one field',
        ),
        (
            {"volumeMounts": [{"name": "gone", "mountPath": "/a"}]},
            'cs[0].volumeMounts[0].name: Not found: "gone"',
        ),
        ({"volumeMounts": [{"name": "v"}]}, "cs[0].volumeMounts[0].mountPath: Required value"),
        (
            {"volumeMounts": [{"name": "v", "mountPath": "/a"}] * 2},
            'cs[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
        ),
        (
            {"resources": {"limits": {"cpu": "-1"}}},
            'cs[0].resources.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        ),
        (
            {"resources": {"limits": {"cpu": "500m"}, "requests": {"cpu": 1}}},
            'cs[0].resources.requests: Invalid value: "1": '
            "must be less than or equal to cpu limit of 500m",
        ),
        ({"livenessProbe": {}}, "cs[0].livenessProbe: Required value: must specify a handler type"),
        (
            {"livenessProbe": {"exec": {"command": ["a"]}, "successThreshold": 2}},
            "cs[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            {"readinessProbe": {"exec": {}, "periodSeconds": 1}},
            "cs[0].readinessProbe.exec.command: Required value",
        ),
        (
            {"readinessProbe": {"exec": {"command": ["a"]}, "periodSeconds": -1}},
            "cs[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or",
        ),
        (
            {"startupProbe": {"exec": {"command": ["a"]}, "grpc": {"port": 1}}},
            "cs[0].startupProbe.grpc: Forbidden: may not specify more than 1 handler type",
        ),
        (
            {"lifecycle": {"preStop": {}}},
            "cs[0].lifecycle.preStop: Required value: must specify a handler type",
        ),
    ],
)
def test_says_what_is_wrong_with_a_container(container: dict[str, Any], wanted: str) -> None:
    (error,) = errors(container)
    assert error.startswith(wanted)


def test_there_must_be_a_container() -> None:
    assert errors() == ["cs: Required value"]


def test_names_differ_among_containers() -> None:
    assert errors({}, {}) == ['cs[1].name: Duplicate value: "c"']


def test_names_of_init_containers_differ_from_all_others() -> None:
    found = list(init_container_errors(view({}, {"name": "i"}, {"name": "i"}), "is", set(), {"c"}))
    assert found == [
        'is[0].name: Duplicate value: "c"',
        'is[2].name: Duplicate value: "i"',
    ]


def test_only_a_sidecar_has_probes_among_init_containers() -> None:
    probe = {"readinessProbe": {"exec": {"command": ["a"]}}}
    sidecar = {"name": "s", "restartPolicy": "Always"}
    found = list(init_container_errors(view(probe, sidecar | probe), "is", set(), set()))
    assert found == [
        "is[0].readinessProbe: Forbidden: "
        "may not be set for init containers without restartPolicy=Always"
    ]
