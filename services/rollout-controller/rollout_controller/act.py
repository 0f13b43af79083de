"""Plan to port calls: intent, effects, events, claim, messages; one function per effect.

Every write carries what it was computed from, so that neither a stale cache nor a late writer
can overwrite a user's intent; a 409 puts the live object into the store and is raised, and the
reconciler gathers again (architecture, "Writes").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, assert_never

from headrace.errors import (
    AlreadyExists,
    Conflict,
    NotFound,
    RateLimited,
    Rejected,
    RolloutError,
)
from headrace.events.envelope import Event
from headrace.events.outbox import Teller, unpublished
from headrace.events.rollout import AnalysisRequested, RouteRequested
from headrace.events.topics import Topic
from headrace.kubernetes.patches import merge_diff, pointer
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
    Resource,
)
from headrace.kubernetes.templates import has_template
from headrace.model.conditions import Reason
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace.model.rollout_status import RolloutStatus
from headrace.model.route import RouteDocument
from headrace.runtime.bus import Bus
from headrace.runtime.cluster import Cluster, JsonPatch, MergePatch
from rollout_controller.caches import Facts
from rollout_controller.core import labels
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import (
    AnnotateRollout,
    CreateReplicaSet,
    CreateRun,
    DeleteReplicaSet,
    DeleteRun,
    Effect,
    EvictPod,
    PatchPod,
    PatchReplicaSet,
    Plan,
    PlannedEvent,
    SwitchService,
    TerminateRun,
)

RUN_NAMES_MAX = 100
"""Names tried for one run before the reconcile gives up; each is taken by another run."""


class Recorder(Protocol):
    """Creates Kubernetes Events; never fails a reconcile."""

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        """Create one Event on an object."""
        ...


@dataclass(slots=True)
class _Resend:
    """When an unacknowledged request was published last, and the delay until it is again."""

    epoch: int
    renewal: int
    at: Instant
    delay_seconds: float


@dataclass(slots=True)
class _Written:
    """The Rollout as this act leaves it: its resourceVersion, status and remembered facts."""

    resource_version: str
    status: Mapping[str, Any]
    has_written: bool = False
    run_names: dict[str, str] = field(default_factory=dict)
    replica_sets: dict[str, Manifest] = field(default_factory=dict)


class Actor:
    """Carries plans out.

    Args:
        guard: Returns the port for the writes of a key: it needs the key's Lease, and feeds the
            caches (headrace.runtime.guard).
        facts: Told which history facts the broker has.
        bus: Where requests and facts go.
        steps: Topic of both.
        recorder: For Kubernetes Events.
    """

    def __init__(
        self,
        guard: Callable[[str], Cluster],
        facts: Facts,
        bus: Bus,
        steps: Topic,
        recorder: Recorder,
    ) -> None:
        self._guard = guard
        self._facts = facts
        self._bus = bus
        self._steps = steps
        self._recorder = recorder
        self._resends: dict[str, _Resend] = {}
        self._queued: dict[str, int] = {}

    def forget(self, uid: str) -> None:
        """Drop what is kept about a Rollout that is gone."""
        self._resends.pop(uid, None)
        self._queued.pop(uid, None)

    async def act(self, observed: Observed, plan: Plan, *, now: Instant) -> bool:
        """Carry a plan out; return whether anything was written.

        Raises:
            Conflict: Something changed meanwhile; the live object is in its store.
            RolloutError: A write failed; what was done before it stays done and is found again.
        """
        written = _Written(
            observed.resource_version,
            _stored(observed.status, observed.headrace),
            replica_sets={rs.name: rs.manifest for rs in observed.replica_sets},
        )
        is_joined = not plan.effects and plan.claim is not None
        if plan.intent is not None and not is_joined:
            await self._write_intent(observed, plan, written)
            self._publish_request(observed, plan.request, now)
        for effect in plan.effects:
            await self._carry_out(observed, effect, written, now)
            written.has_written = True
        await self._announce(observed, plan.events, before=True)
        if plan.claim is not None:
            claimed = _with_run_names(plan.claim.status, written.run_names)
            status = _stored(claimed, plan.claim.headrace)
            await self._write_status(observed, status, written)
            self._publish_facts(observed, plan.claim.headrace)
        if plan.request is not None and (plan.intent is None or is_joined):
            self._publish_request(observed, plan.request, now)
        await self._announce(observed, plan.events, before=False)
        self._facts.causes.pop(observed.uid, None)
        if plan.claim is None:
            self._publish_facts(observed, observed.headrace)
        return written.has_written

    # The Rollout itself

    async def _write_intent(self, observed: Observed, plan: Plan, written: _Written) -> None:
        assert plan.intent is not None
        status = dict(written.status)
        status["headrace"] = plan.intent.headrace.dump()
        if plan.intent.aborted_at is not None:
            status["abort"] = True
            status["abortedAt"] = format_time(plan.intent.aborted_at)
        await self._write_status(observed, status, written)

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
        _check_kept(answer, status)
        written.resource_version = answer["metadata"]["resourceVersion"]
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
            case DeleteReplicaSet():
                await self._delete(observed, REPLICA_SETS, written.replica_sets[effect.name])
            case SwitchService():
                await self._switch_service(observed, effect)
            case TerminateRun():
                await self._terminate_run(observed, effect)
            case DeleteRun():
                run = next(run for run in observed.runs if run.name == effect.name)
                await self._delete(observed, ANALYSIS_RUNS, run.manifest)
            case PatchPod():
                await self._patch_pod(observed, effect)
            case EvictPod():
                await self._evict(observed, effect)
            case _:
                assert_never(effect)

    async def _create_replica_set(
        self, observed: Observed, effect: CreateReplicaSet, written: _Written
    ) -> None:
        manifest = effect.manifest
        name = manifest["metadata"]["name"]
        try:
            await self._guard(observed.key).create(REPLICA_SETS, manifest)
        except AlreadyExists:
            await self._meet_existing(observed, name, written)
        except Conflict:
            raise
        except RolloutError as error:
            text = f'Failed to create new replica set "{name}": {error}'
            event = PlannedEvent(Reason.REPLICA_SET_CREATE_ERROR, text, "Warning")
            await self._announce(observed, (event,), before=True)
            raise

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

    async def _patch_replica_set(
        self, observed: Observed, effect: PatchReplicaSet, written: _Written
    ) -> None:
        rs = written.replica_sets[effect.name]
        operations = _replica_set_operations(rs, effect)
        cluster = self._guard(observed.key)
        answer = await cluster.patch(
            REPLICA_SETS, observed.namespace, effect.name, JsonPatch(operations)
        )
        written.replica_sets[effect.name] = answer

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
        """Create a run under the first free name (canary 7, collisions)."""
        cluster = self._guard(observed.key)
        base = str(effect.manifest["metadata"]["name"])
        for number in range(RUN_NAMES_MAX):
            name = base if number == 0 else f"{base}.{number}"
            metadata = {**effect.manifest["metadata"], "name": name}
            try:
                created = await cluster.create(
                    ANALYSIS_RUNS, {**effect.manifest, "metadata": metadata}
                )
            except AlreadyExists:
                existing = await cluster.get(ANALYSIS_RUNS, observed.namespace, name)
                if not _is_same_run(existing, effect.manifest):
                    continue
                created = existing
            written.run_names[base] = name
            self._publish_run(observed, created, now)
            return
        raise AlreadyExists(f"no free name for AnalysisRun {base}")

    async def _terminate_run(self, observed: Observed, effect: TerminateRun) -> None:
        run = next(run for run in observed.runs if run.name == effect.name)
        version = run.manifest["metadata"]["resourceVersion"]
        body = {"metadata": {"resourceVersion": version}, "spec": {"terminate": True}}
        await self._guard(observed.key).patch(
            ANALYSIS_RUNS, observed.namespace, effect.name, MergePatch(body)
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

    async def _evict(self, observed: Observed, effect: EvictPod) -> None:
        try:
            await self._guard(observed.key).evict(observed.namespace, effect.name, uid=effect.uid)
        except (RateLimited, NotFound):
            return  # a disruption budget says not now, or the pod is gone: both are fine

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

    # What others are told

    async def _announce(
        self, observed: Observed, events: tuple[PlannedEvent, ...], *, before: bool
    ) -> None:
        for event in events:
            if event.is_before_claim == before:
                await self._recorder.record(
                    _involved(observed), event.reason, event.message, event.type
                )

    def _publish_request(
        self, observed: Observed, route: RouteDocument | None, now: Instant
    ) -> None:
        """Publish a route request, again with growing delays while it stays unanswered."""
        if route is None:
            return
        last = self._resends.get(observed.uid)
        first = observed.settings.route_resend_seconds
        if last is not None and (last.epoch, last.renewal) == (route.epoch, route.renewal):
            if now < last.at + last.delay_seconds:
                return
            first = min(last.delay_seconds * 2, observed.settings.route_renew_seconds)
        self._resends[observed.uid] = _Resend(route.epoch, route.renewal, now, first)
        payload = RouteRequested(
            namespace=observed.namespace,
            rollout=observed.name,
            uid=observed.uid,
            generation=observed.generation,
            revision=observed.annotations.get(labels.REVISION, ""),
            pod_hash=route.hashes.canary,
            epoch=route.epoch,
            reason="RouteRequested",
            message=f"canary {route.weights.canary} of {route.weights.base}",
            route=route,
        )
        self._publish(observed, payload, now, route.causation, route.actor)

    def _publish_run(self, observed: Observed, run: Manifest, now: Instant) -> None:
        run_labels = run["metadata"].get("labels") or {}
        step = run_labels.get(labels.STEP_INDEX)
        payload = AnalysisRequested(
            namespace=observed.namespace,
            rollout=observed.name,
            uid=observed.uid,
            generation=observed.generation,
            revision=observed.annotations.get(labels.REVISION, ""),
            pod_hash=run_labels.get(labels.HASH, ""),
            epoch=observed.headrace.epoch,
            reason="AnalysisRequested",
            message=f"AnalysisRun {run['metadata']['name']} created",
            run=run["metadata"]["name"],
            run_uid=run["metadata"]["uid"],
            run_type=run_labels.get(labels.ROLLOUT_TYPE),
            step=int(step) if step is not None else None,
        )
        self._publish(observed, payload, now, observed.cause, observed.actor)

    def _publish(
        self,
        observed: Observed,
        payload: RouteRequested | AnalysisRequested,
        now: Instant,
        causation: str,
        actor: str | None,
    ) -> None:
        event = Event.of(
            payload,
            source=observed.settings.cluster_uid,
            time=now,
            causation_id=causation,
            actor=actor,
        )
        self._bus.publish(self._steps, event)

    def _publish_facts(self, observed: Observed, headrace: HeadraceStatus) -> None:
        """Publish the history facts that the broker does not have and that are not queued."""
        uid = observed.uid
        queued = self._queued.get(uid, headrace.published)
        teller = Teller(observed.settings.cluster_uid, observed.namespace, observed.name, uid)
        if not headrace.history or headrace.history[-1].ordinal <= queued:
            return
        for event in unpublished(headrace, teller):
            ordinal = int(getattr(event.payload, "ordinal", 0))
            if ordinal <= queued:
                continue
            if not self._bus.publish(self._steps, event, on_delivered=self._delivered):
                break
            self._queued[uid] = ordinal

    def _delivered(self, event: Event) -> None:
        ordinal = int(getattr(event.payload, "ordinal", 0))
        self._facts.delivered.setdefault(event.payload.uid, set()).add(ordinal)


def _involved(observed: Observed) -> Manifest:
    return {
        "apiVersion": ROLLOUTS.api_version,
        "kind": ROLLOUTS.kind,
        "metadata": {
            "namespace": observed.namespace,
            "name": observed.name,
            "uid": observed.uid,
            "resourceVersion": observed.resource_version,
        },
    }


def _check_kept(answer: Manifest, status: Mapping[str, Any]) -> None:
    """Refuse to go on when the server prunes what we remember.

    Raises:
        Rejected: The CRD of another release is installed; install that of Headrace.
    """
    wanted = (status.get("headrace") or {}).get("epoch")
    kept = ((answer.get("status") or {}).get("headrace") or {}).get("epoch")
    if wanted != kept:
        raise Rejected(
            "the API server drops status.headrace: install the CRDs with "
            "`kubectl apply --server-side -f deploy/crds`"
        )


def _with_run_names(status: RolloutStatus, names: Mapping[str, str]) -> RolloutStatus:
    """Return the status with the names that new runs really got."""
    update = {}
    for field_name in (
        "current_step_analysis_run_status",
        "current_background_analysis_run_status",
    ):
        reference = getattr(status.canary, field_name)
        if reference is not None and names.get(reference.name, reference.name) != reference.name:
            update[field_name] = reference.model_copy(update={"name": names[reference.name]})
    if not update:
        return status
    return status.model_copy(update={"canary": status.canary.model_copy(update=update)})


def _stored(status: RolloutStatus, headrace: HeadraceStatus) -> dict[str, Any]:
    """Return the status as it stands in the object."""
    raw = status.dump()
    raw.pop("headrace", None)
    remembered = headrace.dump()
    if remembered:
        raw["headrace"] = remembered
    return raw


def _replica_set_operations(current: Manifest, effect: PatchReplicaSet) -> list[dict[str, Any]]:
    """Return a JSON patch that tests what it replaces (architecture, "Writes")."""
    uid = current["metadata"]["uid"]
    operations: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/uid", "value": uid}]
    if effect.replicas is not None:
        path = "/spec/replicas"
        operations.append({"op": "test", "path": path, "value": current["spec"]["replicas"]})
        operations.append({"op": "replace", "path": path, "value": effect.replicas})
    if effect.min_ready_seconds is not None:
        path = "/spec/minReadySeconds"
        operations.append({"op": "add", "path": path, "value": effect.min_ready_seconds})
    operations += _annotation_operations(current, effect.annotations or {})
    for member, values in (effect.template_metadata or {}).items():
        path = pointer("spec", "template", "metadata", member)
        operations.append({"op": "add", "path": path, "value": dict(values)})
    return operations


def _annotation_operations(
    current: Manifest, annotations: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    existing = current["metadata"].get("annotations")
    if not annotations:
        return []
    if existing is None:
        kept = {key: value for key, value in annotations.items() if value is not None}
        return [{"op": "add", "path": "/metadata/annotations", "value": kept}] if kept else []
    operations: list[dict[str, Any]] = []
    for key, value in annotations.items():
        path = pointer("metadata", "annotations", key)
        if key in existing:
            operations.append({"op": "test", "path": path, "value": existing[key]})
            if value is None:
                operations.append({"op": "remove", "path": path})
        if value is not None:
            operations.append({"op": "add", "path": path, "value": value})
    return operations


def _is_same_run(existing: Manifest, wanted: Manifest) -> bool:
    """Return whether an existing run was created for the same cause and owner."""
    cause = (existing["metadata"].get("annotations") or {}).get(labels.CAUSE)
    owners = {o.get("uid") for o in existing["metadata"].get("ownerReferences") or ()}
    wanted_owners = {o["uid"] for o in wanted["metadata"]["ownerReferences"]}
    return bool(cause == wanted["metadata"]["annotations"][labels.CAUSE] and owners & wanted_owners)
