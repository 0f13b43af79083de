from __future__ import annotations

from typing import Any

import pytest

from headrace.kubernetes.defaults import pull_policy, with_defaults

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.19", "IfNotPresent"),
        ("localhost/nginx", "Always"),
        ("example.com:5000/team/nginx", "Always"),
        ("example.com:5000/team/nginx:v1", "IfNotPresent"),
        (f"nginx@{DIGEST}", "IfNotPresent"),
        (f"nginx:latest@{DIGEST}", "Always"),
        ("nginx@sha256:0123", "IfNotPresent"),
        ("Nginx", "IfNotPresent"),
        ("example.com/Team/nginx", "IfNotPresent"),
        ("EXAMPLE.com/nginx", "Always"),
        ("a" * 64, "IfNotPresent"),
        ("a" * 256, "IfNotPresent"),
        ("", "IfNotPresent"),
        ("{{args.image}}", "IfNotPresent"),
    ],
)
def test_pull_policy(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_a_pod_gets_its_defaults() -> None:
    assert with_defaults({"spec": {"containers": [{"name": "a", "image": "b:v1"}]}}) == {
        "metadata": {},
        "spec": {
            "containers": [
                {
                    "name": "a",
                    "image": "b:v1",
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "imagePullPolicy": "IfNotPresent",
                }
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "securityContext": {},
            "schedulerName": "default-scheduler",
        },
    }


def test_what_is_set_stays() -> None:
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "dnsPolicy": "None",
        "securityContext": {"runAsUser": 0},
        "schedulerName": "own",
    }
    view = with_defaults({"spec": spec})["spec"]
    assert {key: view[key] for key in spec} == spec


def test_both_names_of_a_service_account_are_one() -> None:
    for given in ({"serviceAccount": "a"}, {"serviceAccountName": "a", "serviceAccount": "b"}):
        spec = with_defaults({"spec": given})["spec"]
        assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("a", "a")


def test_resources_are_rounded_up_to_milli() -> None:
    container = {"name": "a", "resources": {"limits": {"cpu": "1u", "memory": "1Gi"}}}
    view = with_defaults({"spec": {"containers": [container]}})
    assert view["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1m", "memory": "1Gi"}


def test_a_volume_without_source_is_an_empty_folder() -> None:
    spec = with_defaults({"spec": {"volumes": [{"name": "a"}]}})["spec"]
    assert spec["volumes"] == [{"name": "a", "emptyDir": {}}]


def test_the_template_itself_stays_as_it_was() -> None:
    template = {"spec": {"containers": [{"name": "a"}], "volumes": [{"name": "v"}]}}
    with_defaults(template)
    assert template == {"spec": {"containers": [{"name": "a"}], "volumes": [{"name": "v"}]}}
