"""Plan to port calls: intent, effects, events, claim, messages; one function per effect.

Every write carries what it was computed from, so that neither a stale cache nor a late writer
can overwrite a user's intent; a 409 puts the live object into the store and is raised, and the
reconciler gathers again (architecture, "Writes").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, assert_never

import structlog

from headrace.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    NotFound,
    PermanentError,
    RateLimited,
    Rejected,
    RolloutError,
    TransientError,
)
from headrace.kubernetes.patches import merge_diff
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    DEPLOYMENTS,
    EXPERIMENTS,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
    Resource,
)
from headrace.kubernetes.templates import has_template
from headrace.model.conditions import Reason
from headrace.model.quantities import Instant
from headrace.runtime.cluster import Cluster, JsonPatch, MergePatch
from rollout_controller.caches import Facts
from rollout_controller.core import labels
from rollout_controller.core.decide import plan_of_failure
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import (
    AdoptReplicaSet,
    AnnotateRollout,
    Claim,
    CreateExperiment,
    CreateReplicaSet,
    CreateRun,
    DeleteExperiment,
    DeleteReplicaSet,
    DeleteRun,
    Effect,
    EvictPods,
    Intent,
    PatchPod,
    PatchReplicaSet,
    Plan,
    PlannedEvent,
    PluginCall,
    ReleaseReplicaSet,
    ScaleDeployment,
    SwitchService,
    TerminateExperiment,
    TerminateRun,
)
from rollout_controller.creation import create_under_free_name
from rollout_controller.decoded import Decoded
from rollout_controller.patches import (
    check_kept,
    ownership_operations,
    replica_set_operations,
    scale_operations,
    stored_status,
    with_intent,
    with_names,
)
from rollout_controller.voice import Voice

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Written:
    """The Rollout as this act leaves it: its resourceVersion, status and remembered facts.

    Attributes:
        answered: The status as the API server answered with it; None before a write.
    """

    resource_version: str
    status: Mapping[str, Any]
    has_written: bool = False
    answered: Mapping[str, Any] | None = None
    names: dict[str, str] = field(default_factory=dict)
    replica_sets: dict[str, Manifest] = field(default_factory=dict)


class Callers(Protocol):
    """Who calls the workers of step plugins."""

    def begin(self, observed: Observed, call: PluginCall, now: Instant) -> None:
        """Begin a call, unless it is under way; returns at once."""
        ...

    def forget(self, uid: str) -> None:
        """End the call of a Rollout that is gone."""
        ...


class NoCallers:
    """Calls nobody, for simulators and tools that have no workers."""

    def begin(self, observed: Observed, call: PluginCall, now: Instant) -> None:
        """Do nothing."""

    def forget(self, uid: str) -> None:
        """Do nothing."""


class Actor:
    """Carries plans out.

    Args:
        guard: Returns the port for the writes of a key: it needs the key's Lease, and feeds the
            caches (headrace.runtime.guard).
        memory: Facts, which keep the cause through the passes of one reconcile, and what was
            decoded, to which a claim that is stored adds itself.
        voice: Bus and Kubernetes Events.
        callers: The workers of step plugins.
    """

    def __init__(
        self,
        guard: Callable[[str], Cluster],
        memory: tuple[Facts, Decoded],
        voice: Voice,
        callers: Callers | None = None,
    ) -> None:
        self._guard = guard
        self._facts, self._decoded = memory
        self._voice = voice
        self._callers = callers or NoCallers()

    def forget(self, uid: str) -> None:
        """Drop what is kept about a Rollout that is gone."""
        self._voice.forget(uid)
        self._callers.forget(uid)

    async def act(self, observed: Observed, plan: Plan, *, now: Instant) -> bool:
        """Carry a plan out; return whether anything was written.

        Raises:
            Conflict: Something changed meanwhile; the live object is in its store.
            RolloutError: A write failed; what was done before it stays done and is found again.
        """
        writes_status = plan.intent is not None or plan.claim is not None or bool(plan.effects)
        written = _Written(
            observed.resource_version,
            self._decoded.dumped(observed) if writes_status else {},
            replica_sets={
                rs.name: rs.manifest for rs in (*observed.replica_sets, *observed.orphans)
            },
        )
        is_joined = not plan.effects and plan.claim is not None
        if plan.intent is not None and not is_joined:
            await self._write_intent(observed, plan, written)
            self._voice.publish_request(observed, plan.request, now)
            if _is_asked_abort(observed, plan):
                # Its route is all that counts now: other aborts go before the rest of this
                # pass, which the next one derives again.
                self._keep_cause(observed, written)
                return True
        done: list[Effect | Intent] = [plan.intent] if plan.intent is not None else []
        refused: list[Effect] = []
        for effect in plan.effects:
            try:
                await self._carry_out(observed, effect, written, now)
            except (PermanentError, TransientError, Conflict) as error:
                if isinstance(effect, PatchReplicaSet) and _is_tolerated(effect, error):
                    log.warning("ReplicaSet not changed", key=observed.key, error=str(error))
                    refused.append(effect)
                    continue
                told = tuple(event for event in plan.events if event.tells in done)
                await self._voice.announce(observed, told, before=True)
                if _is_told(effect, error):
                    await self._tell_failure(observed, plan, (effect, error), written, now)
                raise
            done.append(effect)
            # What an eviction does is read from the pods as they go, not from a pass at once.
            written.has_written = written.has_written or not isinstance(effect, EvictPods)
        events = tuple(event for event in plan.events if event.tells not in refused)
        await self._voice.announce(observed, events, before=True)
        if plan.claim is not None:
            await self._write_claim(observed, plan.claim, written)
        if plan.request is not None and (plan.intent is None or is_joined):
            self._voice.publish_request(observed, plan.request, now)
        if plan.call is not None:
            self._callers.begin(observed, plan.call, now)
        await self._voice.announce(observed, events, before=False)
        if plan.claim is None:
            self._voice.settle(observed.uid)
            self._voice.publish_facts(observed, observed.headrace)
        self._keep_cause(observed, written)
        return written.has_written

    async def _tell_failure(
        self,
        observed: Observed,
        plan: Plan,
        failed: tuple[Effect, RolloutError],
        written: _Written,
        now: Instant,
    ) -> None:
        """Claim what the refused effect does not assert; it is tried again with back-off."""
        effect, error = failed
        stored = observed if plan.intent is None else with_intent(observed, plan.intent)
        told = plan_of_failure(stored, effect, str(error), now=now)
        assert told.claim is not None
        await self._voice.announce(observed, told.events, before=True)
        await self._write_claim(observed, told.claim, written)
        await self._voice.announce(observed, told.events, before=False)

    def _keep_cause(self, observed: Observed, written: _Written) -> None:
        """Let the next pass of this reconcile have the cause of this one.

        Else it would name our own write as the cause, and the chain from a command to the
        traffic would end there.
        """
        if written.has_written:
            self._facts.causes[observed.uid] = (observed.cause, observed.actor)
        else:
            self._facts.causes.pop(observed.uid, None)

    # The Rollout itself

    async def _write_claim(self, observed: Observed, planned: Claim, written: _Written) -> None:
        claim = Claim(with_names(planned.status, written.names), planned.headrace)
        await self._store(observed, claim, written)
        self._voice.settle(observed.uid)
        self._voice.publish_facts(observed, claim.headrace)
        self._voice.observe_duration(observed.status.duration, claim.status.duration)

    async def _write_intent(self, observed: Observed, plan: Plan, written: _Written) -> None:
        assert plan.intent is not None
        stored = with_intent(observed, plan.intent)
        await self._store(observed, Claim(stored.status, stored.headrace), written)

    async def _store(self, observed: Observed, claim: Claim, written: _Written) -> None:
        """Write a status, and spare the next pass the decoding of what is stored as we wrote it."""
        await self._write_status(observed, stored_status(claim.status, claim.headrace), written)
        if written.answered is not None and written.answered == written.status:
            self._decoded.claimed(observed.uid, written.answered, claim)

    async def _write_status(
        self, observed: Observed, status: Mapping[str, Any], written: _Written
    ) -> None:
        changes = merge_diff(written.status, status)
        if not changes:
            return
        body = {"metadata": {"resourceVersion": written.resource_version}, "status": changes}
        answer = await self._guard(observed.key).patch(
            ROLLOUTS, observed.namespace, observed.name, MergePatch(body), subresource="status"
        )
        check_kept(answer, status)
        written.resource_version = answer["metadata"]["resourceVersion"]
        written.answered = answer["status"]
        written.status = status
        written.has_written = True

    async def _annotate_rollout(
        self, observed: Observed, effect: AnnotateRollout, written: _Written
    ) -> None:
        body: dict[str, Any] = {
            "metadata": {
                "resourceVersion": written.resource_version,
                "annotations": dict(effect.annotations),
            }
        }
        if effect.replicas is not None:
            body["spec"] = {"replicas": effect.replicas}
        answer = await self._guard(observed.key).patch(
            ROLLOUTS, observed.namespace, observed.name, MergePatch(body)
        )
        written.resource_version = answer["metadata"]["resourceVersion"]

    # Effects

    async def _carry_out(
        self, observed: Observed, effect: Effect, written: _Written, now: Instant
    ) -> None:
        match effect:
            case CreateRun():
                await self._create_run(observed, effect, written, now)
            case CreateReplicaSet():
                await self._create_replica_set(observed, effect, written)
            case AnnotateRollout():
                await self._annotate_rollout(observed, effect, written)
            case PatchReplicaSet():
                await self._patch_replica_set(observed, effect, written)
            case ScaleDeployment():
                await self._scale_deployment(observed, effect)
            case AdoptReplicaSet():
                await self._adopt(observed, effect, written)
            case ReleaseReplicaSet():
                await self._own(observed, written.replica_sets[effect.name], owner=None)
            case DeleteReplicaSet():
                await self._delete(observed, REPLICA_SETS, written.replica_sets[effect.name])
            case SwitchService():
                await self._switch_service(observed, effect)
            case TerminateRun():
                run = next(run for run in observed.runs if run.name == effect.name)
                await self._terminate(observed, ANALYSIS_RUNS, run.manifest)
            case CreateExperiment():
                await self._create_experiment(observed, effect, written)
            case TerminateExperiment():
                found = next(each for each in observed.experiments if each.name == effect.name)
                await self._terminate(observed, EXPERIMENTS, found.manifest)
            case DeleteExperiment():
                found = next(each for each in observed.experiments if each.name == effect.name)
                await self._delete(observed, EXPERIMENTS, found.manifest)
            case DeleteRun():
                run = next(run for run in observed.runs if run.name == effect.name)
                await self._delete(observed, ANALYSIS_RUNS, run.manifest)
            case PatchPod():
                await self._patch_pod(observed, effect)
            case EvictPods():
                await self._evict(observed, effect)
            case _:
                assert_never(effect)

    async def _create_replica_set(
        self, observed: Observed, effect: CreateReplicaSet, written: _Written
    ) -> None:
        try:
            await self._guard(observed.key).create(REPLICA_SETS, effect.manifest)
        except AlreadyExists:
            await self._meet_existing(observed, effect.manifest["metadata"]["name"], written)

    async def _meet_existing(self, observed: Observed, name: str, written: _Written) -> None:
        """Adopt our own ReplicaSet of this name, or count a collision (rollout-api 7.4)."""
        existing = await self._guard(observed.key).get(REPLICA_SETS, observed.namespace, name)
        owners = existing["metadata"].get("ownerReferences") or ()
        is_ours = any(o.get("controller") and o.get("uid") == observed.uid for o in owners)
        if is_ours and has_template(existing, observed.spec.template or {}):
            return
        status = dict(written.status)
        status["collisionCount"] = (observed.status.collision_count or 0) + 1
        await self._write_status(observed, status, written)
        raise Conflict(f"ReplicaSet {name} belongs to somebody else")

    async def _adopt(self, observed: Observed, effect: AdoptReplicaSet, written: _Written) -> None:
        """Adopt an orphan, unless the Rollout itself is gone or going (rollout-api 7.4)."""
        live = await self._guard(observed.key).get(ROLLOUTS, observed.namespace, observed.name)
        metadata = live["metadata"]
        if metadata["uid"] != observed.uid or metadata.get("deletionTimestamp"):
            raise Conflict(f"the Rollout {observed.key} is another one, or being deleted")
        await self._own(observed, written.replica_sets[effect.name], owner=observed.owner_reference)

    async def _own(
        self, observed: Observed, replica_set: Manifest, *, owner: Mapping[str, Any] | None
    ) -> None:
        operations = ownership_operations(replica_set, observed.uid, owner)
        name = replica_set["metadata"]["name"]
        cluster = self._guard(observed.key)
        await cluster.patch(REPLICA_SETS, observed.namespace, name, JsonPatch(operations))

    async def _patch_replica_set(
        self, observed: Observed, effect: PatchReplicaSet, written: _Written
    ) -> None:
        rs = written.replica_sets[effect.name]
        operations = replica_set_operations(rs, effect)
        cluster = self._guard(observed.key)
        answer = await cluster.patch(
            REPLICA_SETS, observed.namespace, effect.name, JsonPatch(operations)
        )
        written.replica_sets[effect.name] = answer

    async def _scale_deployment(self, observed: Observed, effect: ScaleDeployment) -> None:
        assert observed.workload is not None
        assert observed.workload.deployment is not None
        operations = scale_operations(observed.workload.deployment.manifest, effect.replicas)
        cluster = self._guard(observed.key)
        try:
            await cluster.patch(DEPLOYMENTS, observed.namespace, effect.name, JsonPatch(operations))
        except NotFound:
            return  # gone: nothing to scale
        except (Forbidden, Rejected) as error:
            if effect.is_required:
                raise
            log.warning(
                "Deployment not scaled", key=observed.key, name=effect.name, error=str(error)
            )

    async def _switch_service(self, observed: Observed, effect: SwitchService) -> None:
        service = observed.references.services[effect.name]
        metadata: dict[str, Any] = {"resourceVersion": service.resource_version}
        if effect.managed_by is not None:
            metadata["annotations"] = {labels.MANAGED_BY: effect.managed_by}
        body = {"metadata": metadata, "spec": {"selector": {labels.HASH: effect.pod_hash}}}
        await self._guard(observed.key).patch(
            SERVICES, observed.namespace, effect.name, MergePatch(body)
        )

    async def _create_run(
        self, observed: Observed, effect: CreateRun, written: _Written, now: Instant
    ) -> None:
        created = await create_under_free_name(
            self._guard(observed.key), ANALYSIS_RUNS, effect.manifest, "."
        )
        written.names[str(effect.manifest["metadata"]["name"])] = created["metadata"]["name"]
        self._voice.publish_run(observed, created, now)

    async def _create_experiment(
        self, observed: Observed, effect: CreateExperiment, written: _Written
    ) -> None:
        created = await create_under_free_name(
            self._guard(observed.key), EXPERIMENTS, effect.manifest, "-"
        )
        name = created["metadata"]["name"]
        written.names[str(effect.manifest["metadata"]["name"])] = name
        event = PlannedEvent(Reason.EXPERIMENT_CREATED, f"Created Experiment '{name}'")
        await self._voice.announce(observed, (event,), before=True)

    async def _terminate(self, observed: Observed, resource: Resource, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        version = metadata["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"terminate": True}}
        await self._guard(observed.key).patch(
            resource, observed.namespace, metadata["name"], MergePatch(body)
        )

    async def _patch_pod(self, observed: Observed, effect: PatchPod) -> None:
        changes = {"labels": dict(effect.labels), "annotations": dict(effect.annotations)}
        metadata = {name: values for name, values in changes.items() if values}
        try:
            await self._guard(observed.key).patch(
                PODS, observed.namespace, effect.name, MergePatch({"metadata": metadata})
            )
        except NotFound:
            return  # it went away: nothing to label

    async def _evict(self, observed: Observed, effect: EvictPods) -> None:
        cluster, left = self._guard(observed.key), effect.limit
        uids = {pod.name: pod.uid for pod in observed.pods}
        for name in effect.names:
            if left == 0:
                return
            try:
                await cluster.evict(observed.namespace, name, uid=uids[name])
            except RateLimited:
                continue  # a disruption budget says not now: perhaps it lets another one go
            except NotFound:
                pass  # it is gone already, which makes room as little as an eviction does
            left -= 1

    async def _delete(self, observed: Observed, resource: Resource, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        try:
            await self._guard(observed.key).delete(
                resource,
                observed.namespace,
                metadata["name"],
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
            )
        except NotFound:
            return  # gone already


def _is_tolerated(effect: PatchReplicaSet, error: RolloutError) -> bool:
    """Return whether the rest of the plan goes on without the effect."""
    return isinstance(error, Forbidden | Rejected) and not effect.is_required


def _is_told(effect: Effect, error: RolloutError) -> bool:
    """Return whether a failure is told at once; what may pass by itself is tried again first."""
    if isinstance(error, Conflict):
        return False  # gathered again within this very reconcile
    return isinstance(error, Forbidden | Rejected) or isinstance(effect, CreateReplicaSet)


def _is_asked_abort(observed: Observed, plan: Plan) -> bool:
    """Return whether the intent asks for the route of an abort that a person wrote.

    One that the engine decides has Events of its own in the same pass.
    """
    is_route = plan.intent is not None and plan.request is not None and plan.request.aborted
    return observed.status.abort and is_route
