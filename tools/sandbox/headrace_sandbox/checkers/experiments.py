"""Rules of Experiments: they end, they leave nothing behind, and nobody is cut off on the way.

Source: experiment 4, 6, 9; canary 5.5, 8; architecture, section 4 (table of acknowledgements).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headrace.kubernetes.resources import EXPERIMENTS, REPLICA_SETS, ROLLOUTS, SERVICES, Manifest
from headrace.runtime.cluster_memory.objects import Record
from headrace_sandbox.checkers.book import Book
from headrace_sandbox.checkers.violations import Findings
from headrace_sandbox.workload import HASH, selected_hash
from headrace_sandbox.world import World, Write

_TEMPLATE: Final = "experiment.argoproj.io/template-name"
_COMPLETED: Final = ("Successful", "Failed", "Error", "Inconclusive")


class ExperimentRules:
    """Checked at every committed write of a service, and at rest."""

    def __init__(self, world: World, book: Book, findings: Findings) -> None:
        self._world = world
        self._book = book
        self._require = findings.require

    def written(self, write: Write) -> None:
        """Hear of a committed change of a service."""
        new, old = write.change.new, write.change.old
        match write.change.record.resource.plural:
            case "services" if new is None and old is not None:
                self._deleted(old.name)
            case "replicasets" if new is not None and old is not None:
                self._replica_set(new, old)
            case "experiments" if new is not None and old is not None:
                self._phase(new.manifest, old.manifest)

    def _deleted(self, service: str) -> None:
        """A Service that a route may name stays."""
        for record in self._world.objects.all(ROLLOUTS):
            weight = self._book.destination(record.manifest, service)
            text = f"{service} is deleted, a route may give it {weight}"
            self._require(weight == 0, "no destination of a route disappears", text)

    def _replica_set(self, new: Record, old: Record) -> None:
        count = int(new.manifest["spec"].get("replicas", 1))
        if count > 0 or int(old.manifest["spec"].get("replicas", 1)) == 0:
            return
        pod_hash = (new.metadata.get("labels") or {}).get(HASH, "")
        owner: Mapping[str, Any] = next(iter(new.metadata.get("ownerReferences") or ()), {})
        if owner.get("kind") != EXPERIMENTS.kind:
            return
        if not self._book.had_pods(owner["uid"], pod_hash, 1, self._world.now):
            return
        for service in self._world.objects.dependents(owner["uid"]):
            if service.resource.plural != SERVICES.plural:
                continue
            if selected_hash(self._world.objects, service.name) != pod_hash:
                continue
            for record in self._world.objects.all(ROLLOUTS):
                weight = self._book.destination(record.manifest, service.name)
                text = f"{new.name} goes, a route may give {service.name} {weight}"
                self._require(weight == 0, "no destination of a route disappears", text)

    def _phase(self, new: Manifest, old: Manifest) -> None:
        phase, before = _phase(new), _phase(old)
        text = f"{new['metadata']['name']}: {before} → {phase}"
        is_kept = before not in _COMPLETED or phase == before
        self._require(is_kept, "a completed Experiment stays what it is", text)

    def at_rest(self) -> None:
        """Nothing of an Experiment runs when its Rollout is at its end."""
        objects = self._world.objects
        for experiment in objects.all(EXPERIMENTS):
            phase = _phase(experiment.manifest)
            text = f"{experiment.name} is {phase or 'nothing'}"
            self._require(phase in _COMPLETED, "an Experiment ends with its step", text)
            templates = experiment.manifest["spec"]["templates"]
            for record in objects.dependents(experiment.uid):
                annotations = record.metadata.get("annotations") or {}
                if annotations.get(_TEMPLATE, "") not in [each["name"] for each in templates]:
                    continue  # its template was taken out of the spec (experiment 10.6)
                count = int(record.manifest.get("spec", {}).get("replicas", 1))
                is_left = record.resource.plural == SERVICES.plural or (
                    record.resource.plural == REPLICA_SETS.plural and count > 0
                )
                text = f"{experiment.name} has left {record.resource.plural}/{record.name}"
                self._require(not is_left, "an Experiment leaves nothing behind", text)


def _phase(experiment: Mapping[str, Any]) -> str:
    return str((experiment.get("status") or {}).get("phase") or "")
