"""The traffic-router's core in ring 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, assert_never

from headrace.errors import Conflict, NotFound
from headrace.events.traffic import RouteApplied, RouteRefused
from headrace.kubernetes.resources import (
    HTTP_ROUTES,
    ROLLOUTS,
    TRAFFIC_SPLITS,
    Manifest,
)
from headrace.model.route import RouteDocument, RouterConfig
from headrace.routes import (
    ApiVersions,
    CreateObject,
    JsonChange,
    MergeChange,
    ObjectRef,
    Sighting,
    locate,
    read_fences,
    resolve,
)
from headrace.runtime.cluster import JsonPatch, MergePatch
from headrace.runtime.cluster_memory.objects import TableKey, table_key
from headrace_sandbox.cores.controller import Answer, Request
from headrace_sandbox.cores.process import Look, Process
from headrace_sandbox.looking import Looker
from headrace_sandbox.nodes import drive
from traffic_router.core.decide import decide
from traffic_router.core.invariants import check
from traffic_router.core.observed import Observed, Orphan, RouterSight
from traffic_router.core.plan import Plan, Purpose, Write
from traffic_router.documents import DocumentCache
from traffic_router.gather import newest_document, rollout_view
from traffic_router.memory import RouteMemory
from traffic_router.wake import relevant

KINDS: Final = (ROLLOUTS, TRAFFIC_SPLITS, HTTP_ROUTES)


class RouterCore:
    """Snapshots from what was seen, `decide`, and conditional writes."""

    def __init__(self, process: Process, looker: Looker) -> None:
        self._process = process
        self._looker = looker
        self._documents = DocumentCache()
        self._memory = RouteMemory()

    def keys(self, manifest: Manifest, kind: TableKey) -> Iterable[str]:
        """Return the Rollouts that an object is, or whose fences it carries."""
        if kind == table_key(ROLLOUTS):
            metadata = manifest["metadata"]
            return (f"{metadata['namespace']}/{metadata['name']}",)
        return {fence.rollout: None for fence in read_fences(manifest)}

    def minds(self, old: Manifest | None, new: Manifest, kind: TableKey) -> bool:
        """Return whether a change is of a traffic object, or of what is read of a Rollout."""
        return kind != table_key(ROLLOUTS) or old is None or relevant(old) != relevant(new)

    def hear(self, message: Any) -> str:
        """Take a request."""
        assert isinstance(message, Request)
        document = message.document
        key = f"{document.namespace}/{document.rollout}"
        self._memory.ask(key, document, message.sent_at)
        return key

    def look(self, key: str) -> Look:
        """Decide on one route, and carry the plan out."""
        observed = self._observe(key)
        if observed is None:
            return Look()
        now = self._process.clock.now()
        plan = decide(observed, now=now)
        check(observed, plan)
        for write in plan.writes:
            if self._is_late(observed, write):
                return Look(has_written=True)
            self._write(key, write)
        self._say(observed, plan)
        return Look(bool(plan.writes), plan.wake_at)

    # Snapshots

    def _observe(self, key: str) -> Observed | None:
        namespace, _, name = key.partition("/")
        rollout = self._process.sight.get(ROLLOUTS, namespace, name)
        orphans = tuple(self._orphans(key, rollout))
        if rollout is None and not orphans:
            self._memory.forget(key)
            return None
        document = (
            newest_document(key, rollout, self._documents, self._memory)
            if rollout is not None
            else None
        )
        routers = document.routers if document is not None else ()
        withdrawn = document.withdraw if document is not None else ()
        return Observed(
            key=key,
            rollout=rollout_view(rollout) if rollout is not None else None,
            document=document,
            routers=self._sights(document, routers),
            withdrawn=self._sights(document, (each.router for each in withdrawn)),
            orphans=orphans,
            server_offset_seconds=self._process.cluster.server_offset_seconds(),
            memory=self._memory.of(key),
        )

    def _sights(
        self, document: RouteDocument | None, routers: Iterable[RouterConfig]
    ) -> tuple[RouterSight, ...]:
        if document is None:
            return ()
        sights = []
        for router in routers:
            targets = locate(router, document, ApiVersions())
            named = {
                ref: self._process.sight.get(ref.resource, ref.namespace, ref.name)
                for ref in targets.refs
            }
            sights.append(RouterSight(router, targets, resolve(targets, named, [])))
        return tuple(sights)

    def _orphans(self, key: str, rollout: Manifest | None) -> Iterable[Orphan]:
        """Return the objects with a fence of this name whose Rollout is really gone."""
        namespace, _, name = key.partition("/")
        uid = rollout["metadata"]["uid"] if rollout is not None else None
        live = self._process.world.objects.find(ROLLOUTS, namespace, name)
        for resource in (TRAFFIC_SPLITS, HTTP_ROUTES):
            for manifest in self._process.sight.all(resource):
                metadata = manifest["metadata"]
                ref = ObjectRef(resource, metadata["namespace"], metadata["name"])
                for fence in read_fences(manifest):
                    is_stranger = fence.rollout == key and fence.uid != uid
                    if is_stranger and (live is None or live.uid != fence.uid):
                        yield Orphan(Sighting(ref, manifest), fence, live is not None)

    # Writes and answers

    def _is_late(self, observed: Observed, write: Write) -> bool:
        offset = observed.server_offset_seconds
        if write.not_after is None:
            return False
        return offset is None or self._process.clock.now() + offset > write.not_after

    def _write(self, key: str, write: Write) -> None:
        ref, cluster = write.ref, self._process.cluster
        match write.change:
            case CreateObject():
                stored = drive(cluster.create(ref.resource, write.desired))
            case MergeChange(body):
                stored = self._patch(ref, MergePatch(body))
            case JsonChange(operations):
                stored = self._patch(ref, JsonPatch(operations))
            case unreachable:
                assert_never(unreachable)
        self._memory.written(key, ref)
        if write.purpose is Purpose.REPAIR:
            self._memory.repaired(key, ref, self._process.clock.now())
        self._process.sight.offer(ref.resource, stored)

    def _patch(self, ref: ObjectRef, patch: MergePatch | JsonPatch) -> Manifest:
        """Patch an object; at a conflict see it as it is, and raise."""
        cluster = self._process.cluster
        try:
            return drive(cluster.patch(ref.resource, ref.namespace, ref.name, patch))
        except NotFound as error:
            raise Conflict(f"{ref.label} is gone") from error

    def _say(self, observed: Observed, plan: Plan) -> None:
        for fact in plan.facts:
            if not isinstance(fact, RouteApplied | RouteRefused) or plan.said is None:
                continue
            if isinstance(fact, RouteRefused) and fact.found_epoch:
                self._looker.refused(fact.uid, fact.rollout, fact.found_epoch)
            answer = Answer(observed.key, fact.uid, fact.epoch, fact.answers)
            if self._process.post.send(self._process, "rollout-controller", answer):
                self._memory.answered(observed.key, plan.said, self._process.clock.now())
