"""A change of a Rollout, as the tables of edge cases look at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from headrace.kubernetes.resources import Manifest
from headrace.runtime.cluster_memory.objects import Objects, Record
from headrace_sandbox.workload import replica_sets


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
        return mapping(self.new, "spec")

    @cached_property
    def status(self) -> Mapping[str, Any]:
        """The status."""
        return mapping(self.new, "status")

    @cached_property
    def before(self) -> Mapping[str, Any]:
        """What the status was."""
        return mapping(self.old, "status")

    @cached_property
    def canary(self) -> Mapping[str, Any]:
        """The canary strategy, empty of another."""
        return mapping(mapping(self.spec, "strategy"), "canary")

    @cached_property
    def blue_green(self) -> Mapping[str, Any]:
        """The blue-green strategy, empty of another."""
        return mapping(mapping(self.spec, "strategy"), "blueGreen")

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
    def passed_step(self) -> Mapping[str, Any]:
        """The step that this change says to be over, empty where it says so of none."""
        steps: Sequence[Mapping[str, Any]] = self.canary.get("steps") or ()
        index = int(self.before.get("currentStepIndex") or 0)
        is_next = self.status.get("currentStepIndex") == index + 1
        is_same = self.status.get("currentPodHash") == self.before.get("currentPodHash")
        is_passed = is_next and is_same and index < len(steps) and not self.by_user
        return steps[index] if is_passed else {}

    @property
    def is_aborted_now(self) -> bool:
        """Whether this change aborts the update."""
        return bool(self.status.get("abort")) and not self.before.get("abort")

    @property
    def weight(self) -> int:
        """The weight that the status says the new version has."""
        weights = mapping(mapping(self.status, "canary"), "weights")
        found = mapping(weights, "canary")
        is_of_new = found.get("podTemplateHash") == self.status.get("currentPodHash")
        return int(found.get("weight") or 0) if is_of_new else 0

    @property
    def is_scaled(self) -> bool:
        """Whether this change wants another number of pods."""
        return bool(mapping(self.old, "spec").get("replicas") != self.spec.get("replicas"))

    @property
    def is_on_trial(self) -> bool:
        """Whether the active Service selects a version that is not stable yet."""
        return _is_on_trial(self.status)

    @property
    def was_on_trial(self) -> bool:
        """Whether it did before the change."""
        return _is_on_trial(self.before)

    def changes(self, *path: str) -> bool:
        """Return whether a field of the spec changes."""
        new, old = self.spec, mapping(self.old, "spec")
        if new is old:  # a change of the status alone
            return False
        for name in path[:-1]:
            new, old = mapping(new, name), mapping(old, name)
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


def mapping(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of a manifest, empty where there is none."""
    return parent.get(name) or {}


def _is_on_trial(status: Mapping[str, Any]) -> bool:
    active = mapping(status, "blueGreen").get("activeSelector")
    return bool(active) and active == status.get("currentPodHash") and is_updating(status)
