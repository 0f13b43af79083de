"""Ports to snapshot: reads everything that `decide` may know of one Rollout.

Caches first; live reads only where the specification wants them: a run that the status names
and the cache does not have, and the traffic objects of a route whose acknowledgement is late
(architecture, section 2, durable path).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from headrace.errors import NotFound, TransientError
from headrace.events.outbox import published
from headrace.ids import object_cause
from headrace.kubernetes.resources import ANALYSIS_RUNS, EXPERIMENTS, Manifest, Resource
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.meta import parse_time
from headrace.model.quantities import Instant
from headrace.model.rollout import RolloutSpec
from headrace.model.rollout_status import RolloutStatus
from headrace.model.route import RouteDocument, RouterAnswer
from headrace.routes import (
    ApiVersions,
    ObjectRef,
    ObjectSelector,
    locate,
    rank,
    read_back,
    resolve,
)
from headrace.runtime.cluster import Cluster, Selection
from headrace.runtime.store import Store
from rollout_controller.caches import Caches, Facts
from rollout_controller.core import ephemeral
from rollout_controller.core.claimed_runs import claimed_runs
from rollout_controller.core.observed import (
    Acknowledgement,
    Observed,
    Pod,
    References,
    ReplicaSet,
    Settings,
)
from rollout_controller.decoded import Decoded
from rollout_controller.lookups import Templates, owned_experiments, owned_runs
from rollout_controller.plugin_table import PluginTable
from rollout_controller.specs import ParsedSpec, new_replica_set, parse_spec
from rollout_controller.views import pod_view, replica_set_view, service_view
from rollout_controller.workloads import Found, Workloads

LATE_SECONDS = 5.0
"""An acknowledgement this late makes the controller read the traffic objects itself."""
LATE_SECONDS_WITHOUT_BUS = 1.0
READ_BACK_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True)
class _ReadBack:
    """When the traffic objects of an epoch are read next."""

    epoch: int
    at: Instant
    delay_seconds: float


class Gatherer:
    """Builds snapshots from the caches.

    Args:
        sources: Caches, facts, and what was decoded of the caches already.
        cluster: For the live reads.
        settings: Durations and identities for the decisions.
        versions: API versions of traffic objects, which discovery may change.
        is_bus_up: Whether acknowledgements can be expected from the bus.
    """

    def __init__(
        self,
        sources: tuple[Caches, Facts, Decoded],
        cluster: Cluster,
        settings: Settings,
        versions: Callable[[], ApiVersions],
        is_bus_up: Callable[[], bool],
    ) -> None:
        self._caches, self._facts, self._decoded = sources
        self._workloads = Workloads(self._caches.workloads, cluster)
        self._cluster = cluster
        self._settings = settings
        self._versions = versions
        self._is_bus_up = is_bus_up
        self._plugins = PluginTable(self._caches.configuration)
        self._parsed: dict[str, ParsedSpec] = {}
        self._read_back: dict[str, _ReadBack] = {}

    def forget(self, uid: str) -> None:
        """Drop what is kept about a Rollout that is gone."""
        self._parsed.pop(uid, None)
        self._decoded.forget(uid)
        self._read_back.pop(uid, None)
        self._facts.forget(uid)

    async def gather(self, key: str, now: Instant) -> Observed | None:
        """Return the snapshot of a Rollout, None when it does not exist.

        Raises:
            Unavailable: A live read failed; the reconcile is tried again.
        """
        namespace, _, name = key.partition("/")
        manifest = self._caches.rollouts.get(namespace, name)
        if manifest is None:
            return None
        observed = self._snapshot(manifest, await self._workloads.find(manifest))
        claimed = {run.name for run in claimed_runs(observed.status).values()}
        run_names = claimed - {run.name for run in observed.runs}
        if run_names:
            await self._fetch(self._caches.runs, ANALYSIS_RUNS, namespace, sorted(run_names))
            observed = replace(observed, runs=owned_runs(self._caches, self._facts, observed.uid))
        experiment = observed.status.canary.current_experiment
        if experiment and all(each.name != experiment for each in observed.experiments):
            await self._fetch(self._caches.experiments, EXPERIMENTS, namespace, [experiment])
            experiments = owned_experiments(self._caches, observed.uid)
            observed = replace(observed, experiments=experiments)
        return await self._with_acknowledgement(observed, now)

    def _snapshot(self, manifest: Manifest, found: Found) -> Observed:
        metadata = manifest["metadata"]
        uid = metadata["uid"]
        raw_status = manifest.get("status") or {}
        decoded = self._decoded.status(uid, raw_status)
        parsed = self._parse(manifest, decoded.status, found)
        annotations = metadata.get("annotations") or {}
        sets = self._caches.replica_sets.by_index("owner", uid)
        plugins = self._plugins.read()
        cause, actor = self._facts.causes.get(
            uid, (object_cause(uid, metadata["resourceVersion"]), None)
        )
        return Observed(
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=uid,
            resource_version=metadata["resourceVersion"],
            generation=int(metadata.get("generation") or 0),
            labels=metadata.get("labels") or {},
            annotations=found.annotations(annotations),
            is_deleting=bool(metadata.get("deletionTimestamp")),
            spec=parsed.spec,
            raw_spec=manifest.get("spec") or {},
            workload=found.view(annotations),
            workload_error=found.error,
            spec_error=parsed.spec_error,
            status=decoded.status,
            headrace=decoded.headrace,
            has_headrace=raw_status.get("headrace") is not None,
            template_hash=parsed.template_hash,
            step_hash=parsed.step_hash,
            new_replica_set=new_replica_set(parsed, sets),
            replica_sets=self._decoded.replica_sets(uid, sets),
            orphans=self._orphans(metadata.get("namespace", ""), parsed.spec),
            references=self._references(metadata.get("namespace", ""), parsed.spec),
            runs=owned_runs(self._caches, self._facts, uid),
            experiments=owned_experiments(self._caches, uid),
            pods=self._pods(parsed.spec, sets),
            server_offset_seconds=self._cluster.server_offset_seconds(),
            plugins=plugins.known,
            plugins_error=plugins.error,
            plugin_answer=self._facts.plugin_answers.get(uid),
            delivered=self._delivered(uid, decoded.headrace),
            cause=cause,
            actor=actor,
            settings=self._settings,
        )

    def _parse(self, manifest: Manifest, status: RolloutStatus, found: Found) -> ParsedSpec:
        uid = manifest["metadata"]["uid"]
        generation = int(manifest["metadata"].get("generation") or 0)
        version = (generation, status.collision_count, found.version)
        known = self._parsed.get(uid)
        if known is None or known.version != version:
            known = parse_spec(manifest, version, found)
            self._parsed[uid] = known
        return known

    def _orphans(self, namespace: str, spec: RolloutSpec) -> tuple[ReplicaSet, ...]:
        """Return the ReplicaSets that nobody controls and the selector matches."""
        selector = spec.selector
        if selector is None or selector.is_empty():
            return ()
        found = self._caches.replica_sets.by_index("orphans", namespace)
        matching = (rs for rs in found if selector.matches(rs["metadata"].get("labels") or {}))
        return tuple(replica_set_view(rs) for rs in matching if not _is_going(rs))

    def _references(self, namespace: str, spec: RolloutSpec) -> References:
        names = spec.strategy.service_names()
        services = (self._caches.services.get(namespace, name) for name in names)
        return References(
            services={s["metadata"]["name"]: service_view(s) for s in services if s is not None},
            templates=Templates(self._caches.templates, namespace),
            cluster_templates=Templates(self._caches.cluster_templates, None),
        )

    def _pods(self, spec: RolloutSpec, sets: Sequence[Manifest]) -> tuple[Pod, ...]:
        if spec.restart_at is None and not ephemeral.is_configured(spec):
            return ()
        found = [
            pod for rs in sets for pod in self._caches.pods.by_index("owner", rs["metadata"]["uid"])
        ]
        found.sort(key=lambda pod: str(pod["metadata"]["name"]))
        return tuple(pod_view(pod) for pod in found)

    def _delivered(self, uid: str, headrace: HeadraceStatus) -> int:
        ordinals = self._facts.delivered.get(uid)
        return published(headrace, ordinals) if ordinals else 0

    async def _fetch(
        self, store: Store, resource: Resource, namespace: str, names: Iterable[str]
    ) -> None:
        for name in names:
            try:
                store.offer(await self._cluster.get(resource, namespace, name))
            except NotFound:
                continue

    # The durable path of an acknowledgement

    async def _with_acknowledgement(self, observed: Observed, now: Instant) -> Observed:
        known = self._facts.acknowledgements.get(observed.uid)
        route = observed.headrace.route
        if route is None:
            return observed
        acknowledged = observed.headrace.acknowledged
        is_open = acknowledged is None or acknowledged.epoch != route.epoch
        if is_open and not _answers(known, route) and self._is_read_back_due(observed, route, now):
            read = await self._read_objects(observed, route)
            if read is not None and (read.level or read.error or read.found_epoch):
                self._facts.acknowledge(observed.uid, read)
                known = self._facts.acknowledgements.get(observed.uid)
        return replace(observed, acknowledgement=known)

    def _is_read_back_due(self, observed: Observed, route: RouteDocument, now: Instant) -> bool:
        late = LATE_SECONDS if self._is_bus_up() else LATE_SECONDS_WITHOUT_BUS
        planned = self._read_back.get(observed.uid)
        if planned is None or planned.epoch != route.epoch:
            decided_at = parse_time(route.decided_at) - (observed.server_offset_seconds or 0.0)
            planned = _ReadBack(route.epoch, Instant(decided_at + late), late)
        is_due = now >= planned.at
        if is_due:
            delay = min(planned.delay_seconds * 2, READ_BACK_SECONDS_MAX)
            planned = _ReadBack(route.epoch, Instant(now + delay), delay)
        self._read_back[observed.uid] = planned
        return is_due

    async def _read_objects(
        self, observed: Observed, route: RouteDocument
    ) -> Acknowledgement | None:
        """Return what the stored traffic objects say; None when they cannot be read now."""
        acknowledged = observed.headrace.acknowledged
        epoch = acknowledged.epoch if acknowledged else 0
        answers = []
        for router in route.routers:
            targets = locate(router, route, self._versions())
            try:
                named = {ref: await self._read_object(ref) for ref in targets.refs}
                selected = [await self._select(selector) for selector in targets.selectors]
            except TransientError:
                return None
            sightings = resolve(targets, named, selected)
            answers.append(read_back(router, route, targets, sightings, epoch).answer)
        return acknowledgement_of(route.epoch, answers)

    async def _read_object(self, ref: ObjectRef) -> Manifest | None:
        try:
            return await self._cluster.get(ref.resource, ref.namespace, ref.name)
        except NotFound:
            return None

    async def _select(self, selector: ObjectSelector) -> Sequence[Manifest]:
        labels = selector.selector.format()
        listing = await self._cluster.list(selector.resource, Selection(selector.namespace, labels))
        return listing.items


def acknowledgement_of(epoch: int, answers: Sequence[RouterAnswer]) -> Acknowledgement:
    """Return what the answers of all routers say about one epoch."""
    levels = [answer.level for answer in answers]
    verified = [answer.verified for answer in answers if answer.verified is not None]
    return Acknowledgement(
        epoch=epoch,
        level=min(levels, key=rank) if levels else "written",
        verified=all(verified) if verified else None,
        error=next((answer.error for answer in answers if answer.error), ""),
        found_epoch=max((answer.found_epoch or 0 for answer in answers), default=0),
    )


def _is_going(manifest: Manifest) -> bool:
    return bool(manifest["metadata"].get("deletionTimestamp"))


def _answers(known: Acknowledgement | None, route: RouteDocument) -> bool:
    return known is not None and (
        (known.epoch == route.epoch and not known.error) or known.found_epoch > route.epoch
    )
