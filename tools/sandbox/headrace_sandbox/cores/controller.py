"""The rollout-controller's core in ring 1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from headrace.ids import object_cause
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
)
from headrace.model.analysis import AnalysisTemplateSpec
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant
from headrace.model.route import RouteDocument, RouterAnswer
from headrace.routes import ApiVersions, locate, read_back, resolve
from headrace.runtime.cluster_memory.objects import TableKey, table_key
from headrace_sandbox.cores.hands import Hands
from headrace_sandbox.cores.process import Look, Process
from rollout_controller.caches import Facts, services_of
from rollout_controller.core.decide import decide
from rollout_controller.core.invariants import check
from rollout_controller.core.observed import (
    Acknowledgement,
    Observed,
    Pod,
    References,
    RunObject,
    Settings,
)
from rollout_controller.core.plan import Plan, foresee
from rollout_controller.decoded import Decoded
from rollout_controller.gather import LATE_SECONDS, acknowledgement_of
from rollout_controller.specs import ParsedSpec, new_replica_set, parse_spec
from rollout_controller.views import pod_view, run_view, service_view
from rollout_controller.workloads import NOTHING

KINDS: Final = (ROLLOUTS, REPLICA_SETS, SERVICES, ANALYSIS_RUNS, ANALYSIS_TEMPLATES)


@dataclass(frozen=True, slots=True)
class Request:
    """A route that the controller asks for."""

    document: RouteDocument
    sent_at: Instant


@dataclass(frozen=True, slots=True)
class Answer:
    """What the router says of a route.

    Attributes:
        uid: Of the Rollout.
    """

    key: str
    uid: str
    epoch: int
    answers: tuple[RouterAnswer, ...]


class ControllerCore:
    """Snapshots from what was seen, `decide`, and hands."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._facts = Facts()
        self._decoded = Decoded()
        self._parsed: dict[str, ParsedSpec] = {}
        self._templates: dict[str, tuple[Manifest, AnalysisTemplateSpec]] = {}
        self._last: dict[str, Plan] = {}
        self._settings = Settings(cluster_uid=process.world.source)

    def keys(self, manifest: Manifest, kind: TableKey) -> Iterable[str]:
        """Return the Rollouts that an object belongs to."""
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace", "")
        if kind == table_key(ROLLOUTS):
            return (f"{namespace}/{metadata['name']}",)
        if kind == table_key(SERVICES):
            return self._served(metadata["name"])
        owners = metadata.get("ownerReferences") or ()
        return [f"{namespace}/{owner['name']}" for owner in owners if owner["kind"] == "Rollout"]

    def _served(self, name: str) -> Iterator[str]:
        for rollout in self._process.sight.all(ROLLOUTS):
            metadata = rollout["metadata"]
            if f"{metadata['namespace']}/{name}" in services_of(rollout):
                yield f"{metadata['namespace']}/{metadata['name']}"

    def minds(self, old: Manifest | None, new: Manifest, kind: TableKey) -> bool:
        """Return True: everything that is followed matters."""
        return True

    def hear(self, message: Any) -> str:
        """Take an answer of the router."""
        assert isinstance(message, Answer)
        self._facts.acknowledge(message.uid, acknowledgement_of(message.epoch, message.answers))
        return message.key

    def look(self, key: str) -> Look:
        """Decide on one Rollout, and carry the plan out."""
        now = self._process.clock.now()
        observed = self._observe(key, now)
        if observed is None:
            return Look()
        plan = self._decide(key, observed, now)
        check(observed, plan)
        if not Hands(self._process, observed, self._decoded).carry_out(plan, self._ask):
            return Look(wake_at=plan.wake_at)
        return self._look_after(key, plan)

    def _decide(self, key: str, observed: Observed, now: Instant) -> Plan:
        last = self._last.pop(key, None)
        foreseen = None if last is None else foresee(last, observed, now=now)
        return foreseen or decide(observed, now=now)

    def _look_after(self, key: str, plan: Plan) -> Look:
        """See at once whether nothing is left to do, as the plan foresaw; else look again soon."""
        now = self._process.clock.now()
        if plan.then is not None and plan.then.plan.is_still:
            observed = self._observe(key, now)
            foreseen = None if observed is None else foresee(plan, observed, now=now)
            if foreseen is not None:
                return Look(wake_at=foreseen.wake_at)
        self._last[key] = plan
        return Look(has_written=True)

    def _ask(self, document: RouteDocument) -> None:
        process = self._process
        process.post.send(process, "traffic-router", Request(document, process.clock.now()))

    # Snapshots

    def _observe(self, key: str, now: Instant) -> Observed | None:
        namespace, _, name = key.partition("/")
        sight = self._process.sight
        manifest = sight.get(ROLLOUTS, namespace, name)
        if manifest is None:
            return None
        metadata, uid = manifest["metadata"], manifest["metadata"]["uid"]
        decoded = self._decoded.status(uid, manifest.get("status") or {})
        parsed = self._parse(manifest, decoded.status.collision_count)
        sets = [*sight.owned(REPLICA_SETS, uid)]
        return Observed(
            namespace=namespace,
            name=name,
            uid=uid,
            resource_version=metadata["resourceVersion"],
            generation=metadata["generation"],
            labels=metadata.get("labels") or {},
            annotations=metadata.get("annotations") or {},
            is_deleting="deletionTimestamp" in metadata,
            spec=parsed.spec,
            raw_spec=manifest["spec"],
            spec_error=parsed.spec_error,
            status=decoded.status,
            headrace=decoded.headrace,
            has_headrace="headrace" in (manifest.get("status") or {}),
            template_hash=parsed.template_hash,
            step_hash=parsed.step_hash,
            new_replica_set=new_replica_set(parsed, sets),
            replica_sets=self._decoded.replica_sets(uid, sets),
            references=self._references(namespace, parsed),
            runs=tuple(self._runs(uid)),
            pods=tuple(self._pods(parsed, sets)),
            acknowledgement=self._acknowledgement(uid, decoded.headrace, now),
            server_offset_seconds=self._process.cluster.server_offset_seconds(),
            cause=object_cause(uid, metadata["resourceVersion"]),
            settings=self._settings,
        )

    def _parse(self, manifest: Manifest, collision_count: int | None) -> ParsedSpec:
        """Return the spec, decoded once per generation."""
        uid, version = manifest["metadata"]["uid"], manifest["metadata"]["generation"]
        known = self._parsed.get(uid)
        if known is None or known.version != (version, collision_count, ("", 0)):
            known = parse_spec(manifest, (version, collision_count, ("", 0)), NOTHING)
            self._parsed[uid] = known
        return known

    def _references(self, namespace: str, spec: ParsedSpec) -> References:
        sight = self._process.sight
        found = (sight.get(SERVICES, namespace, n) for n in spec.spec.strategy.service_names())
        return References(
            services={s["metadata"]["name"]: service_view(s) for s in found if s is not None},
            templates={
                each["metadata"]["name"]: self._template(each)
                for each in sight.all(ANALYSIS_TEMPLATES)
            },
        )

    def _template(self, manifest: Manifest) -> AnalysisTemplateSpec:
        """Return a template, decoded once per version."""
        uid = manifest["metadata"]["uid"]
        known = self._templates.get(uid)
        if known is None or known[0] is not manifest:
            known = manifest, AnalysisTemplateSpec.load(manifest.get("spec") or {})
            self._templates[uid] = known
        return known[1]

    def _runs(self, uid: str) -> Iterator[RunObject]:
        for manifest in self._process.sight.owned(ANALYSIS_RUNS, uid):
            status = manifest.get("status") or {}
            yield run_view(manifest, str(status.get("phase", "")), str(status.get("message", "")))

    def _pods(self, spec: ParsedSpec, sets: list[Manifest]) -> Iterator[Pod]:
        """Return the pods, as they are now: only a restart asks for them."""
        if spec.spec.restart_at is None:
            return
        uids = {each["metadata"]["uid"] for each in sets}
        for record in self._process.world.objects.all(PODS):
            view = pod_view(record.manifest)
            if view.replica_set_uid in uids:
                yield view

    # The durable path of an acknowledgement

    def _acknowledgement(
        self, uid: str, headrace: HeadraceStatus, now: Instant
    ) -> Acknowledgement | None:
        """Return the newest answer; where that is late, what the traffic objects say."""
        route, claimed = headrace.route, headrace.acknowledged
        known = self._facts.acknowledgements.get(uid)
        epoch = claimed.epoch if claimed is not None else 0
        if route is None or epoch == route.epoch or (known and known.epoch == route.epoch):
            return known
        offset = self._process.cluster.server_offset_seconds() or 0.0
        if now + offset < parse_time(route.decided_at) + LATE_SECONDS:
            return known
        read = self._read(route, epoch)
        if read.level or read.error or read.found_epoch:
            self._facts.acknowledge(uid, read)
        return self._facts.acknowledgements.get(uid)

    def _read(self, route: RouteDocument, epoch: int) -> Acknowledgement:
        answers = []
        for router in route.routers:
            targets = locate(router, route, ApiVersions())
            stored = {
                ref: self._process.world.objects.find(ref.resource, ref.namespace, ref.name)
                for ref in targets.refs
            }
            named = {ref: record.manifest if record else None for ref, record in stored.items()}
            sightings = resolve(targets, named, [])
            answers.append(read_back(router, route, targets, sightings, epoch).answer)
        return acknowledgement_of(route.epoch, answers)
