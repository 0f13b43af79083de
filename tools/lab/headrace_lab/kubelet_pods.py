"""What a pod asks for and what its status says: pure functions over Pod objects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from headrace_lab.kube import Object
from headrace_lab.kubelet_commands import Script, parse_command, sleep_seconds

SAMPLE_APP = "sample-app"
MISSING_IMAGE_MARK = "does-not-exist"
CRASHING_IMAGE_MARK = "crash-loop"
UNREADY_IMAGE_MARK = "never-ready"

_CONDITION_TYPES = ("PodScheduled", "Initialized", "ContainersReady", "Ready")


@dataclass(frozen=True, slots=True)
class ContainerPlan:
    """How the stand-in plays one container."""

    name: str
    image: str
    is_pull_failing: bool
    is_never_ready: bool
    is_process: bool
    script: Script | None
    initial_delay_seconds: float
    post_start_seconds: float
    pre_stop_seconds: float


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of one run of a container."""

    code: int
    started_at: str
    finished_at: str


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Where one container stands; `waiting` holds the reason while it does not run."""

    waiting: str = "ContainerCreating"
    started_at: str = ""
    exit: Exit | None = None
    last_exit: Exit | None = None
    restarts: int = 0
    is_ready: bool = False

    def wait(self, reason: str) -> ContainerState:
        """The container does not run, for a reason."""
        return replace(
            self, waiting=reason, started_at="", exit=None, is_ready=False, last_exit=self.ended
        )

    def run(self, now: str, *, ready: bool) -> ContainerState:
        """The container was started."""
        restarts = self.restarts + (1 if self.ended is not None else 0)
        return ContainerState(
            waiting="", started_at=now, last_exit=self.ended, restarts=restarts, is_ready=ready
        )

    def answer(self, *, ready: bool) -> ContainerState:
        """The running container became ready, or is no longer."""
        return replace(self, is_ready=ready)

    def end(self, code: int, now: str) -> ContainerState:
        """The container ended."""
        end = Exit(code, self.started_at or now, now)
        return replace(self, waiting="", started_at="", exit=end, is_ready=False)

    def is_over(self, restart_policy: str) -> bool:
        """Whether the container ended and is not started again."""
        if self.exit is None:
            return False
        return restart_policy == "Never" or (restart_policy == "OnFailure" and not self.exit.code)

    @property
    def is_crashing(self) -> bool:
        """Whether it ended more than once: the first restart is immediate, the next wait."""
        return not self.started_at and self.ended is not None and self.restarts > 0

    @property
    def ended(self) -> Exit | None:
        """The latest end, of this run or of the run before."""
        return self.exit if self.exit is not None else self.last_exit


def plan_containers(pod: Object) -> list[ContainerPlan]:
    """How to play each container of a pod."""
    policy = pod["spec"].get("restartPolicy", "Always")
    return [_plan_container(container, policy) for container in pod["spec"]["containers"]]


def is_unschedulable(pod: Object) -> bool:
    """Whether the pod wants a labelled node: the lab's only one has no labels."""
    return bool(pod["spec"].get("nodeSelector"))


def init_seconds(pod: Object) -> float:
    """How long the init containers take together."""
    scripts = (
        parse_command([*container.get("command", []), *container.get("args", [])])
        for container in pod["spec"].get("initContainers", [])
    )
    return sum(script.seconds for script in scripts if script is not None)


def image_tag(image: str) -> str:
    """The tag of an image reference, `latest` if it names none."""
    match = re.fullmatch(r".*?/?[^/:@]+(?::([^/@]+))?(?:@.*)?", image)
    return (match[1] if match else None) or "latest"


def image_name(image: str) -> str:
    """The last part of an image's repository."""
    return re.split(r"[:@]", image.rpartition("/")[2])[0]


def phase_of(pod: Object, states: Mapping[str, ContainerState]) -> str:
    """The pod's phase: Pending until all containers were started once, then how they end."""
    exits = [state.exit for state in states.values()]
    policy = pod["spec"].get("restartPolicy", "Always")
    if all(state.is_over(policy) for state in states.values()):
        is_failed = any(end is not None and end.code for end in exits)
        return "Failed" if is_failed else "Succeeded"
    has_started = all(
        state.started_at or state.ended or state.restarts for state in states.values()
    )
    return "Running" if has_started else "Pending"


def pod_status(
    pod: Object, states: Mapping[str, ContainerState], *, address: str, now: str
) -> Object:
    """The status of a bound pod, for a strategic merge patch: conditions are merged by type."""
    phase = phase_of(pod, states)
    status: Object = {
        "phase": phase,
        "hostIP": "127.0.0.1",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": pod.get("status", {}).get("startTime", now),
        "conditions": _conditions(pod, states, phase, now),
        "containerStatuses": [
            _container_status(container, states[container["name"]], pod["metadata"]["uid"])
            for container in pod["spec"]["containers"]
        ],
    }
    if inits := pod["spec"].get("initContainers"):
        done = ContainerState().run(now, ready=True).end(0, now)
        status["initContainerStatuses"] = [
            _container_status(container, done, pod["metadata"]["uid"]) | {"ready": True}
            for container in inits
        ]
    return status


def unschedulable_status(pod: Object, now: str) -> Object:
    """The status of a pod that no node takes."""
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
        "lastTransitionTime": _transition_time(pod, "PodScheduled", "False", now),
    }
    return {"phase": "Pending", "conditions": [condition]}


def told_states(pod: Object) -> dict[str, ContainerState]:
    """The states that a pod's status tells; a new pod's containers are being created."""
    states = {item["name"]: ContainerState() for item in pod["spec"]["containers"]}
    for status in pod.get("status", {}).get("containerStatuses", []):
        states[status["name"]] = _told_state(status)
    return states


def is_told(pod: Object, status: Object) -> bool:
    """Whether the pod's status says all of this already, so that it need not be written."""
    return _covers(pod.get("status", {}), status)


def field_value(pod: Object, path: str, *, address: str = "") -> str:
    """The value of a downward-API `fieldPath`; maps are written as lines of `key="value"`."""
    metadata = pod["metadata"]
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
        return str(metadata.get(match[1], {}).get(match[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        return _map_lines(metadata.get(path.removeprefix("metadata."), {}))
    if path in ("status.podIP", "status.podIPs"):
        return address
    if path in ("status.hostIP", "status.hostIPs"):
        return "127.0.0.1"
    value: object = pod
    for name in path.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    return str(value)


def first_port(container: Object) -> int | None:
    """The first port of a container, None if it has none."""
    ports = container.get("ports", [])
    return int(ports[0]["containerPort"]) if ports else None


def named_port(container: Object, port: int | str) -> int:
    """A port of a probe or Service, by number or by the name of a container's port."""
    if isinstance(port, int):
        return port
    for candidate in container.get("ports", []):
        if candidate.get("name") == port:
            return int(candidate["containerPort"])
    return int(port) if port.isdigit() else 0


def _plan_container(container: Object, restart_policy: str) -> ContainerPlan:
    image = container["image"]
    argv = [*container.get("command", []), *container.get("args", [])]
    is_process = image_name(image).endswith(SAMPLE_APP) and bool(argv)
    script = parse_command(argv)
    if CRASHING_IMAGE_MARK in image:
        script = Script(0.0, 1)
    elif script is None and restart_policy != "Always":
        script = Script(0.0, 0)
    lifecycle = container.get("lifecycle", {})
    return ContainerPlan(
        name=container["name"],
        image=image,
        is_pull_failing=MISSING_IMAGE_MARK in image,
        is_never_ready=UNREADY_IMAGE_MARK in image,
        is_process=is_process,
        script=None if is_process else script,
        initial_delay_seconds=float(
            container.get("readinessProbe", {}).get("initialDelaySeconds", 0)
        ),
        post_start_seconds=sleep_seconds(lifecycle.get("postStart", {})),
        pre_stop_seconds=sleep_seconds(lifecycle.get("preStop", {})),
    )


def _conditions(
    pod: Object, states: Mapping[str, ContainerState], phase: str, now: str
) -> list[Object]:
    are_containers_ready = all(state.is_ready for state in states.values())
    present = _condition_statuses(pod)
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
    are_gates_open = all(present.get(gate) == "True" for gate in gates)
    is_over = phase in ("Succeeded", "Failed")
    values = {
        "PodScheduled": (True, ""),
        "Initialized": (True, "PodCompleted" if phase == "Succeeded" else ""),
        "ContainersReady": (are_containers_ready, "ContainersNotReady"),
        "Ready": (
            are_containers_ready and are_gates_open,
            "ReadinessGatesNotReady" if are_containers_ready else "ContainersNotReady",
        ),
    }
    conditions = []
    for kind in _CONDITION_TYPES:
        value, reason = values[kind]
        if not value and is_over:
            reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        status = "True" if value else "False"
        conditions.append(
            {
                "type": kind,
                "status": status,
                "reason": None if value and kind != "Initialized" else reason or None,
                "lastTransitionTime": _transition_time(pod, kind, status, now),
            }
        )
    return conditions


def _condition_statuses(pod: Object) -> dict[str, str]:
    return {item["type"]: item["status"] for item in pod.get("status", {}).get("conditions", [])}


def _transition_time(pod: Object, kind: str, status: str, now: str) -> str:
    for item in pod.get("status", {}).get("conditions", []):
        if item["type"] == kind and item["status"] == status and item.get("lastTransitionTime"):
            return str(item["lastTransitionTime"])
    return now


def _container_status(container: Object, state: ContainerState, uid: str) -> Object:
    has_run = bool(state.started_at or state.ended)
    last = {"terminated": _terminated(state.last_exit)} if state.last_exit else {}
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": f"lab://{container['image']}" if has_run else "",
        "containerID": f"lab://{uid}/{container['name']}/{state.restarts}" if has_run else "",
        "ready": state.is_ready,
        "started": bool(state.started_at),
        "restartCount": state.restarts,
        "state": _current_state(container, state),
        "lastState": last,
    }


def _told_state(status: Object) -> ContainerState:
    last = status.get("lastState", {}).get("terminated")
    state = ContainerState(
        last_exit=_exit(last) if last else None,
        restarts=status.get("restartCount", 0),
        is_ready=status.get("ready", False),
    )
    match status.get("state", {}):
        case {"running": running}:
            return replace(state, waiting="", started_at=running["startedAt"])
        case {"terminated": terminated}:
            return replace(state, waiting="", exit=_exit(terminated))
        case {"waiting": waiting}:
            return replace(state, waiting=waiting.get("reason", ""))
    return state


def _exit(terminated: Object) -> Exit:
    return Exit(
        terminated["exitCode"], terminated.get("startedAt", ""), terminated.get("finishedAt", "")
    )


def _covers(actual: object, wanted: object) -> bool:
    match actual, wanted:
        case dict(), dict():
            return all(
                _covers(actual.get(key), value)
                for key, value in wanted.items()
                if value is not None or key in actual
            )
        case list(), list():
            actual, wanted = _by_type(actual), _by_type(wanted)
            return actual.keys() >= wanted.keys() and all(
                _covers(actual[key], value) for key, value in wanted.items()
            )
    return actual == wanted


def _by_type(items: list[Any]) -> dict[object, Any]:
    """The items of a list by what tells them apart: conditions by type, others by position."""
    return {
        item["type"] if isinstance(item, dict) and "type" in item else index: item
        for index, item in enumerate(items)
    }


def _current_state(container: Object, state: ContainerState) -> Object:
    if state.started_at:
        return {"running": {"startedAt": state.started_at}}
    if state.exit is not None:
        return {"terminated": _terminated(state.exit)}
    waiting = {"reason": state.waiting}
    if message := _waiting_message(container, state.waiting):
        waiting["message"] = message
    return {"waiting": waiting}


def _waiting_message(container: Object, reason: str) -> str:
    match reason:
        case "ErrImagePull":
            return f'failed to pull and unpack image "{container["image"]}": not found'
        case "ImagePullBackOff":
            return f'Back-off pulling image "{container["image"]}"'
        case "CrashLoopBackOff":
            return f"back-off restarting failed container {container['name']}"
    return ""


def _terminated(end: Exit) -> Object:
    return {
        "exitCode": end.code,
        "reason": "Error" if end.code else "Completed",
        "startedAt": end.started_at,
        "finishedAt": end.finished_at,
    }


def _map_lines(values: Mapping[str, str]) -> str:
    escaped = (
        (key, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for key, value in sorted(values.items())
    )
    return "\n".join(f'{key}="{value}"' for key, value in escaped)
