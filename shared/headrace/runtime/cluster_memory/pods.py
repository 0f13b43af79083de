"""The life of a pod on the memory cluster: what scheduler, kubelet and container runtime do.

A pod is bound at once and becomes Ready after a while, unless its image is told to behave
otherwise. Its status is computed anew from pod, behaviour and time whenever one of them moves,
and written when it differs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from headrace.kubernetes.resources import PODS, Manifest
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace.runtime.cluster_memory.controller import Controller
from headrace.runtime.cluster_memory.objects import Change, Objects, Record, table_key

NODE: Final = "memory-node"
_HOST_IP: Final = "10.255.0.1"

_FINISHED: Final = ("Succeeded", "Failed")
_SLEEP: Final = re.compile(r"\bsleep (\d+(?:\.\d+)?)")
_EXIT: Final = re.compile(r"\bexit (\d+)")


@dataclass(frozen=True, slots=True)
class PodBehaviour:
    """What the pods of an image do.

    Attributes:
        ready_seconds: From start to Ready, >= 0; None when they never become Ready.
        waiting_reason: Why the containers wait, as "ImagePullBackOff" or "CrashLoopBackOff";
            empty when they run.
    """

    ready_seconds: float | None = 1.0
    waiting_reason: str = ""


NEVER_READY: Final = PodBehaviour(ready_seconds=None)
CRASHING: Final = PodBehaviour(ready_seconds=None, waiting_reason="CrashLoopBackOff")
UNPULLABLE: Final = PodBehaviour(ready_seconds=None, waiting_reason="ImagePullBackOff")


def is_active(pod: Record) -> bool:
    """Return whether a pod counts as a replica: neither finished nor being deleted."""
    return not pod.is_terminating and phase(pod) not in _FINISHED


def is_ready(pod: Record) -> bool:
    """Return whether a pod has the condition Ready."""
    return condition(pod, "Ready").get("status") == "True"


def condition(record: Record, kind: str) -> Mapping[str, str]:
    """Return a condition of an object's status, {} without it."""
    conditions = record.manifest.get("status", {}).get("conditions") or ()
    return next((found for found in conditions if found["type"] == kind), {})


class PodLife(Controller):
    """Scheduler, kubelet and containers of all pods.

    Args:
        objects: The cluster's storage.
        behaviour: What pods do whose image is told nothing.
        termination_seconds: From deletion to the pod's end, >= 0.
    """

    def __init__(
        self, objects: Objects, behaviour: PodBehaviour, termination_seconds: float
    ) -> None:
        super().__init__(objects)
        self._default = behaviour
        self._termination_seconds = termination_seconds
        self._images: dict[str, PodBehaviour] = {}
        self._started: dict[str, Instant] = {}
        self._terminating: dict[str, Instant] = {}
        self._addresses = 0

    def behave(self, image: str, behaviour: PodBehaviour) -> None:
        """Let pods with a matching image (a glob) behave so from now on, running ones too."""
        self._images[image] = behaviour
        for pod in self._objects.all(PODS):
            self._agenda.add(pod.uid)

    def _observe(self, change: Change) -> None:
        if table_key(change.record.resource) != table_key(PODS):
            return
        if change.new is not None:
            self._agenda.add(change.new.uid)
        else:
            self._started.pop(change.record.uid, None)
            self._terminating.pop(change.record.uid, None)

    def _sync(self, record: Record, now: Instant) -> None:
        pod = record
        if pod.is_terminating:
            self._terminate(pod, now)
            return
        if phase(pod) in _FINISHED:
            return
        if not pod.manifest["spec"].get("nodeName"):
            spec = {**pod.manifest["spec"], "nodeName": NODE}
            pod = self._objects.update(pod, {**pod.manifest, "spec": spec})
        started = self._started.setdefault(pod.uid, now)
        status = self._runs_to_end(pod, started, now) or self._serves(pod, started, now)
        self._objects.set_status(pod, {**self._address(pod, now), **status})

    def _terminate(self, pod: Record, now: Instant) -> None:
        due = self._terminating.setdefault(pod.uid, Instant(now + self._termination_seconds))
        if now >= due:
            self._objects.end_grace(pod)
        else:
            self._agenda.add_at(due, pod.uid)

    def _address(self, pod: Record, now: Instant) -> dict[str, Any]:
        """Return the pod's status with what it keeps over its life."""
        status = pod.manifest.get("status", {})
        if "podIP" in status:
            return {**status}
        self._addresses += 1
        high, low = divmod(self._addresses, 254)
        address = f"10.{high // 256 % 255}.{high % 256}.{low + 1}"
        return {
            **status,
            "hostIP": _HOST_IP,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": format_time(now),
        }

    def _runs_to_end(self, pod: Record, started: Instant, now: Instant) -> Manifest | None:
        """Return the status of a pod that ends by its own command; None for one that serves.

        Only pods that are not restarted end; their command says when and how:
        `sleep 2; exit 1`.
        """
        if pod.manifest["spec"].get("restartPolicy", "Always") == "Always":
            return None
        if self._behaviour(pod).waiting_reason:
            return None
        seconds, code = _script(pod)
        due = started + seconds
        if now < due:
            self._agenda.add_at(due, pod.uid)
            return _status(pod, "Running", {"running": {"startedAt": format_time(started)}}, now)
        ended = {
            "exitCode": code,
            "reason": "Error" if code else "Completed",
            "startedAt": format_time(started),
            "finishedAt": format_time(now),
        }
        outcome: _Phase = "Failed" if code else "Succeeded"
        return _status(pod, outcome, {"terminated": ended}, now, is_ready=False)

    def _serves(self, pod: Record, started: Instant, now: Instant) -> Manifest:
        """Return the status of a pod that runs for ever, or tries to."""
        behaviour = self._behaviour(pod)
        if behaviour.waiting_reason:
            state = {"waiting": {"reason": behaviour.waiting_reason}}
            is_crashing = behaviour.waiting_reason == "CrashLoopBackOff"
            return _status(pod, "Running" if is_crashing else "Pending", state, now, is_ready=False)
        ready = behaviour.ready_seconds
        due = None if ready is None else started + ready
        if due is not None and now < due:
            self._agenda.add_at(due, pod.uid)
        state = {"running": {"startedAt": format_time(started)}}
        return _status(pod, "Running", state, now, is_ready=due is not None and now >= due)

    def _behaviour(self, pod: Record) -> PodBehaviour:
        images = [container.get("image", "") for container in _containers(pod)]
        for pattern, behaviour in reversed(self._images.items()):
            if any(fnmatchcase(image, pattern) for image in images):
                return behaviour
        return self._default


_Phase = Literal["Pending", "Running", "Succeeded", "Failed"]


def phase(pod: Record) -> str:
    """Return a pod's phase."""
    return str(pod.manifest.get("status", {}).get("phase", ""))


def _containers(pod: Record) -> list[dict[str, Any]]:
    return [*pod.manifest["spec"].get("containers", ())]


def _script(pod: Record) -> tuple[float, int]:
    """Return how long a pod's command runs, in seconds, and its exit code."""
    words = [
        word
        for container in _containers(pod)
        for word in (*container.get("command", ()), *container.get("args", ()))
    ]
    text = " ".join(words)
    sleep, exit_ = _SLEEP.search(text), _EXIT.search(text)
    code = int(exit_[1]) if exit_ else int(text.strip() in ("false", "/bin/false"))
    return float(sleep[1]) if sleep else 0.0, code


def _status(
    pod: Record, phase: _Phase, state: Manifest, now: Instant, *, is_ready: bool = True
) -> Manifest:
    """Return phase, conditions and container statuses of a pod."""
    restarts = 1 if state.get("waiting", {}).get("reason") == "CrashLoopBackOff" else 0
    gates = [gate["conditionType"] for gate in pod.manifest["spec"].get("readinessGates", ())]
    passes_gates = all(condition(pod, gate).get("status") == "True" for gate in gates)
    known = {kind["type"]: kind for kind in pod.manifest.get("status", {}).get("conditions", ())}
    for kind, holds in (
        ("PodScheduled", True),
        ("Initialized", True),
        ("ContainersReady", is_ready),
        ("Ready", is_ready and passes_gates),
    ):
        known[kind] = _moved(known.get(kind), kind, "True" if holds else "False", now)
    return {
        "phase": phase,
        "conditions": [*known.values()],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container.get("image", ""),
                "imageID": "",
                "ready": is_ready,
                "started": "running" in state,
                "restartCount": restarts,
                "state": state,
                "lastState": {},
            }
            for container in _containers(pod)
        ],
    }


def _moved(
    before: Mapping[str, Any] | None, kind: str, status: str, now: Instant
) -> Mapping[str, Any]:
    if before is not None and before["status"] == status:
        return before
    return {"type": kind, "status": status, "lastTransitionTime": format_time(now)}
