"""From the caches to one snapshot; asks the API server only where no cache can know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pydantic import ValidationError

from headrace.errors import Forbidden, NotFound
from headrace.kubernetes.resources import ROLLOUTS, Manifest, Resource
from headrace.model.quantities import Instant
from headrace.model.route import Fence, RouteDocument, RouterConfig
from headrace.model.traffic import TrafficWeights
from headrace.routes import ObjectRef, Sighting, Targets, locate, read_fences, resolve
from headrace.runtime.cluster import Cluster, Selection
from traffic_router.core.observed import Observed, Orphan, RolloutView, RouterSight
from traffic_router.documents import DocumentCache, raw_acknowledged
from traffic_router.memory import RouteMemory
from traffic_router.sources import BY_ROLLOUT, Sources

REVISION_ANNOTATION: Final = "rollout.argoproj.io/revision"
INSTANCE_ID_LABEL: Final = "argo-rollouts.argoproj.io/controller-instance-id"


class Gatherer:
    """Takes snapshots.

    Args:
        cluster: For live reads.
        sources: The caches.
        documents: Decodes the requests in the Rollouts.
        memory: Requests that came by the bus.
        instance_id: Only Rollouts labelled so are served; with "" those without the label.
        reverify_seconds: How long to wait before a level is looked at again.
    """

    def __init__(
        self,
        cluster: Cluster,
        sources: Sources,
        documents: DocumentCache,
        memory: RouteMemory,
        *,
        instance_id: str,
        reverify_seconds: float,
    ) -> None:
        self._cluster = cluster
        self._sources = sources
        self._documents = documents
        self._memory = memory
        self._instance_id = instance_id
        self._reverify_seconds = reverify_seconds

    async def gather(self, key: str, now: Instant) -> Observed | None:
        """Return the snapshot of one Rollout's route; None when there is nothing to decide."""
        namespace, _, name = key.partition("/")
        rollout = self._sources.rollouts.get(namespace, name)
        strangers = self._strangers(key, rollout, now)
        is_name_foreign = False
        if strangers or (rollout is None and self._memory.has_document(key)):
            # The caches do not prove that a Rollout is gone: only a live read does.
            live = await self._live(namespace, name)
            if isinstance(live, Forbidden):
                strangers = []
            else:
                is_name_foreign = live is not None and not self._is_ours(live)
                strangers = self._without_living(strangers, live, now)
                rollout = None if is_name_foreign else live
        if rollout is None and not strangers:
            self._memory.forget(key)
            return None
        document = newest_document(key, rollout, self._documents, self._memory) if rollout else None
        routers = await self._sights(document, _routers(document))
        withdrawn = await self._sights(document, _withdrawn(document))
        return Observed(
            key=key,
            rollout=rollout_view(rollout) if rollout else None,
            document=document,
            routers=routers,
            withdrawn=(*withdrawn, *self._lost(key, (*routers, *withdrawn))),
            orphans=tuple(Orphan(each, fence, is_name_foreign) for each, fence in strangers),
            unserved=self._sources.unserved,
            server_offset_seconds=self._cluster.server_offset_seconds(),
            reverify_seconds=self._reverify_seconds,
            memory=self._memory.of(key),
        )

    def _strangers(
        self, key: str, rollout: Manifest | None, now: Instant
    ) -> list[tuple[Sighting, Fence]]:
        """Objects with a fence of this name whose uid is not the cached Rollout's."""
        uid = rollout["metadata"]["uid"] if rollout else None
        found = []
        for kind in self._sources.kinds:
            for manifest in kind.store.by_index(BY_ROLLOUT, key):
                found += [
                    (Sighting(_ref(kind.resource, manifest), manifest), fence)
                    for fence in read_fences(manifest)
                    if fence.rollout == key
                    and fence.uid != uid
                    and not self._memory.is_alive(fence.uid, now)
                ]
        return found

    def _without_living(
        self, strangers: list[tuple[Sighting, Fence]], live: Manifest | None, now: Instant
    ) -> list[tuple[Sighting, Fence]]:
        if live is None:
            return strangers
        uid = live["metadata"]["uid"]
        self._memory.note_alive(uid, now)
        return [(sighting, fence) for sighting, fence in strangers if fence.uid != uid]

    async def _live(self, namespace: str, name: str) -> Manifest | Forbidden | None:
        """The Rollout as it is now; None when it is gone. Any other error is no absence."""
        try:
            return await self._cluster.get(ROLLOUTS, namespace, name)
        except NotFound:
            return None
        except Forbidden as error:
            return error

    def _is_ours(self, rollout: Manifest) -> bool:
        labels: dict[str, str] = rollout["metadata"].get("labels") or {}
        return labels.get(INSTANCE_ID_LABEL, "") == self._instance_id

    async def _sights(
        self, document: RouteDocument | None, routers: Iterable[RouterConfig]
    ) -> tuple[RouterSight, ...]:
        if document is None:
            return ()
        sights = []
        for router in routers:
            targets = locate(router, document, self._sources.versions)
            sights.append(RouterSight(router, targets, await self._read(targets)))
        return tuple(sights)

    def _lost(self, key: str, sights: tuple[RouterSight, ...]) -> Iterator[RouterSight]:
        """Yield what a selector does not choose any more although a fence of this name is on it."""
        seen = {sighting.ref for sight in sights for sighting in sight.sightings}
        for sight in sights:
            for selector in sight.targets.selectors:
                fenced = self._sources.kind(selector.resource).store.by_index(BY_ROLLOUT, key)
                refs = {_ref(selector.resource, manifest): manifest for manifest in fenced}
                lost = [Sighting(ref, found) for ref, found in refs.items() if ref not in seen]
                seen |= refs.keys()
                if lost:
                    yield RouterSight(sight.router, Targets(), tuple(lost))

    async def _read(self, targets: Targets) -> tuple[Sighting, ...]:
        named = {ref: await self._get(ref) for ref in targets.refs}
        selected = [
            await self._list(selector.resource, selector.namespace)
            for selector in targets.selectors
        ]
        return resolve(targets, named, selected)

    async def _get(self, ref: ObjectRef) -> Manifest | None:
        kind = self._sources.kind(ref.resource)
        if self._sources.is_watched(ref.namespace) or not kind.is_served:
            return kind.store.get(ref.namespace, ref.name)
        try:
            return await self._cluster.get(ref.resource, ref.namespace, ref.name)
        except NotFound:
            return None

    async def _list(self, resource: Resource, namespace: str) -> Sequence[Manifest]:
        kind = self._sources.kind(resource)
        if self._sources.is_watched(namespace) or not kind.is_served:
            return kind.store.list(namespace)
        listing = await self._cluster.list(resource, Selection(namespace=namespace))
        return listing.items


def _ref(resource: Resource, manifest: Manifest) -> ObjectRef:
    metadata = manifest["metadata"]
    return ObjectRef(resource, metadata.get("namespace", ""), metadata["name"])


def _routers(document: RouteDocument | None) -> tuple[RouterConfig, ...]:
    return document.routers if document else ()


def _withdrawn(document: RouteDocument | None) -> tuple[RouterConfig, ...]:
    return tuple(each.router for each in document.withdraw) if document else ()


def newest_document(
    key: str, rollout: Manifest, documents: DocumentCache, memory: RouteMemory
) -> RouteDocument | None:
    """Return the newest request of both paths; one for another uid is forgotten."""
    if rollout["metadata"].get("deletionTimestamp"):
        return None
    durable = documents.read(rollout)
    newest = memory.document(key, durable)
    if newest is not None and newest.uid != rollout["metadata"]["uid"]:
        memory.drop_document(key)
        return durable
    return newest


def rollout_view(rollout: Manifest) -> RolloutView:
    """Return what the core sees of a Rollout."""
    metadata, status = rollout["metadata"], rollout.get("status") or {}
    acknowledged = raw_acknowledged(rollout)
    return RolloutView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        revision=(metadata.get("annotations") or {}).get(REVISION_ANNOTATION, ""),
        is_deleting="deletionTimestamp" in metadata,
        is_aborted=bool(status.get("abort")),
        acknowledged_epoch=acknowledged.get("epoch", 0),
        acknowledged_canary=acknowledged.get("canary", 0) if acknowledged else None,
        weights=_weights((status.get("canary") or {}).get("weights")),
    )


def _weights(raw: Any) -> TrafficWeights | None:
    """The claimed weights; what cannot be read claims nothing."""
    try:
        return TrafficWeights.load(raw) if raw else None
    except ValidationError:
        return None
