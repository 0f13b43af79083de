"""What a plan of the rollout-controller makes of the stored objects, one request after the other.

The order is the plan's: intent, request, effects, claim. Time passes in every request, so a crash,
a user or another process comes between any two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from headrace.errors import AlreadyExists, NotFound, RateLimited
from headrace.kubernetes.patches import merge_diff
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
    Resource,
)
from headrace.model.route import RouteDocument
from headrace.runtime.cluster import JsonPatch, MergePatch
from headrace_sandbox.cores.process import Process
from headrace_sandbox.nodes import drive
from rollout_controller.core import labels
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import (
    AnnotateRollout,
    Claim,
    CreateReplicaSet,
    CreateRun,
    DeleteReplicaSet,
    DeleteRun,
    Effect,
    EvictPods,
    PatchPod,
    PatchReplicaSet,
    Plan,
    SwitchService,
    TerminateRun,
    describe,
)
from rollout_controller.creation import create_under_free_name
from rollout_controller.decoded import Decoded
from rollout_controller.patches import (
    replica_set_operations,
    stored_status,
    with_intent,
    with_names,
)


class Unplayable(Exception):
    """An effect that this ring has no hands for."""


class Hands:
    """Carries one plan out.

    Args:
        process: Whose plan it is.
        observed: What it was made from.
        decoded: Takes note of a claim that is stored.
    """

    def __init__(self, process: Process, observed: Observed, decoded: Decoded) -> None:
        self._process = process
        self._observed = observed
        self._decoded = decoded
        self._version = observed.resource_version
        self._names: dict[str, str] = {}
        self._sets = {rs.name: rs.manifest for rs in observed.replica_sets}
        self.has_written = False

    def carry_out(self, plan: Plan, ask: Callable[[RouteDocument], None]) -> bool:
        """Do all that the plan wants; return whether anything was written. Raises RolloutError."""
        status: Mapping[str, Any] = {}
        if plan.intent is not None or plan.claim is not None:
            status = self._decoded.dumped(self._observed)
        is_joined = not plan.effects and plan.claim is not None
        if plan.intent is not None and not is_joined:
            stored = with_intent(self._observed, plan.intent)
            status = self._store(status, Claim(stored.status, stored.headrace))
            if plan.request is not None:
                ask(plan.request)
        for effect in plan.effects:
            self._carry_out(effect)
            self.has_written = True
        if plan.claim is not None:
            named = with_names(plan.claim.status, self._names)
            self._store(status, Claim(named, plan.claim.headrace))
        if plan.request is not None and (plan.intent is None or is_joined):
            ask(plan.request)
        return self.has_written

    def _store(self, before: Mapping[str, Any], claim: Claim) -> Mapping[str, Any]:
        """Write what a claim changes of the status before it; return the status as claimed."""
        after = stored_status(claim.status, claim.headrace)
        changes = merge_diff(before, after)
        if changes:
            body = {"metadata": {"resourceVersion": self._version}, "status": changes}
            name = self._observed.name
            answer = self._patch(ROLLOUTS, name, MergePatch(body), subresource="status")
            self._version = answer["metadata"]["resourceVersion"]
            self.has_written = True
            if answer["status"] == after:
                self._decoded.claimed(self._observed.uid, answer["status"], claim)
        return after

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case CreateReplicaSet(manifest):
                self._create_replica_set(manifest)
            case AnnotateRollout():
                self._annotate(effect)
            case PatchReplicaSet(name):
                operations = replica_set_operations(self._sets[name], effect)
                self._sets[name] = self._patch(REPLICA_SETS, name, JsonPatch(operations))
            case DeleteReplicaSet(name):
                self._delete(REPLICA_SETS, self._sets[name])
            case SwitchService():
                self._switch(effect)
            case CreateRun(manifest):
                cluster = self._process.cluster
                created = drive(create_under_free_name(cluster, ANALYSIS_RUNS, manifest, "."))
                self._process.sight.offer(ANALYSIS_RUNS, created)
                self._names[str(manifest["metadata"]["name"])] = created["metadata"]["name"]
            case TerminateRun(name):
                version = self._run(name)["metadata"]["resourceVersion"]
                body = {"metadata": {"resourceVersion": version}, "spec": {"terminate": True}}
                self._patch(ANALYSIS_RUNS, name, MergePatch(body))
            case DeleteRun(name):
                self._delete(ANALYSIS_RUNS, self._run(name))
            case PatchPod(name, changed_labels, changed_annotations):
                metadata = {
                    "labels": dict(changed_labels),
                    "annotations": dict(changed_annotations),
                }
                self._patch(PODS, name, MergePatch({"metadata": metadata}))
            case EvictPods():
                self._evict(effect)
            case _:
                raise Unplayable(describe(effect))

    def _create_replica_set(self, manifest: Manifest) -> None:
        try:
            created = drive(self._process.cluster.create(REPLICA_SETS, manifest))
        except AlreadyExists:  # made by a pass that did not live to see it
            namespace, name = self._observed.namespace, manifest["metadata"]["name"]
            created = drive(self._process.cluster.get(REPLICA_SETS, namespace, name))
        self._process.sight.offer(REPLICA_SETS, created)

    def _annotate(self, effect: AnnotateRollout) -> None:
        metadata = {"resourceVersion": self._version, "annotations": dict(effect.annotations)}
        body: dict[str, Any] = {"metadata": metadata}
        if effect.replicas is not None:
            body["spec"] = {"replicas": effect.replicas}
        answer = self._patch(ROLLOUTS, self._observed.name, MergePatch(body))
        self._version = answer["metadata"]["resourceVersion"]

    def _switch(self, effect: SwitchService) -> None:
        service = self._observed.references.services[effect.name]
        metadata: dict[str, Any] = {"resourceVersion": service.resource_version}
        if effect.managed_by is not None:
            metadata["annotations"] = {labels.MANAGED_BY: effect.managed_by}
        body = {"metadata": metadata, "spec": {"selector": {labels.HASH: effect.pod_hash}}}
        self._patch(SERVICES, effect.name, MergePatch(body))

    def _evict(self, effect: EvictPods) -> None:
        uids = {pod.name: pod.uid for pod in self._observed.pods}
        for name in effect.names[: effect.limit]:
            try:
                drive(self._process.cluster.evict(self._observed.namespace, name, uid=uids[name]))
            except (NotFound, RateLimited):
                continue

    def _run(self, name: str) -> Manifest:
        return next(run.manifest for run in self._observed.runs if run.name == name)

    def _delete(self, resource: Resource, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        drive(
            self._process.cluster.delete(
                resource,
                self._observed.namespace,
                metadata["name"],
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
            )
        )

    def _patch(
        self, resource: Resource, name: str, patch: MergePatch | JsonPatch, subresource: str = ""
    ) -> Manifest:
        answer = drive(
            self._process.cluster.patch(
                resource, self._observed.namespace, name, patch, subresource=subresource
            )
        )
        self._process.sight.offer(resource, answer)
        return answer
