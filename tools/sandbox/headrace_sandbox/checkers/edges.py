"""The edge cases of the specifications, as a run meets them: one predicate for each.

Canary 10.5 needs ALB readiness gates, which no supported router has.

Source: canary 10, bluegreen 10, experiment 10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from headrace.kubernetes.resources import EXPERIMENTS, Manifest
from headrace.model.quantities import parse_duration
from headrace.runtime.cluster_memory.objects import Objects, Record
from headrace_sandbox.workload import HASH, available, replica_sets

_RUNNING: Final = ("Pending", "Running")


@dataclass(frozen=True)
class RolloutChange:
    """A change of a Rollout.

    Attributes:
        objects: All that is stored.
        new: The Rollout.
        old: What it was.
        by_user: Whether a person changed it.
    """

    objects: Objects
    new: Manifest
    old: Manifest
    by_user: bool

    @cached_property
    def spec(self) -> Mapping[str, Any]:
        """The spec."""
        return _mapping(self.new, "spec")

    @cached_property
    def status(self) -> Mapping[str, Any]:
        """The status."""
        return _mapping(self.new, "status")

    @cached_property
    def before(self) -> Mapping[str, Any]:
        """What the status was."""
        return _mapping(self.old, "status")

    @cached_property
    def canary(self) -> Mapping[str, Any]:
        """The canary strategy, empty of another."""
        return _mapping(_mapping(self.spec, "strategy"), "canary")

    @cached_property
    def blue_green(self) -> Mapping[str, Any]:
        """The blue-green strategy, empty of another."""
        return _mapping(_mapping(self.spec, "strategy"), "blueGreen")

    @cached_property
    def replicas(self) -> int:
        """Pods wanted."""
        return int(self.spec.get("replicas", 1))

    @cached_property
    def sets(self) -> Mapping[str, Record]:
        """ReplicaSets by hash."""
        return replica_sets(self.objects, self.new["metadata"]["uid"])

    @cached_property
    def latest(self) -> Record | None:
        """The newest version."""
        return self.sets.get(self.status.get("currentPodHash", ""))

    @cached_property
    def stable(self) -> Record | None:
        """The stable version."""
        return self.sets.get(self.status.get("stableRS", ""))

    @cached_property
    def is_updating(self) -> bool:
        """Whether a new version is on its way."""
        return is_updating(self.status)

    @property
    def is_promoted(self) -> bool:
        """Whether this change makes another version stable."""
        before = self.before.get("stableRS")
        return bool(before) and before != self.status.get("stableRS")

    @property
    def is_scaled(self) -> bool:
        """Whether this change wants another number of pods."""
        return bool(_mapping(self.old, "spec").get("replicas") != self.spec.get("replicas"))

    @property
    def is_on_trial(self) -> bool:
        """Whether the active Service selects a version that is not stable yet."""
        active = _mapping(self.status, "blueGreen").get("activeSelector")
        return bool(active) and active == self.status.get("currentPodHash") and self.is_updating

    def changes(self, *path: str) -> bool:
        """Return whether a field of the spec changes."""
        new, old = self.spec, _mapping(self.old, "spec")
        if new is old:  # a change of the status alone
            return False
        for name in path[:-1]:
            new, old = _mapping(new, name), _mapping(old, name)
        return bool(new.get(path[-1]) != old.get(path[-1]))

    def pauses(self, reason: str, *, before: bool = False) -> bool:
        """Return whether a pause is there, or was."""
        status = self.before if before else self.status
        return any(each["reason"] == reason for each in status.get("pauseConditions") or ())

    def progressing(self, *, before: bool = False) -> str:
        """Return the reason of the condition Progressing."""
        status = self.before if before else self.status
        for each in status.get("conditions") or ():
            if each["type"] == "Progressing":
                return str(each["reason"])
        return ""


def is_updating(status: Mapping[str, Any]) -> bool:
    """Return whether a new version is on its way."""
    return bool(status.get("stableRS")) and status.get("currentPodHash") != status.get("stableRS")


def _mapping(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return parent.get(name) or {}


# Canary


def _has_no_pods_at_a_weight(c: RolloutChange) -> bool:
    weights = _mapping(_mapping(c.status, "canary"), "weights")
    return bool(_mapping(weights, "canary").get("weight")) and available(c.latest) == 0


def _is_old_one_back(c: RolloutChange) -> bool:
    found = c.latest.metadata.get("annotations") or {} if c.latest is not None else {}
    is_begin = int(c.status.get("currentStepIndex") or 0) == 0
    return is_begin and "rollout.argoproj.io/revision-history" in found


def _has_unhealthy_old(c: RolloutChange) -> bool:
    return any(
        record not in (c.latest, c.stable)
        and int(record.manifest["spec"].get("replicas", 1)) > available(record)
        for record in c.sets.values()
    )


def _was_blue_green(c: RolloutChange) -> bool:
    return bool(c.canary) and bool(_mapping(_mapping(c.old, "spec"), "strategy").get("blueGreen"))


def _is_held_and_promoted(c: RolloutChange) -> bool:
    was_held = bool(_mapping(c.old, "spec").get("paused"))
    steps, index = c.canary.get("steps") or (), int(c.status.get("currentStepIndex") or 0)
    is_pause = index < len(steps) and "pause" in steps[index]
    return was_held and c.spec.get("paused") is False and is_pause


CANARY: Final[Mapping[str, Callable[[RolloutChange], bool]]] = {
    "canary 10.1": lambda c: c.is_scaled and c.is_updating,
    "canary 10.2": lambda c: c.is_scaled and c.changes("template"),
    "canary 10.3": lambda c: c.is_updating and _has_no_pods_at_a_weight(c),
    "canary 10.4": lambda c: c.is_updating and available(c.stable) < c.replicas,
    "canary 10.6": lambda c: c.is_updating and c.replicas == 1,
    "canary 10.7": lambda c: c.is_updating and c.replicas == 0,
    "canary 10.8": lambda c: c.is_updating and c.changes("strategy", "canary", "steps"),
    "canary 10.9": lambda c: not c.is_updating and c.changes("strategy", "canary", "steps"),
    "canary 10.10": _was_blue_green,
    "canary 10.11": lambda c: (
        c.is_updating
        and c.changes("strategy", "canary", "trafficRouting")
        and not c.canary.get("trafficRouting")
    ),
    "canary 10.12": lambda c: c.is_updating and c.stable is None,
    "canary 10.13": lambda c: c.is_updating and _is_old_one_back(c),
    "canary 10.14": lambda c: c.is_updating and _has_unhealthy_old(c),
    "canary 10.15": lambda c: c.is_updating and available(c.latest) > c.replicas,
    "canary 10.16": lambda c: c.is_promoted and c.canary.get("scaleDownDelayRevisionLimit") == 0,
    "canary 10.17": lambda c: bool(_mapping(c.status, "canary").get("currentExperiment")),
    "canary 10.18": _is_held_and_promoted,
    "canary 10.20": lambda c: (
        c.progressing(before=True) == "RolloutPaused" and c.progressing() == "RolloutResumed"
    ),
}


# Blue-green


def _resumed_too_early(c: RolloutChange) -> bool:
    is_resume = c.by_user and c.pauses("BlueGreenPause", before=True)
    wanted = c.blue_green.get("previewReplicaCount", c.replicas)
    return is_resume and not c.status.get("pauseConditions") and available(c.latest) != wanted


def _agrees(c: RolloutChange) -> bool:
    shown = _mapping(c.status, "blueGreen")
    hashes = {shown.get("activeSelector"), shown.get("previewSelector"), c.status.get("stableRS")}
    return len(hashes) == 1 and not c.is_updating


def _superseded_while_paused(c: RolloutChange) -> bool:
    is_other = c.status.get("currentPodHash") != c.before.get("currentPodHash")
    return is_other and c.pauses("BlueGreenPause", before=True)


def _is_judged_unpaused(c: RolloutChange) -> bool:
    run = _mapping(_mapping(c.status, "blueGreen"), "prePromotionAnalysisRunStatus")
    return run.get("status") == "Running" and not c.status.get("pauseConditions")


BLUE_GREEN: Final[Mapping[str, Callable[[RolloutChange], bool]]] = {
    "bluegreen 10.1": _resumed_too_early,
    "bluegreen 10.2": lambda c: (
        c.blue_green.get("autoPromotionEnabled") is False
        and bool(c.blue_green.get("autoPromotionSeconds"))
        and c.pauses("BlueGreenPause")
    ),
    "bluegreen 10.3": lambda c: (
        c.is_scaled and c.is_updating and "previewReplicaCount" in c.blue_green
    ),
    "bluegreen 10.4": lambda c: (
        c.is_on_trial
        and bool(c.blue_green.get("postPromotionAnalysis"))
        and "scaleDownDelaySeconds" not in c.blue_green
    ),
    "bluegreen 10.5": lambda c: c.is_promoted and c.blue_green.get("scaleDownDelaySeconds") == 0,
    "bluegreen 10.6": _agrees,
    "bluegreen 10.7": lambda c: c.is_updating and bool(c.spec.get("paused")),
    "bluegreen 10.9": lambda c: c.spec.get("restartAt") != c.status.get("restartedAt"),
    "bluegreen 10.10": lambda c: (
        c.is_on_trial
        and bool(c.blue_green.get("postPromotionAnalysis"))
        and "scaleDownDelaySeconds" in c.blue_green
    ),
    "bluegreen 10.11": _superseded_while_paused,
    "bluegreen 10.12": lambda c: c.is_updating and _is_judged_unpaused(c),
    "bluegreen 10.13": lambda c: (
        bool(c.status.get("stableRS"))
        and not c.before.get("stableRS")
        and available(c.stable) < c.replicas
    ),
    "bluegreen 10.14": lambda c: c.is_scaled and c.pauses("BlueGreenPause"),
    "bluegreen 10.15": lambda c: bool(c.status.get("abort") and c.spec.get("paused")),
}


# Experiments


@dataclass(frozen=True, slots=True)
class ExperimentChange:
    """A change of an Experiment, or of a ReplicaSet of one.

    Attributes:
        objects: All that is stored.
        experiment: The Experiment.
        old: What it was; None where a ReplicaSet changes.
        replica_set: The ReplicaSet; None where the Experiment changes.
        is_created: Whether the ReplicaSet is new.
    """

    objects: Objects
    experiment: Manifest
    old: Manifest | None = None
    replica_set: Manifest | None = None
    is_created: bool = False

    @property
    def is_running(self) -> bool:
        """Whether it is under way."""
        return _mapping(self.experiment, "status").get("phase") in _RUNNING

    def templates(self, experiment: Manifest | None) -> dict[str, Mapping[str, Any]]:
        """Return the templates of the spec by name."""
        found = _mapping(experiment or {}, "spec").get("templates") or ()
        return {each["name"]: each for each in found}

    def states(self, experiment: Manifest | None) -> dict[str, str]:
        """Return the states of the templates by name."""
        found = _mapping(experiment or {}, "status").get("templateStatuses") or ()
        return {each["name"]: str(each.get("status", "")) for each in found}


def _selects_by_the_rollouts_hash(c: ExperimentChange) -> bool:
    return c.is_created and any(
        HASH in _mapping(each["selector"], "matchLabels")
        for each in c.templates(c.experiment).values()
    )


def _is_owner_held(c: ExperimentChange) -> bool:
    owners = c.experiment["metadata"].get("ownerReferences") or ()
    found = (c.objects.by_uid(owner["uid"]) for owner in owners)
    held = any(record is not None and record.manifest["spec"].get("paused") for record in found)
    return held and c.is_running


def _is_rescaled(c: ExperimentChange) -> bool:
    new, old = c.templates(c.experiment), c.templates(c.old)
    return c.is_running and any(
        old[name].get("replicas") != each.get("replicas")
        for name, each in new.items()
        if name in old
    )


def _has_no_readable_duration(c: ExperimentChange) -> bool:
    text = _mapping(c.experiment, "spec").get("duration")
    try:
        parse_duration(str(text or "0s"))
    except ValueError:
        return c.is_running
    return False


def _flaps(c: ExperimentChange) -> bool:
    new, old = c.states(c.experiment), c.states(c.old)
    return any(old.get(n) == "Running" and state == "Progressing" for n, state in new.items())


def _fails_while_it_ends(c: ExperimentChange) -> bool:
    is_ended = bool(_mapping(c.experiment, "spec").get("terminate"))
    new, old = c.states(c.experiment), c.states(c.old)
    fails = any(state == "Failed" and old.get(name) != "Failed" for name, state in new.items())
    return fails and (is_ended or "Failed" in old.values())


def _has_deadline(c: ExperimentChange) -> bool:
    metadata = (c.replica_set or {}).get("metadata") or {}
    return "scale-down-deadline" in (metadata.get("annotations") or {})


EXPERIMENT: Final[Mapping[str, Callable[[ExperimentChange], bool]]] = {
    "experiment 10.1": lambda c: c.is_created,
    "experiment 10.2": _selects_by_the_rollouts_hash,
    "experiment 10.3": lambda c: (
        c.replica_set is not None and len(c.replica_set["metadata"]["name"]) > 63
    ),
    "experiment 10.4": _is_owner_held,
    "experiment 10.5": lambda c: c.old is not None and _is_rescaled(c),
    "experiment 10.6": lambda c: (
        c.is_running and len(c.templates(c.old)) > len(c.templates(c.experiment))
    ),
    "experiment 10.7": _has_no_readable_duration,
    "experiment 10.8": lambda c: c.old is not None and _flaps(c),
    "experiment 10.9": lambda c: c.old is not None and _fails_while_it_ends(c),
    "experiment 10.10": _has_deadline,
}

FAILED_WHILE_PAUSED: Final = "canary 10.19"
MOVED_BY_HAND: Final = "bluegreen 10.8"

EDGES: Final = (*CANARY, FAILED_WHILE_PAUSED, *BLUE_GREEN, MOVED_BY_HAND, *EXPERIMENT)
"""What a long hunt must meet."""


def of_rollout(change: RolloutChange) -> list[str]:
    """Return the edge cases that a change of a Rollout shows."""
    table = BLUE_GREEN if change.blue_green else CANARY
    return [name for name, holds in table.items() if holds(change)]


def of_experiment(change: ExperimentChange) -> list[str]:
    """Return the edge cases that a change about an Experiment shows."""
    return [name for name, holds in EXPERIMENT.items() if holds(change)]


def of_run(objects: Objects, new: Manifest, old: Manifest) -> list[str]:
    """Return the edge cases that a change of an AnalysisRun shows."""
    ended = ("Failed", "Error")
    is_news = _mapping(new, "status").get("phase") in ended and (
        _mapping(old, "status").get("phase") not in ended
    )
    labels = new["metadata"].get("labels") or {}
    if not is_news or labels.get("rollout-type") != "Background":
        return []
    owners = new["metadata"].get("ownerReferences") or ()
    found = (objects.by_uid(owner["uid"]) for owner in owners)
    pauses = [
        each["reason"]
        for record in found
        if record is not None
        for each in _mapping(record.manifest, "status").get("pauseConditions") or ()
    ]
    return [FAILED_WHILE_PAUSED] if "CanaryPauseStep" in pauses else []


def of_service(rollouts: Iterable[Record], name: str) -> list[str]:
    """Return the edge cases that a stranger's change of a Service shows."""
    for record in rollouts:
        strategy = _mapping(_mapping(record.manifest, "spec"), "strategy")
        if _mapping(strategy, "blueGreen").get("activeService") == name:
            return [MOVED_BY_HAND]
    return []


def experiment_of(objects: Objects, manifest: Manifest) -> Manifest | None:
    """Return the Experiment that owns an object."""
    for owner in manifest["metadata"].get("ownerReferences") or ():
        if owner["kind"] == EXPERIMENTS.kind:
            record = objects.by_uid(owner["uid"])
            return record.manifest if record is not None else None
    return None
