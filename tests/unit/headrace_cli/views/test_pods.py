from typing import Any

import pytest

from headrace_cli.views import icons
from headrace_cli.views.pods import PodState, pod_state


def status(ready: bool = False, restarts: int = 0, name: str = "main", **state: Any) -> Any:
    return {"name": name, "ready": ready, "restartCount": restarts, "state": state}


def pod(
    phase: str, *containers: Any, init: Any = (), metadata: Any = None, **more: Any
) -> dict[str, Any]:
    return {
        "metadata": metadata or {},
        "spec": {
            "containers": [{"name": each["name"]} for each in containers] or [{"name": "main"}],
            "initContainers": [{"name": each["name"], **each.get("spec", {})} for each in init],
        },
        "status": {
            "phase": phase,
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init),
            **more,
        },
    }


RUNNING = status(True, running={})


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (pod("Running", RUNNING), PodState("Running", 1, 1, 0)),
        (pod("Running", status(True, 3, running={})), PodState("Running", 1, 1, 3)),
        (pod("Pending"), PodState("Pending", 0, 1, 0)),
        (
            pod("Pending", status(waiting={"reason": "ImagePullBackOff"})),
            PodState("ImagePullBackOff", 0, 1, 0),
        ),
        (
            pod("Running", status(False, 4, waiting={"reason": "CrashLoopBackOff"}), RUNNING),
            PodState("CrashLoopBackOff", 1, 2, 4),
        ),
        (
            pod("Failed", status(terminated={"exitCode": 3})),
            PodState("ExitCode:3", 0, 1, 0),
        ),
        (
            pod("Failed", status(terminated={"signal": 9, "exitCode": 137})),
            PodState("Signal:9", 0, 1, 0),
        ),
        (
            pod("Failed", status(terminated={"reason": "OOMKilled"})),
            PodState("OOMKilled", 0, 1, 0),
        ),
        (
            pod("Running", status(terminated={"reason": "Completed"}), RUNNING),
            PodState("Running", 1, 2, 0),
        ),
        (pod("Failed", reason="Evicted"), PodState("Evicted", 0, 1, 0)),
        (
            pod("Pending", init=[status(name="a", terminated={"exitCode": 0}), status(name="b")]),
            PodState("Init:1/2", 0, 1, 0),
        ),
        (
            pod(
                "Pending", init=[status(restarts=2, terminated={"exitCode": 1, "reason": "Error"})]
            ),
            PodState("Init:Error", 0, 1, 2),
        ),
        (
            pod("Pending", init=[status(waiting={"reason": "ErrImagePull"})]),
            PodState("Init:ErrImagePull", 0, 1, 0),
        ),
        (
            pod("Pending", init=[status(waiting={"reason": "PodInitializing"})]),
            PodState("Init:0/1", 0, 1, 0),
        ),
        (
            pod(
                "Running",
                RUNNING,
                init=[{**status(running={}), "started": True, "spec": {"restartPolicy": "Always"}}],
            ),
            PodState("Running", 1, 1, 0),
        ),
        (
            pod("Running", RUNNING, metadata={"deletionTimestamp": "now"}),
            PodState("Terminating", 1, 1, 0),
        ),
        (
            pod("Running", metadata={"deletionTimestamp": "now"}, reason="NodeLost"),
            PodState("Unknown", 0, 1, 0),
        ),
    ],
)
def test_says_of_a_pod_what_kubectl_says(manifest: dict[str, Any], expected: PodState) -> None:
    assert pod_state(manifest) == expected


def test_restarts_are_told_when_there_are_any() -> None:
    assert PodState("Running", 1, 2, 0).info == "ready:1/2"
    assert PodState("Running", 1, 2, 5).info == "ready:1/2,restarts:5"


@pytest.mark.parametrize(
    ("reason", "icon"),
    [
        ("Running", "✔"),
        ("Completed", "✔"),
        ("Pending", "◌"),
        ("ContainerCreating", "◌"),
        ("Terminating", "◌"),
        ("Init:0/1", "◌"),
        ("Init:Error", "◌"),
        ("ErrImagePull", "⚠"),
        ("CreateContainerConfigError", "⚠"),
        ("ImagePullBackOff", "⚠"),
        ("CrashLoopBackOff", "✖"),
        ("ExitCode:1", "✖"),
        ("Signal:9", "✖"),
        ("Unknown", "?"),
        ("SomethingNew", " "),
    ],
)
def test_a_reason_has_a_sign(reason: str, icon: str) -> None:
    assert icons.of_pod(reason) == icon
