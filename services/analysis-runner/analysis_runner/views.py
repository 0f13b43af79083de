"""From manifests of AnalysisRuns to what the core sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from analysis_runner.core.arguments import first_problem
from analysis_runner.core.examine import Examined, examine, invalid
from analysis_runner.core.observed import About
from headrace.events.topics import object_key
from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import AnalysisRunSpec, AnalysisRunStatus
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant

_HASH_LABEL = "rollouts-pod-template-hash"
_REVISION_ANNOTATION = "rollout.argoproj.io/revision"


@dataclass(frozen=True, slots=True)
class SpecView:
    """A spec, and what follows from it alone.

    Attributes:
        raw: As it is stored.
        spec: Decoded; None when it cannot be.
        examined: What it asks for.
    """

    raw: Mapping[str, Any]
    spec: AnalysisRunSpec | None
    examined: Examined

    @property
    def raw_metrics(self) -> Sequence[Mapping[str, Any]]:
        """The metrics as they are stored."""
        return self.raw.get("metrics") or ()


def spec_view(raw: Mapping[str, Any]) -> SpecView:
    """Return what a stored spec says."""
    try:
        spec = AnalysisRunSpec.load({"metrics": (), **raw})
    except ValidationError as error:
        return SpecView(raw, None, Examined(problem=invalid(first_problem(error))))
    return SpecView(raw, spec, examine(spec, raw.get("metrics") or ()))


def status_view(raw: Mapping[str, Any]) -> AnalysisRunStatus:
    """Return a stored status; one that nobody can read counts as none."""
    try:
        return AnalysisRunStatus.load(raw)
    except ValidationError:
        return AnalysisRunStatus()


def about(manifest: Manifest) -> About:
    """Return whom the facts of a run are about."""
    metadata = manifest["metadata"]
    namespace, _, rollout = partition_key(manifest).partition("/")
    return About(
        namespace=namespace,
        rollout=rollout,
        uid=_rollout_uid(metadata) or metadata["uid"],
        revision=str((metadata.get("annotations") or {}).get(_REVISION_ANNOTATION, "")),
        pod_hash=str((metadata.get("labels") or {}).get(_HASH_LABEL, "")),
        run=metadata["name"],
        run_uid=metadata["uid"],
    )


def created_at(manifest: Manifest) -> Instant:
    """Return when a run was created."""
    return parse_time(manifest["metadata"].get("creationTimestamp") or "1970-01-01T00:00:00Z")


def run_key(manifest: Manifest) -> str:
    """Return the key of a run in the queue."""
    metadata = manifest["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def partition_key(manifest: Manifest) -> str:
    """Return the key by which replicas share runs: that of the Rollout they belong to."""
    metadata = manifest["metadata"]
    annotations = metadata.get("annotations") or {}
    return object_key(metadata.get("namespace", ""), metadata["name"], annotations)


def _rollout_uid(metadata: Mapping[str, Any]) -> str:
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == "Rollout":
            return str(owner["uid"])
    return ""
