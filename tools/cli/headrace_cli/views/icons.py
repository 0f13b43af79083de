"""The signs before each status, and their colours (cli-and-clients 4.3)."""

from __future__ import annotations

from typing import Final

from headrace_cli.output import Colour

ROLLOUT: Final = "⟳"
REVISION: Final = "#"
REPLICA_SET: Final = "⧉"
POD: Final = "□"
JOB: Final = "⊞"
EXPERIMENT: Final = "Σ"
ANALYSIS_RUN: Final = "α"

WAITING: Final = "◷"
PROGRESSING: Final = "◌"
WARNING: Final = "⚠"
UNKNOWN: Final = "?"
OK: Final = "✔"
BAD: Final = "✖"
PAUSED: Final = "॥"
NEUTRAL: Final = "•"

_BY_ROLLOUT: Final = {
    "Progressing": PROGRESSING,
    "Error": WARNING,
    "InvalidSpec": WARNING,
    "Unknown": UNKNOWN,
    "Healthy": OK,
    "Degraded": BAD,
    "Paused": PAUSED,
}
_BY_REPLICA_SET: Final = {
    "Healthy": OK,
    "Progressing": PROGRESSING,
    "ReplicaFailure": BAD,
    "ScaledDown": NEUTRAL,
}
_BY_RUN: Final = {
    "Pending": WAITING,
    "Running": PROGRESSING,
    "Error": WARNING,
    "Inconclusive": UNKNOWN,
    "Successful": OK,
    "Failed": BAD,
}
_BY_POD: Final = {
    "Pending": PROGRESSING,
    "Terminating": PROGRESSING,
    "ContainerCreating": PROGRESSING,
    "PodInitializing": PROGRESSING,
    "Running": OK,
    "Completed": OK,
    "Succeeded": OK,
    "Failed": BAD,
    "InvalidImageName": BAD,
    "CrashLoopBackOff": BAD,
    "ImagePullBackOff": WARNING,
    "RegistryUnavailable": WARNING,
    "Unknown": UNKNOWN,
}

COLOURS: Final = {
    WAITING: Colour.YELLOW,
    PROGRESSING: Colour.BLUE,
    WARNING: Colour.RED,
    UNKNOWN: Colour.YELLOW,
    OK: Colour.GREEN,
    BAD: Colour.RED,
    PAUSED: Colour.YELLOW,
    NEUTRAL: Colour.DIM,
}


def of_rollout(phase: str) -> str:
    """Return the sign of a Rollout's phase."""
    return _BY_ROLLOUT.get(phase, " ")


def of_replica_set(status: str) -> str:
    """Return the sign of a ReplicaSet's status."""
    return _BY_REPLICA_SET.get(status, " ")


def of_run(phase: str) -> str:
    """Return the sign of the phase of an AnalysisRun, Experiment or measurement."""
    return _BY_RUN.get(phase, " ")


def of_pod(reason: str) -> str:
    """Return the sign of a pod's reason."""
    if reason.startswith("Init:"):
        return PROGRESSING
    if reason.startswith(("Signal:", "ExitCode:")):
        return BAD
    if reason.startswith("Err") or reason.endswith("Error"):
        return WARNING
    return _BY_POD.get(reason, " ")
