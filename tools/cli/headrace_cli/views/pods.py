"""What kubectl would say of a pod: its reason, ready containers and restarts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.kubernetes.resources import Manifest
from headrace_cli.views.objects import items, section, text


@dataclass(frozen=True, slots=True)
class PodState:
    """One pod.

    Attributes:
        reason: As kubectl's STATUS column.
        ready: Containers that are ready.
        containers: All its containers.
        restarts: Of its containers; of the init containers while these run.
    """

    reason: str
    ready: int
    containers: int
    restarts: int

    @property
    def info(self) -> str:
        """What the tree says beside the status."""
        ready = f"ready:{self.ready}/{self.containers}"
        return f"{ready},restarts:{self.restarts}" if self.restarts else ready


def pod_state(pod: Manifest) -> PodState:
    """Return what is shown of a pod."""
    reason = text(pod, "status", "reason") or text(pod, "status", "phase")
    statuses = items(pod, "status", "containerStatuses")
    initial = _initializing(pod, reason)
    if initial is not None:
        reason, restarts, ready = initial[0], initial[1], 0
    else:
        restarts = sum(int(each.get("restartCount") or 0) for each in statuses)
        ready = sum(1 for each in statuses if _is_running(each))
        reason = _running_reason(statuses, reason, has_running=ready > 0)
    if text(pod, "metadata", "deletionTimestamp"):
        is_lost = text(pod, "status", "reason") == "NodeLost"
        reason = "Unknown" if is_lost else "Terminating"
    return PodState(reason, ready, len(items(pod, "spec", "containers")), restarts)


def _initializing(pod: Manifest, reason: str) -> tuple[str, int] | None:
    """Return reason and restarts of a pod whose init containers are not through."""
    restarts = 0
    sidecars = {
        each.get("name")
        for each in items(pod, "spec", "initContainers")
        if each.get("restartPolicy") == "Always"
    }
    for position, status in enumerate(items(pod, "status", "initContainerStatuses")):
        if status.get("name") in sidecars and status.get("started"):
            continue
        restarts += int(status.get("restartCount") or 0)
        ended, waiting = section(status, "state", "terminated"), section(status, "state", "waiting")
        if ended:
            if not ended.get("exitCode"):
                continue
            return f"Init:{_end_of(ended)}", restarts
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}", restarts
        return f"Init:{position}/{len(items(pod, 'spec', 'initContainers'))}", restarts
    return None


def _running_reason(
    statuses: Sequence[Mapping[str, Any]], reason: str, *, has_running: bool
) -> str:
    for status in reversed(statuses):
        waiting, ended = section(status, "state", "waiting"), section(status, "state", "terminated")
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif ended:
            reason = _end_of(ended)
    return "Running" if reason == "Completed" and has_running else reason


def _end_of(terminated: Mapping[str, Any]) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _is_running(status: Mapping[str, Any]) -> bool:
    return bool(status.get("ready")) and section(status, "state").get("running") is not None
