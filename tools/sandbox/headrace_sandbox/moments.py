"""What hurts most now: the actions that the state of a Rollout makes worth trying.

A person who acts by chance seldom meets the few seconds in which something is half done. So every
other time they look first: at what the Rollout is doing, and at what it waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from headrace.kubernetes.resources import Manifest
from headrace.runtime.cluster_memory.objects import Objects
from headrace_sandbox.workload import replica_sets

Deed = tuple[str, Any]
"""An action of a user, and its argument."""


@dataclass(frozen=True)
class View:
    """What a person sees of a Rollout.

    Attributes:
        rollout: As it is stored.
        objects: All that is stored.
    """

    rollout: Manifest
    objects: Objects

    @property
    def status(self) -> Mapping[str, Any]:
        """The status."""
        return self.rollout.get("status") or {}

    @property
    def is_blue_green(self) -> bool:
        """Whether it is no canary."""
        return "blueGreen" in self.rollout["spec"]["strategy"]

    @property
    def is_updating(self) -> bool:
        """Whether a new version is on its way."""
        return self.status.get("currentPodHash") != self.status.get("stableRS")

    @property
    def is_held(self) -> bool:
        """Whether a person holds it."""
        return bool(self.rollout["spec"].get("paused"))

    @property
    def is_paused(self) -> bool:
        """Whether it waits for a person, or for a time."""
        return bool(self.status.get("pauseConditions"))

    @property
    def has_experiment(self) -> bool:
        """Whether an experiment is under way."""
        return bool((self.status.get("canary") or {}).get("currentExperiment"))

    @property
    def is_on_trial(self) -> bool:
        """Whether everybody is at a version of blue-green that is not stable yet."""
        active = (self.status.get("blueGreen") or {}).get("activeSelector")
        return self.is_updating and active == self.status.get("currentPodHash")

    @property
    def is_asking(self) -> bool:
        """Whether a route is not acknowledged."""
        headrace = self.status.get("headrace") or {}
        route, known = headrace.get("route") or {}, headrace.get("acknowledged") or {}
        return bool(known.get("epoch") != route.get("epoch"))

    @cached_property
    def has_retired(self) -> bool:
        """Whether an older version still has pods, for a while."""
        return any(
            "scale-down-deadline" in (record.metadata.get("annotations") or {})
            and int(record.manifest["spec"].get("replicas", 1)) > 0
            for record in replica_sets(self.objects, self.rollout["metadata"]["uid"]).values()
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """A state of a Rollout, and what is worth trying in it."""

    holds: Callable[[View], bool]
    deeds: Sequence[Deed]


_EDITS: Final = 8

MOMENTS: Final = (
    Moment(
        lambda v: v.has_experiment,
        (
            *(("edit-experiment", number) for number in range(_EDITS)),
            ("end-experiment", None),
            ("retry-experiment", None),
            ("pause", None),
            ("abort", None),
        ),
    ),
    Moment(
        lambda v: v.is_blue_green and v.is_updating and v.is_paused,
        (
            ("scale", 1),
            ("scale", 4),
            ("promote", None),
            ("set-image", "good"),
            ("pause", None),
            ("to-canary", None),
        ),
    ),
    Moment(
        lambda v: v.is_blue_green and v.is_on_trial and not v.is_held,
        (
            *(("pause", None),) * 3,
            ("abort", None),
            ("scale", 3),
            ("set-image", "good"),
            ("undo", None),
        ),
    ),
    Moment(
        lambda v: v.is_blue_green and v.is_on_trial and v.is_held,
        (("abort", None), ("abort", None), ("abort", None), ("undo", None)),
    ),
    Moment(
        lambda v: v.is_updating and v.is_held,
        (("abort", None), ("promote", None), ("resume", None), ("scale", 2)),
    ),
    Moment(
        lambda v: not v.is_blue_green and v.is_updating and v.is_paused,
        (
            ("scale", 0),
            ("scale", 1),
            ("pause", None),
            ("edit-steps", None),
            ("promote", None),
            ("delete-stable", None),
            ("remove-router", None),
            ("to-blue-green", 1),
            ("edit-stable-scale", None),
            ("edit-ping-pong", 1),
        ),
    ),
    Moment(
        lambda v: v.is_updating and v.rollout["spec"].get("replicas") == 0,
        (("promote-full", None), ("skip-all", None), ("promote", None), ("scale", 2)),
    ),
    Moment(lambda v: v.has_retired and not v.is_updating, (("undo", None), ("undo", None))),
    Moment(lambda v: v.has_retired and v.is_updating, (("revive", None),) * 4),
    Moment(lambda v: v.is_updating, (("scale-set", 0), ("scale-set", 1))),
    Moment(
        lambda v: v.is_asking,
        (
            ("abort", None),
            ("set-image", "good"),
            ("undo", None),
            ("promote-full", None),
            ("edit-steps", None),
            ("recreate", None),
        ),
    ),
    Moment(
        lambda v: not v.is_updating,
        (
            ("edit-steps", None),
            ("restart", None),
            ("apply", 2),
            ("to-canary", None),
            ("add-router", None),
        ),
    ),
)


def deeds_now(view: View) -> list[Deed]:
    """Return what is worth trying on a Rollout now."""
    return [deed for moment in MOMENTS if moment.holds(view) for deed in moment.deeds]
