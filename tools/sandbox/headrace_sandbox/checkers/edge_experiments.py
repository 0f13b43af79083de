"""The edge cases of Experiments, as a run meets them: one predicate for each.

Source: experiment 10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headrace.kubernetes.resources import Manifest
from headrace.model.quantities import parse_duration
from headrace.runtime.cluster_memory.objects import Objects
from headrace_sandbox.checkers.edge_changes import mapping
from headrace_sandbox.workload import HASH

_RUNNING: Final = ("Pending", "Running")


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
        return mapping(self.experiment, "status").get("phase") in _RUNNING

    def templates(self, experiment: Manifest | None) -> dict[str, Mapping[str, Any]]:
        """Return the templates of the spec by name."""
        found = mapping(experiment or {}, "spec").get("templates") or ()
        return {each["name"]: each for each in found}

    def states(self, experiment: Manifest | None) -> dict[str, str]:
        """Return the states of the templates by name."""
        found = mapping(experiment or {}, "status").get("templateStatuses") or ()
        return {each["name"]: str(each.get("status", "")) for each in found}


def _selects_by_the_rollouts_hash(c: ExperimentChange) -> bool:
    return c.is_created and any(
        HASH in mapping(each["selector"], "matchLabels")
        for each in c.templates(c.experiment).values()
    )


def _is_owner_held(c: ExperimentChange) -> bool:
    owners = c.experiment["metadata"].get("ownerReferences") or ()
    found = (c.objects.by_uid(owner["uid"]) for owner in owners)
    held = any(record is not None and record.manifest["spec"].get("paused") for record in found)
    return held and c.is_running


def _has_template_with_other(c: ExperimentChange, field: str) -> bool:
    new, old = c.templates(c.experiment), c.templates(c.old)
    return c.is_running and any(
        old[name].get(field) != each.get(field) for name, each in new.items() if name in old
    )


def _is_rescaled(c: ExperimentChange) -> bool:
    return _has_template_with_other(c, "replicas")


def _has_no_readable_duration(c: ExperimentChange) -> bool:
    text = mapping(c.experiment, "spec").get("duration")
    try:
        parse_duration(str(text or "0s"))
    except ValueError:
        return c.is_running
    return False


def _flaps(c: ExperimentChange) -> bool:
    new, old = c.states(c.experiment), c.states(c.old)
    return any(old.get(n) == "Running" and state == "Progressing" for n, state in new.items())


def _fails_although_another_ends_well(c: ExperimentChange) -> bool:
    """Whether one template is over its deadline, another ends well for that, and Failed counts.

    Within one template the order cannot be seen: while its pods go, its time begins anew in each
    pass (experiment 4.2).
    """
    new, old = c.states(c.experiment), c.states(c.old)
    ends = any(state == "Successful" and old.get(name) != state for name, state in new.items())
    is_failed = mapping(c.experiment, "status").get("phase") == "Failed"
    return ends and is_failed and "Failed" in old.values()


def _has_deadline(c: ExperimentChange) -> bool:
    return c.replica_set is not None and bool(deadline_of(c.replica_set))


def _goes_at_once(c: ExperimentChange) -> bool:
    is_undelayed = mapping(c.experiment, "spec").get("scaleDownDelaySeconds") == 0
    is_gone = c.replica_set is not None and c.replica_set["spec"].get("replicas") == 0
    return is_undelayed and is_gone and not c.is_created


def _has_other_template(c: ExperimentChange) -> bool:
    return _has_template_with_other(c, "template")


EXPERIMENT: Final[Mapping[str, Callable[[ExperimentChange], bool]]] = {
    "experiment 10.1": lambda c: c.is_created,
    "experiment 10.2": _selects_by_the_rollouts_hash,
    "experiment 10.3": lambda c: (
        c.replica_set is not None and len(c.replica_set["metadata"]["name"]) > 63
    ),
    "experiment 10.4": _is_owner_held,
    "experiment 10.5": lambda c: c.old is not None and _is_rescaled(c),
    "experiment 10.5 template": lambda c: c.old is not None and _has_other_template(c),
    "experiment 10.6": lambda c: (
        c.is_running and len(c.templates(c.old)) > len(c.templates(c.experiment))
    ),
    "experiment 10.7": _has_no_readable_duration,
    "experiment 10.8": lambda c: c.old is not None and _flaps(c),
    "experiment 10.9": lambda c: c.old is not None and _fails_although_another_ends_well(c),
    "experiment 10.10": _has_deadline,
    "experiment 10.10 at once": _goes_at_once,
}


def deadline_of(replica_set: Manifest) -> str:
    """Return when a ReplicaSet shall go down, "" where that is not planned."""
    annotations = replica_set["metadata"].get("annotations") or {}
    return str(annotations.get("scale-down-deadline", ""))
