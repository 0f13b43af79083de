from __future__ import annotations

from typing import Any

import pytest

from headrace_lab.kubelet_commands import Script
from headrace_lab.kubelet_pods import (
    ContainerState,
    field_value,
    image_name,
    image_tag,
    is_told,
    is_unschedulable,
    named_port,
    phase_of,
    plan_containers,
    pod_status,
    told_states,
)

NOW = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:00:05Z"


def make_pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "pod",
            "namespace": "default",
            "uid": "1",
            "labels": {"app": "shop", "role": 'a "b"'},
        },
        "spec": {"containers": [{"name": "main", "image": "nginx:1"} | (container or {})], **spec},
    }


def status_of(pod: dict[str, Any], state: ContainerState, now: str = NOW) -> dict[str, Any]:
    return pod_status(pod, {"main": state}, address="127.20.0.1", now=now)


def conditions_of(status: dict[str, Any]) -> dict[str, str]:
    return {item["type"]: item["status"] for item in status["conditions"]}


@pytest.mark.parametrize(
    ("image", "name", "tag"),
    [
        ("nginx", "nginx", "latest"),
        ("nginx:1.2", "nginx", "1.2"),
        ("registry:5000/team/sample-app:v2", "sample-app", "v2"),
        ("registry:5000/team/sample-app", "sample-app", "latest"),
        ("team/sample-app:v2@sha256:00ff", "sample-app", "v2"),
    ],
)
def test_takes_image_references_apart(image: str, name: str, tag: str) -> None:
    assert (image_name(image), image_tag(image)) == (name, tag)


def test_runs_only_the_sample_application_with_a_command_as_a_process() -> None:
    command = {"command": ["python", "app.py"]}
    plans = [
        plan_containers(make_pod({"image": image} | extra))[0]
        for image, extra in [
            ("x/sample-app:v1", command),
            ("x/sample-app:v1", {}),
            ("nginx:1", command),
        ]
    ]

    assert [plan.is_process for plan in plans] == [True, False, False]


def test_a_job_pod_with_an_unknown_program_succeeds_at_once() -> None:
    pod = make_pod({"command": ["./migrate"]}, restartPolicy="Never")

    assert plan_containers(pod)[0].script == Script(0.0, 0)


def test_marked_images_cannot_be_pulled_crash_or_never_get_ready() -> None:
    missing, crashing, unready = (
        plan_containers(make_pod({"image": f"nginx:{tag}"}))[0]
        for tag in ("does-not-exist", "crash-loop", "never-ready")
    )

    assert missing.is_pull_failing
    assert crashing.script == Script(0.0, 1)
    assert unready.is_never_ready


def test_delays_and_hooks_are_read_from_the_spec() -> None:
    container = {
        "readinessProbe": {"initialDelaySeconds": 4},
        "lifecycle": {
            "postStart": {"exec": {"command": ["sleep", "1"]}},
            "preStop": {"sleep": {"seconds": 2}},
        },
    }

    plan = plan_containers(make_pod(container))[0]

    assert plan.initial_delay_seconds == 4
    assert plan.post_start_seconds == 1
    assert plan.pre_stop_seconds == 2


def test_a_running_pod_is_ready_when_its_containers_are() -> None:
    pod = make_pod()

    starting = status_of(pod, ContainerState().run(NOW, ready=False))
    ready = status_of(pod, ContainerState().run(NOW, ready=True))

    assert starting["phase"] == ready["phase"] == "Running"
    assert conditions_of(starting)["Ready"] == "False"
    assert conditions_of(ready) == dict.fromkeys(
        ("PodScheduled", "Initialized", "ContainersReady", "Ready"), "True"
    )
    assert ready["podIP"] == "127.20.0.1"
    assert ready["containerStatuses"][0]["state"] == {"running": {"startedAt": NOW}}


def test_a_readiness_gate_holds_back_ready_only() -> None:
    pod = make_pod(readinessGates=[{"conditionType": "example.com/live"}])
    state = ContainerState().run(NOW, ready=True)

    closed = conditions_of(status_of(pod, state))
    pod["status"] = {"conditions": [{"type": "example.com/live", "status": "True"}]}
    opened = conditions_of(status_of(pod, state))

    assert (closed["ContainersReady"], closed["Ready"]) == ("True", "False")
    assert opened["Ready"] == "True"


def test_a_condition_keeps_its_transition_time_while_its_status_stays() -> None:
    pod = make_pod()
    pod["status"] = status_of(pod, ContainerState().run(NOW, ready=False))

    status = status_of(pod, ContainerState().run(NOW, ready=True), LATER)

    times = {item["type"]: item["lastTransitionTime"] for item in status["conditions"]}
    assert times["PodScheduled"] == NOW
    assert times["Ready"] == LATER
    assert status["startTime"] == NOW


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [
        ("Never", 0, "Succeeded"),
        ("Never", 1, "Failed"),
        ("OnFailure", 0, "Succeeded"),
        ("OnFailure", 1, "Running"),
        ("Always", 0, "Running"),
    ],
)
def test_an_end_decides_the_phase_by_the_restart_policy(policy: str, code: int, phase: str) -> None:
    state = ContainerState().run(NOW, ready=True).end(code, LATER)

    assert phase_of(make_pod(restartPolicy=policy), {"main": state}) == phase


def test_a_pod_that_cannot_pull_its_image_stays_pending_and_says_why() -> None:
    status = status_of(make_pod(), ContainerState().wait("ImagePullBackOff"))

    assert status["phase"] == "Pending"
    assert status["containerStatuses"][0]["state"]["waiting"] == {
        "reason": "ImagePullBackOff",
        "message": 'Back-off pulling image "nginx:1"',
    }


def test_a_crash_is_told_with_the_exit_before_and_counted_at_the_restart() -> None:
    crashed = ContainerState().run(NOW, ready=True).end(3, LATER)
    waiting = crashed.wait("CrashLoopBackOff")
    again = waiting.run(LATER, ready=True)

    status = status_of(make_pod(), waiting)["containerStatuses"][0]

    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert (waiting.restarts, again.restarts) == (0, 1)


def test_only_a_second_crash_waits_for_its_restart() -> None:
    first = ContainerState().run(NOW, ready=True).end(1, NOW)
    second = first.run(NOW, ready=True).end(1, NOW)
    running_again = second.run(NOW, ready=True)

    assert [state.is_crashing for state in (first, second, running_again)] == [False, True, False]


@pytest.mark.parametrize(
    "state",
    [
        ContainerState(),
        ContainerState().run(NOW, ready=True),
        ContainerState().run(NOW, ready=True).end(1, LATER),
        ContainerState().run(NOW, ready=True).end(1, LATER).wait("CrashLoopBackOff"),
        ContainerState().run(NOW, ready=True).end(1, NOW).run(LATER, ready=False),
    ],
)
def test_a_restarted_stand_in_reads_the_state_back_from_the_status(state: ContainerState) -> None:
    pod = make_pod()
    pod["status"] = status_of(pod, state)

    assert told_states(pod) == {"main": state}


def test_a_status_that_was_told_needs_no_second_patch() -> None:
    pod = make_pod()
    status = status_of(pod, ContainerState().run(NOW, ready=True))
    pod["status"] = {**status, "qosClass": "BestEffort"}
    pod["status"]["conditions"] = [
        {"type": "example.com/live", "status": "True"},
        *({k: v for k, v in item.items() if v is not None} for item in status["conditions"]),
    ]

    assert is_told(pod, status_of(pod, ContainerState().run(NOW, ready=True), LATER))
    assert not is_told(pod, status_of(pod, ContainerState().run(NOW, ready=False), LATER))


def test_downward_api_fields_are_written_as_a_kubelet_writes_them() -> None:
    pod = make_pod(nodeName="node")

    assert field_value(pod, "metadata.labels") == 'app="shop"\nrole="a \\"b\\""'
    assert field_value(pod, "metadata.labels['app']") == "shop"
    assert field_value(pod, "metadata.annotations['none']") == ""
    assert field_value(pod, "metadata.name") == "pod"
    assert field_value(pod, "spec.nodeName") == "node"
    assert field_value(pod, "status.podIP", address="127.20.0.1") == "127.20.0.1"


def test_probe_ports_are_found_by_name_and_number() -> None:
    container = {"ports": [{"name": "http", "containerPort": 8080}]}

    assert [named_port(container, port) for port in ("http", 9000, "9001")] == [8080, 9000, 9001]


def test_a_pod_that_wants_a_labelled_node_is_unschedulable() -> None:
    assert is_unschedulable(make_pod(nodeSelector={"disk": "ssd"}))
    assert not is_unschedulable(make_pod())
