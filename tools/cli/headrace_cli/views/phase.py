"""Phase and message of a Rollout as every client shows them.

The stored phase is masked while the controller has not seen the newest spec, or has not acted on
a promotion yet: scripts that wait for "Healthy" right after a change would be misled otherwise.

Source: cli-and-clients 3; rollout-api 6 for Rollouts without a stored phase.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from headrace.kubernetes.resources import Manifest
from headrace_cli.views.objects import count, items, section, text

_INTEGER: Final = re.compile(r"[+-]?\d+", re.ASCII)
_DEGRADING_REASONS: Final = ("RolloutAborted", "ProgressDeadlineExceeded")


@dataclass(frozen=True, slots=True)
class Phase:
    """What a Rollout is doing."""

    name: str
    message: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether a watch for the end of the rollout may stop."""
        return self.name in ("Healthy", "Degraded")

    def __str__(self) -> str:
        return f"{self.name} - {self.message}" if self.message else self.name


def phase_of(rollout: Manifest) -> Phase:
    """Return the phase of a Rollout; the first rule that matches."""
    status = section(rollout, "status")
    if not _is_observed(rollout):
        return Phase("Progressing", "waiting for rollout spec update to be observed")
    if status.get("controllerPause") and not status.get("pauseConditions"):
        return Phase("Progressing", "waiting for rollout to unpause")
    if status.get("phase"):
        return Phase(text(rollout, "status", "phase"), text(rollout, "status", "message"))
    return _computed(rollout)


def _is_observed(rollout: Manifest) -> bool:
    observed = text(rollout, "status", "observedGeneration")
    if not _INTEGER.fullmatch(observed):
        return True
    return int(observed) >= count(rollout, "metadata", "generation")


def _computed(rollout: Manifest) -> Phase:
    """Return the phase of a Rollout that no controller has given one."""
    for condition in items(rollout, "status", "conditions"):
        message = condition.get("message", "")
        if condition.get("type") == "InvalidSpec":
            return Phase("Degraded", f"InvalidSpec: {message}")
        if condition.get("reason") in _DEGRADING_REASONS:
            return Phase("Degraded", f"{condition['reason']}: {message}")
    if section(rollout, "spec").get("paused"):
        return Phase("Paused", "manually paused")
    pauses = items(rollout, "status", "pauseConditions")
    if pauses:
        return Phase("Paused", pauses[0].get("reason", ""))
    message = _unfinished(rollout)
    return Phase("Progressing", message) if message else Phase("Healthy")


def _unfinished(rollout: Manifest) -> str:
    spec, status = section(rollout, "spec"), section(rollout, "status")
    updated = count(rollout, "status", "updatedReplicas")
    if spec.get("restartAt") and spec["restartAt"] != status.get("restartedAt"):
        return "rollout is restarting"
    if updated < desired_replicas(rollout):
        return "more replicas need to be updated"
    if count(rollout, "status", "availableReplicas") < updated:
        return "updated replicas are still becoming available"
    is_promoted = bool(status.get("stableRS")) and status["stableRS"] == status.get(
        "currentPodHash"
    )
    blue_green = section(rollout, "spec", "strategy").get("blueGreen")
    if blue_green is not None:
        return _unfinished_blue_green(rollout, is_promoted=is_promoted)
    is_routed = bool(section(rollout, "spec", "strategy", "canary", "trafficRouting"))
    if not is_routed and count(rollout, "status", "replicas") > updated:
        return "old replicas are pending termination"
    return "" if is_promoted else "waiting for all steps to complete"


def _unfinished_blue_green(rollout: Manifest, *, is_promoted: bool) -> str:
    active = text(rollout, "status", "blueGreen", "activeSelector")
    if not active or active != text(rollout, "status", "currentPodHash"):
        return "active service cutover pending"
    if is_promoted:
        return ""
    analysis = section(rollout, "spec", "strategy", "blueGreen").get("postPromotionAnalysis")
    run = section(rollout, "status", "blueGreen", "postPromotionAnalysisRunStatus")
    if analysis and run.get("status", "") in ("", "Pending", "Running"):
        return "waiting for analysis to complete"
    return "waiting for post-promotion verification to complete"


def desired_replicas(rollout: Manifest) -> int:
    """Return spec.replicas, 1 when it is not set."""
    replicas = section(rollout, "spec").get("replicas")
    return 1 if replicas is None else int(replicas)
