"""From watch changes and bus events to keys of the queue, and requests beside the caches.

No decision is taken here from which event came: it only says whose route must be looked at, and
how urgently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from headrace.events.envelope import Event
from headrace.events.rollout import RouteRequested, RouteVerifyRequested
from headrace.kubernetes.resources import Manifest, Resource
from headrace.model.route import RouteDocument
from headrace.routes import ApiVersions, locate, read_fences
from headrace.runtime.store import ChangeType, Listener
from headrace.runtime.workqueue import Lane
from traffic_router.documents import DocumentCache, raw_acknowledged, raw_route
from traffic_router.memory import RouteMemory
from traffic_router.sources import Sources, TrafficKind

Add = Callable[[str, Lane], None]
"""Puts a key into the queue."""


class TargetIndex:
    """Which Rollouts name which traffic objects, also before these exist or carry a fence."""

    def __init__(self) -> None:
        self._targets: dict[str, frozenset[str]] = {}
        self._keys: dict[str, set[str]] = {}

    def put(self, key: str, document: RouteDocument | None) -> None:
        """Note what the newest request of a Rollout names; None forgets it."""
        targets = frozenset(_targets(document)) if document else frozenset()
        before = self._targets.pop(key, frozenset())
        for target in before - targets:
            self._keys[target].discard(key)
            if not self._keys[target]:
                del self._keys[target]
        for target in targets - before:
            self._keys.setdefault(target, set()).add(key)
        if targets:
            self._targets[key] = targets

    def keys(self, resource: Resource, manifest: Manifest) -> frozenset[str]:
        """Return the Rollouts that name an object, or may select it."""
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace", "")
        named = _target(resource, namespace, metadata["name"])
        selected = _target(resource, namespace, "*")
        return frozenset(self._keys.get(named, ())) | frozenset(self._keys.get(selected, ()))


class Waker:
    """Turns changes into keys.

    Args:
        sources: The caches to listen to.
        documents: Decodes the requests in the Rollouts.
        memory: Takes what the bus says.
        add: The queue.
    """

    def __init__(
        self, sources: Sources, documents: DocumentCache, memory: RouteMemory, add: Add
    ) -> None:
        self._sources = sources
        self._documents = documents
        self._memory = memory
        self._add = add
        self._index = TargetIndex()

    def listen(self) -> None:
        """Begin to hear of changes of the caches."""
        self._sources.rollouts.listen(self._rollout)
        for kind in self._sources.kinds:
            kind.store.listen(self._traffic(kind))

    def known_keys(self) -> Iterable[str]:
        """Return every key that may have something to do: requests, and fences of any Rollout."""
        for rollout in self._sources.rollouts.list():
            if raw_route(rollout) is not None:
                yield _key(rollout)
        for kind in self._sources.kinds:
            for manifest in kind.store.list():
                for fence in read_fences(manifest):
                    yield fence.rollout

    async def hear(self, event: Event) -> None:
        """Take a request of the topic `steps`."""
        payload = event.payload
        if isinstance(payload, RouteRequested):
            self._memory.ask(payload.key, payload.route, event.time)
            self._add(payload.key, _lane(payload.route))
        elif isinstance(payload, RouteVerifyRequested):
            self._memory.ask_verify(payload.key, payload)
            self._add(payload.key, Lane.FACT)

    def _rollout(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        if new is None:
            if old is not None:
                self._documents.forget(old["metadata"]["uid"])
                self._memory.forget_alive(old["metadata"]["uid"])
                self._index.put(_key(old), None)
                self._add(_key(old), Lane.REST)
            return
        if old is not None and relevant(old) == relevant(new):
            return
        document = self._documents.read(new)
        is_asked = old is None or raw_route(old) != raw_route(new)
        if is_asked:
            self._index.put(_key(new), document)
        if old is not None and document is not None and self._is_answered(old, new, document):
            return
        self._add(_key(new), _lane(document) if is_asked and old is not None else Lane.FACT)

    def _is_answered(self, old: Manifest, new: Manifest, document: RouteDocument) -> bool:
        """Return whether all that is new was asked by the bus and applied, or is our own answer.

        Who changes the traffic object wakes its key by that.
        """
        key = _key(new)
        memory = self._memory.of(key)
        said = memory.said
        if said is None or said.kind != "applied" or memory.is_asked:
            return False
        newest = (document.uid, document.epoch, document.renewal)
        if newest != (said.uid, said.epoch, said.renewal):
            return False
        if raw_route(old) != raw_route(new) and self._memory.heard(key) != document:
            return False
        is_claimed = raw_acknowledged(new).get("epoch") == document.epoch
        return _state(old) == _state(new) and (is_claimed or _claims(old) == _claims(new))

    def _traffic(self, kind: TrafficKind) -> Listener:
        def heard(change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
            keys: set[str] = set()
            for manifest in (old, new):
                if manifest is not None:
                    keys |= {fence.rollout for fence in read_fences(manifest)}
                    keys |= self._index.keys(kind.resource, manifest)
            for key in keys:
                self._add(key, Lane.FACT)

        return heard


def _lane(document: RouteDocument | None) -> Lane:
    """Return how urgent a new request is; to hold a known one is the background."""
    return Lane.ABORT if document is not None and document.aborted else Lane.USER


def relevant(rollout: Manifest) -> tuple[Any, ...]:
    """The part of a Rollout that the router decides on."""
    return *_state(rollout), *_claims(rollout), raw_route(rollout)


def _state(rollout: Manifest) -> tuple[Any, ...]:
    metadata = rollout["metadata"]
    abort = (rollout.get("status") or {}).get("abort")
    return metadata["uid"], metadata.get("deletionTimestamp"), abort


def _claims(rollout: Manifest) -> tuple[Any, ...]:
    weights = ((rollout.get("status") or {}).get("canary") or {}).get("weights")
    return weights, raw_acknowledged(rollout)


def _targets(document: RouteDocument) -> Iterable[str]:
    configured = (*document.routers, *(each.router for each in document.withdraw))
    for router in configured:
        targets = locate(router, document, ApiVersions())
        for ref in targets.refs:
            yield _target(ref.resource, ref.namespace, ref.name)
        for selector in targets.selectors:
            yield _target(selector.resource, selector.namespace, "*")


def _target(resource: Resource, namespace: str, name: str) -> str:
    return f"{resource.plural}/{namespace}/{name}"


def _key(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"
