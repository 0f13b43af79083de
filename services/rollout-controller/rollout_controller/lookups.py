"""What the snapshots of Rollouts and of Experiments both take from the caches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import AnalysisTemplateSpec
from headrace.runtime.store import Store
from rollout_controller.caches import Caches, Facts
from rollout_controller.core.observed import ExperimentObject, RunObject
from rollout_controller.views import experiment_view, run_view


def owned_runs(caches: Caches, facts: Facts, uid: str) -> tuple[RunObject, ...]:
    """Return the AnalysisRuns that an object controls, each with the verdict known best."""
    views = []
    for manifest in caches.runs.by_index("owner", uid):
        status = manifest.get("status") or {}
        phase, message = str(status.get("phase", "")), str(status.get("message", ""))
        verdict = facts.verdicts.get(manifest["metadata"]["uid"])
        if verdict is not None and is_newer(verdict.resource_version, manifest):
            phase, message = verdict.phase, verdict.message
        views.append(run_view(manifest, phase, message))
    return tuple(views)


def owned_experiments(caches: Caches, uid: str) -> tuple[ExperimentObject, ...]:
    """Return the Experiments that a Rollout controls."""
    return tuple(experiment_view(each) for each in caches.experiments.by_index("owner", uid))


def is_newer(resource_version: str, manifest: Manifest) -> bool:
    """Return whether a fact is newer than the stored object."""
    if not resource_version.isdigit():
        return False
    return int(resource_version) >= int(manifest["metadata"]["resourceVersion"])


class Templates(Mapping[str, AnalysisTemplateSpec]):
    """Templates by name, read from a store when asked for: most passes ask for none.

    Two are equal when nothing came into the store between them, which costs no reading.
    """

    def __init__(self, store: Store, namespace: str | None) -> None:
        self._store = store
        self._namespace = namespace
        self._version = store.resource_version

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Templates):
            return NotImplemented
        mine = (self._namespace, self._version)
        return self._store is other._store and mine == (other._namespace, other._version)

    def __hash__(self) -> int:
        return hash((id(self._store), self._namespace, self._version))

    def __getitem__(self, name: str) -> AnalysisTemplateSpec:
        manifest = self._store.get(self._namespace, name)
        if manifest is None:
            raise KeyError(name)
        return AnalysisTemplateSpec.load(manifest.get("spec") or {})

    def __iter__(self) -> Iterator[str]:
        return (m["metadata"]["name"] for m in self._store.list(self._namespace))

    def __len__(self) -> int:
        return len(self._store.list(self._namespace))
