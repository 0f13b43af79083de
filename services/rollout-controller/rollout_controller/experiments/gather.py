"""Ports to snapshot: reads everything that the core may know of one Experiment.

Caches only, but for a run that the status names and the cache does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from headrace.errors import NotFound, PermanentError
from headrace.kubernetes.resources import ANALYSIS_RUNS, Manifest
from headrace.model.conditions import PauseReason
from headrace.model.experiment import ExperimentSpec, ExperimentStatus
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.quantities import Instant
from headrace.model.rollout_status import RolloutStatus
from headrace.runtime.cluster import Cluster
from rollout_controller.caches import Caches, Facts
from rollout_controller.core import labels
from rollout_controller.core.experiment.observed import Observed, OwningRollout, TemplateService
from rollout_controller.core.observed import References, RunObject
from rollout_controller.core.routers import known_shares
from rollout_controller.experiments.facts import Failures, rollout_owner, work_key
from rollout_controller.lookups import Templates, owned_runs
from rollout_controller.views import replica_set_view


class Gatherer:
    """Builds snapshots from the caches.

    Args:
        sources: Caches and facts of the bus.
        failures: What could not be done since the last claim.
        cluster: For the live reads.
    """

    def __init__(self, sources: tuple[Caches, Facts], failures: Failures, cluster: Cluster) -> None:
        self._caches, self._facts = sources
        self._failures = failures
        self._cluster = cluster

    async def gather(self, key: str, now: Instant) -> Observed | None:
        """Return the snapshot of an Experiment, None when it does not exist.

        Raises:
            Unavailable: A live read failed; the reconcile is tried again.
            PermanentError: Two objects claim to be the same part of it.
        """
        namespace, _, name = key.partition("/")
        manifest = self._caches.experiments.get(namespace, name)
        if manifest is None:
            return None
        metadata = manifest["metadata"]
        uid = metadata["uid"]
        status = ExperimentStatus.load(manifest.get("status") or {})
        raw_spec = manifest.get("spec") or {}
        spec, spec_error = _spec(raw_spec)
        sets = self._owned("ReplicaSets", self._caches.replica_sets.by_index("owner", uid), name)
        services = self._owned("Services", self._caches.services.by_index("owner", uid), name)
        return Observed(
            namespace=namespace,
            name=name,
            uid=uid,
            resource_version=metadata["resourceVersion"],
            key=work_key(manifest),
            labels=metadata.get("labels") or {},
            is_deleting=bool(metadata.get("deletionTimestamp")),
            spec=spec,
            raw_spec=raw_spec,
            status=status,
            spec_error=spec_error,
            replica_sets={template: replica_set_view(each) for template, each in sets.items()},
            services={template: _service(each) for template, each in services.items()},
            runs=await self._runs(namespace, uid, status),
            references=References(
                templates=Templates(self._caches.templates, namespace),
                cluster_templates=Templates(self._caches.cluster_templates, None),
            ),
            rollout=self._rollout(manifest),
            failures=self._failures.by_uid.get(uid, {}),
        )

    def _owned(self, what: str, found: Sequence[Manifest], name: str) -> dict[str, Manifest]:
        """Return the objects of an Experiment by template (experiment 3.1)."""
        owned: dict[str, Manifest] = {}
        for manifest in found:
            annotations = manifest["metadata"].get("annotations") or {}
            template = annotations.get(labels.EXPERIMENT_TEMPLATE)
            if annotations.get(labels.EXPERIMENT) != name or template is None:
                continue
            if template in owned:
                raise PermanentError(
                    f"multiple {what} match single experiment template: {template}"
                )
            owned[template] = manifest
        return owned

    async def _runs(
        self, namespace: str, uid: str, status: ExperimentStatus
    ) -> tuple[RunObject, ...]:
        runs = owned_runs(self._caches, self._facts, uid)
        missing = {each.analysis_run for each in status.analysis_runs} - {run.name for run in runs}
        if missing - {""}:
            await self._fetch(namespace, sorted(missing - {""}))
            runs = owned_runs(self._caches, self._facts, uid)
        return runs

    async def _fetch(self, namespace: str, names: Iterable[str]) -> None:
        for name in names:
            try:
                self._caches.runs.offer(await self._cluster.get(ANALYSIS_RUNS, namespace, name))
            except NotFound:
                continue

    def _rollout(self, experiment: Manifest) -> OwningRollout | None:
        owner = rollout_owner(experiment)
        if owner is None:
            return None
        metadata = experiment["metadata"]
        rollout = self._caches.rollouts.get(metadata.get("namespace", ""), owner["name"])
        if rollout is None or rollout["metadata"]["uid"] != owner.get("uid"):
            return None
        raw = rollout.get("status") or {}
        status = RolloutStatus.load({k: v for k, v in raw.items() if k != "headrace"})
        is_noted = any(
            pause.reason == PauseReason.INCONCLUSIVE_EXPERIMENT for pause in status.pause_conditions
        )
        return OwningRollout(
            name=owner["name"],
            uid=owner["uid"],
            resource_version=rollout["metadata"]["resourceVersion"],
            relies_on_it=status.canary.current_experiment == metadata["name"] and not is_noted,
            weighted=_weighted(rollout.get("spec") or {}),
            shares=known_shares(status, HeadraceStatus.remembered(raw.get("headrace"))),
        )


def _spec(raw: Mapping[str, Any]) -> tuple[ExperimentSpec, str]:
    try:
        return ExperimentSpec.load(dict(raw)), ""
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        return ExperimentSpec(templates=()), f"spec.{path}: {first['msg']}"


def _service(manifest: Manifest) -> TemplateService:
    metadata = manifest["metadata"]
    return TemplateService(metadata["name"], metadata["uid"], metadata["resourceVersion"])


def _weighted(spec: Mapping[str, Any]) -> frozenset[str]:
    """Return the templates that any step of a Rollout gives a weight."""
    canary = (spec.get("strategy") or {}).get("canary") or {}
    return frozenset(
        template.get("name", "")
        for step in canary.get("steps") or ()
        for template in (step.get("experiment") or {}).get("templates") or ()
        if template.get("weight") is not None
    )
