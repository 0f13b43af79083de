"""Reads the workload that a Rollout takes its pod template from (rollout-api 2.3).

From the caches, which are only filled while some Rollout refers to a kind; what they do not have
is read live, so that neither a cache on its way nor a missing right looks like a deletion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from headrace.errors import Forbidden, NotFound
from headrace.kubernetes.resources import DEPLOYMENTS, Manifest, Resource
from headrace.model.rollout import RolloutSpec, WorkloadReference
from headrace.runtime.cluster import Cluster
from headrace.runtime.store import Store
from rollout_controller.core import labels
from rollout_controller.core.observed import Deployment, Workload
from rollout_controller.core.workload import (
    SCALE_DOWN_MODES,
    not_found,
    reference_error,
    resolved,
    resource_of,
)


@dataclass(frozen=True, slots=True)
class Found:
    """Where a workloadRef leads.

    Attributes:
        resource: Kind of the workload; None when there is no reference, or an error.
        manifest: The workload.
        error: Why the reference leads nowhere.
        deployment: What workloadRef.scaleDown scales.
    """

    resource: Resource | None = None
    manifest: Manifest | None = None
    error: str = ""
    deployment: Manifest | None = None

    @property
    def version(self) -> tuple[str, int]:
        """What a spec that was resolved with it is valid for."""
        if self.manifest is None:
            return self.error, 0
        return str(self.manifest["metadata"]["uid"]), self.generation

    @property
    def generation(self) -> int:
        """metadata.generation of the workload."""
        metadata = self.manifest["metadata"] if self.manifest else {}
        return int(metadata.get("generation") or 0)

    def resolve(self, spec: RolloutSpec) -> RolloutSpec:
        """Return the spec with what the workload gives."""
        if self.resource is None or self.manifest is None:
            return spec
        return resolved(spec, self.resource, self.manifest)

    def annotations(self, stored: Mapping[str, str]) -> Mapping[str, str]:
        """Return the annotations of the Rollout with the generation of the workload."""
        if self.manifest is not None:
            return {**stored, labels.WORKLOAD_GENERATION: str(self.generation)}
        if self.error or labels.WORKLOAD_GENERATION not in stored:
            return stored
        return {k: v for k, v in stored.items() if k != labels.WORKLOAD_GENERATION}

    def view(self, stored: Mapping[str, str]) -> Workload | None:
        """Return what the core sees of the workload."""
        if self.manifest is None:
            return None
        return Workload(
            generation=self.generation,
            is_annotated=stored.get(labels.WORKLOAD_GENERATION) == str(self.generation),
            deployment=_deployment_view(self.deployment) if self.deployment else None,
        )


NOTHING = Found()


class Workloads:
    """Follows references."""

    def __init__(self, stores: Mapping[Resource, Store], cluster: Cluster) -> None:
        self._stores = stores
        self._cluster = cluster

    async def find(self, rollout: Manifest) -> Found:
        """Return where the workloadRef of a Rollout leads.

        Raises:
            Unavailable: A live read failed; the reconcile is tried again.
        """
        spec = rollout.get("spec") or {}
        if not spec.get("workloadRef"):
            return NOTHING
        try:
            reference = WorkloadReference.load(spec["workloadRef"])
        except ValidationError:
            return NOTHING  # the spec as a whole cannot be read, which is told
        resource = resource_of(reference)
        error = reference_error(spec.get("template"), reference)
        if error or resource is None:
            return Found(error=error)
        namespace, name = rollout["metadata"].get("namespace", ""), reference.name
        try:
            manifest = await self._read(resource, namespace, name)
        except Forbidden:
            text = f"failed to sync informer for {resource.api_version}, Kind={resource.kind}"
            return Found(error=text)
        if manifest is None:
            return Found(error=not_found(resource, name))
        deployment: Manifest | None = None
        if reference.scale_down in SCALE_DOWN_MODES:
            is_deployment = resource == DEPLOYMENTS
            deployment = manifest if is_deployment else await self._deployment(namespace, name)
        return Found(resource, manifest, deployment=deployment)

    async def _read(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        cached = self._stores[resource].get(namespace, name)
        if cached is not None:
            return cached
        try:
            return await self._cluster.get(resource, namespace, name)
        except NotFound:
            return None

    async def _deployment(self, namespace: str, name: str) -> Manifest | None:
        """Return the Deployment of a workload's name: only Deployments are ever scaled."""
        try:
            return await self._read(DEPLOYMENTS, namespace, name)
        except Forbidden:
            return None


def _deployment_view(manifest: dict[str, Any]) -> Deployment:
    replicas = (manifest.get("spec") or {}).get("replicas", 1)
    return Deployment(manifest["metadata"]["name"], int(replicas), manifest)
