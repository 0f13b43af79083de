"""What the Experiment shells keep between two passes, and whose work an Experiment is.

A restart loses the failures and nothing else: what fails again is found again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.events.topics import KEY_ANNOTATION, object_key
from headrace.kubernetes.resources import EXPERIMENTS, ROLLOUTS, Manifest
from rollout_controller.core.experiment.observed import Failure


@dataclass(slots=True)
class Failures:
    """Effects that the API server refused, by Experiment uid and subject."""

    by_uid: dict[str, dict[str, Failure]] = field(default_factory=dict)

    def add(self, uid: str, subject: str, failure: Failure) -> None:
        """Keep the newest failure of a subject."""
        self.by_uid.setdefault(uid, {})[subject] = failure

    def forget(self, uid: str, subject: str | None = None) -> None:
        """Drop what is kept about an Experiment that is gone, or about what worked now."""
        if subject is None:
            self.by_uid.pop(uid, None)
        elif uid in self.by_uid:
            self.by_uid[uid].pop(subject, None)


def owner_of(manifest: Manifest, kind: str) -> Manifest | None:
    """Return the controller reference to an object of a kind; None when there is none."""
    for owner in manifest["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == kind:
            found: Manifest = owner
            return found
    return None


def rollout_owner(experiment: Manifest) -> Manifest | None:
    """Return the reference to the Rollout that controls an Experiment."""
    return owner_of(experiment, ROLLOUTS.kind)


def experiment_owner(manifest: Manifest) -> Manifest | None:
    """Return the reference to the Experiment that controls an object."""
    return owner_of(manifest, EXPERIMENTS.kind)


def work_key(experiment: Manifest) -> str:
    """Return the key by which the work on an Experiment is shared out: that of its Rollout.

    An Experiment that another controller created for a Rollout lacks the annotation.
    """
    metadata = experiment["metadata"]
    namespace, annotations = metadata.get("namespace", ""), metadata.get("annotations") or {}
    owner = rollout_owner(experiment)
    if owner is not None and KEY_ANNOTATION not in annotations:
        return f"{namespace}/{owner['name']}"
    return object_key(namespace, metadata["name"], annotations)
