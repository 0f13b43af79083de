"""Plan to port calls: effects, each with its Event, the other Events, the claim.

What the API server refuses for ever is kept as a failure and ends the pass: the core decides what
follows from it. Everything else that fails is tried again by the reconciler.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from headrace.errors import AlreadyExists, Forbidden, NotFound, Rejected
from headrace.events.envelope import Event
from headrace.events.rollout import AnalysisRequested
from headrace.events.topics import KEY_ANNOTATION, Topic
from headrace.ids import object_cause
from headrace.kubernetes.patches import merge_diff
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    EXPERIMENTS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
    Resource,
)
from headrace.kubernetes.templates import has_template
from headrace.model.experiment import ExperimentStatus
from headrace.model.quantities import Instant
from headrace.runtime.bus import Bus
from headrace.runtime.cluster import Cluster, JsonPatch, MergePatch
from rollout_controller.announcer import Announcer, Recorder
from rollout_controller.core.experiment import analyses, templates
from rollout_controller.core.experiment.observed import Failure, FailureKind, Observed
from rollout_controller.core.experiment.plan import (
    CreateReplicaSet,
    CreateRun,
    CreateService,
    DeleteService,
    Effect,
    PatchTemplate,
    Plan,
    TerminateRun,
)
from rollout_controller.core.plan import PlannedEvent
from rollout_controller.creation import create_under_free_name
from rollout_controller.experiments.facts import Failures
from rollout_controller.patches import replica_set_operations


class NameTaken(Rejected):
    """A ReplicaSet's name, which knows no alternative, is somebody else's."""


@dataclass(slots=True)
class _Done:
    """What this act has done: the ReplicaSets as they are now, and the names that runs got."""

    replica_sets: dict[str, Manifest]
    run_names: dict[str, str] = field(default_factory=dict)


class Actor:
    """Carries plans for Experiments out.

    Args:
        guard: Returns the port for the writes of a key: it needs the key's Lease, and feeds the
            caches.
        failures: Takes what could not be done.
        recorder: For Kubernetes Events.
        requests: Bus and topic for the requests that runs stand for.
        source: UID of the kube-system namespace.
    """

    def __init__(
        self,
        guard: Callable[[str], Cluster],
        failures: Failures,
        recorder: Recorder,
        requests: tuple[Bus, Topic],
        source: str,
    ) -> None:
        self._guard = guard
        self._failures = failures
        self._recorder = recorder
        self._announcer = Announcer(recorder)
        self._bus, self._steps = requests
        self._source = source

    def forget(self, uid: str) -> None:
        """Drop what is kept about an Experiment that is gone."""
        self._failures.forget(uid)
        self._announcer.settle(uid)

    async def act(self, observed: Observed, plan: Plan, *, now: Instant) -> bool:
        """Carry a plan out; return whether anything was written or found out.

        Raises:
            Conflict: Something changed meanwhile; the live object is in its store.
            RolloutError: A write failed; what was done before it stays done and is found again.
        """
        done = _Done({name: rs.manifest for name, rs in observed.replica_sets.items()})
        for effect in plan.effects:
            if not await self._try(observed, effect, done, now):
                return True
        for event in plan.events:
            await self._announcer.say(observed.uid, _experiment(observed), event)
        for event in plan.rollout_events:
            await self._announcer.say(observed.uid, _rollout(observed), event)
        has_claimed = plan.claim is not None and await self._claim(observed, plan.claim, done)
        self._announcer.settle(observed.uid)
        return bool(plan.effects) or has_claimed

    async def _try(self, observed: Observed, effect: Effect, done: _Done, now: Instant) -> bool:
        """Carry one effect out; return False when it is refused for ever, which is kept."""
        subject = _subject(effect)
        try:
            await self._carry_out(observed, effect, done, now)
        except (Forbidden, Rejected) as error:
            if subject is None:
                raise
            kind = "collision" if isinstance(error, NameTaken) else _kind(effect)
            self._failures.add(observed.uid, subject, Failure(kind, str(error), now))
            return False
        if subject is not None:
            self._failures.forget(observed.uid, subject)
        return True

    async def _claim(self, observed: Observed, claim: ExperimentStatus, done: _Done) -> bool:
        runs = tuple(
            run.model_copy(
                update={"analysis_run": done.run_names.get(run.analysis_run, run.analysis_run)}
            )
            for run in claim.analysis_runs
        )
        claim = claim.model_copy(update={"analysis_runs": runs})
        changes = merge_diff(observed.status.dump(), claim.dump())
        if not changes:
            return False
        body = {"metadata": {"resourceVersion": observed.resource_version}, "status": changes}
        await self._port(observed).patch(
            EXPERIMENTS, observed.namespace, observed.name, MergePatch(body)
        )
        return True

    async def _record(self, involved: Manifest, event: PlannedEvent | None) -> None:
        if event is not None:
            await self._recorder.record(involved, event.reason, event.message, event.type)

    def _port(self, observed: Observed) -> Cluster:
        return self._guard(observed.key)

    # Effects

    async def _carry_out(
        self, observed: Observed, effect: Effect, done: _Done, now: Instant
    ) -> None:
        match effect:
            case CreateReplicaSet():
                await self._create_replica_set(observed, effect)
            case PatchTemplate():
                await self._patch_template(observed, effect, done)
            case CreateService():
                await self._create_service(observed, effect)
            case DeleteService():
                await self._delete_service(observed, effect)
            case CreateRun():
                await self._create_run(observed, effect, done, now)
            case TerminateRun():
                await self._terminate_run(observed, effect)
            case _:
                assert_never(effect)

    async def _create_replica_set(self, observed: Observed, effect: CreateReplicaSet) -> None:
        """Create a ReplicaSet; one of that name that is ours already is taken (experiment 4.1)."""
        name = effect.manifest["metadata"]["name"]
        try:
            await self._port(observed).create(REPLICA_SETS, effect.manifest)
        except AlreadyExists:
            existing = await self._port(observed).get(REPLICA_SETS, observed.namespace, name)
            is_ours = _is_same_part(existing, effect.manifest)
            if not is_ours or not has_template(existing, effect.manifest["spec"]["template"]):
                raise NameTaken(f'ReplicaSet "{name}" belongs to somebody else') from None
            return
        await self._record(_experiment(observed), effect.event)

    async def _patch_template(self, observed: Observed, effect: PatchTemplate, done: _Done) -> None:
        operations = replica_set_operations(done.replica_sets[effect.template], effect.patch)
        done.replica_sets[effect.template] = await self._port(observed).patch(
            REPLICA_SETS, observed.namespace, effect.patch.name, JsonPatch(operations)
        )
        await self._record(_experiment(observed), effect.event)

    async def _create_service(self, observed: Observed, effect: CreateService) -> None:
        name = effect.manifest["metadata"]["name"]
        try:
            await self._port(observed).create(SERVICES, effect.manifest)
        except AlreadyExists:
            existing = await self._port(observed).get(SERVICES, observed.namespace, name)
            if not _is_same_part(existing, effect.manifest):
                raise Rejected(
                    f"service {name} already exists and is not owned by experiment template "
                    f"{effect.template}"
                ) from None

    async def _delete_service(self, observed: Observed, effect: DeleteService) -> None:
        service = observed.services[effect.template]
        try:
            await self._port(observed).delete(
                SERVICES,
                observed.namespace,
                service.name,
                uid=service.uid,
                resource_version=service.resource_version,
            )
        except NotFound:
            return  # gone already

    async def _create_run(
        self, observed: Observed, effect: CreateRun, done: _Done, now: Instant
    ) -> None:
        manifest = effect.manifest
        created = await create_under_free_name(self._port(observed), ANALYSIS_RUNS, manifest, ".")
        done.run_names[str(manifest["metadata"]["name"])] = created["metadata"]["name"]
        namespace, _, rollout = observed.key.partition("/")
        payload = AnalysisRequested(
            namespace=namespace,
            rollout=rollout,
            uid=observed.rollout.uid if observed.rollout else observed.uid,
            reason="AnalysisRequested",
            message=f"AnalysisRun {created['metadata']['name']} created",
            run=created["metadata"]["name"],
            run_uid=created["metadata"]["uid"],
        )
        cause = object_cause(observed.uid, observed.resource_version)
        event = Event.of(payload, source=self._source, time=now, causation_id=cause)
        self._bus.publish(self._steps, event)

    async def _terminate_run(self, observed: Observed, effect: TerminateRun) -> None:
        run = next(run for run in observed.runs if run.name == effect.name)
        version = run.manifest["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"terminate": True}}
        await self._port(observed).patch(
            ANALYSIS_RUNS, observed.namespace, effect.name, MergePatch(body)
        )
        await self._record(_experiment(observed), effect.event)


def _subject(effect: Effect) -> str | None:
    """Return what an effect is for; None where a refusal is no fact about the Experiment."""
    match effect:
        case CreateRun():
            return analyses.subject(effect.analysis)
        case TerminateRun():
            return None
        case _:
            return templates.subject(effect.template)


def _kind(effect: Effect) -> FailureKind:
    match effect:
        case CreateReplicaSet():
            return "create"
        case PatchTemplate():
            return "scale"
        case CreateService():
            return "service"
        case DeleteService():
            return "service_removal"
        case _:
            return "run"


def _is_same_part(existing: Manifest, wanted: Manifest) -> bool:
    """Return whether an object is controlled by the Experiment, for the same template."""
    uid = wanted["metadata"]["ownerReferences"][0]["uid"]
    owners = existing["metadata"].get("ownerReferences") or ()
    is_owned = any(owner.get("controller") and owner.get("uid") == uid for owner in owners)
    annotations = existing["metadata"].get("annotations") or {}
    return is_owned and wanted["metadata"]["annotations"].items() <= annotations.items()


def _experiment(observed: Observed) -> Manifest:
    involved = _involved(EXPERIMENTS, observed, observed.name, observed.uid)
    involved["metadata"]["resourceVersion"] = observed.resource_version
    involved["metadata"]["annotations"] = {KEY_ANNOTATION: observed.key}
    return involved


def _rollout(observed: Observed) -> Manifest:
    assert observed.rollout is not None
    rollout = observed.rollout
    involved = _involved(ROLLOUTS, observed, rollout.name, rollout.uid)
    involved["metadata"]["resourceVersion"] = rollout.resource_version
    return involved


def _involved(resource: Resource, observed: Observed, name: str, uid: str) -> Manifest:
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"namespace": observed.namespace, "name": name, "uid": uid},
    }
