"""The Cluster port on the memory cluster, for one identity."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from headrace.errors import NotFound
from headrace.kubernetes.resources import PODS, Manifest, Resource
from headrace.runtime.cluster import (
    EVERYTHING,
    JsonPatch,
    Listing,
    MergePatch,
    Selection,
    WatchEvent,
)
from headrace.runtime.cluster_memory.discovery import Discovery
from headrace.runtime.cluster_memory.evictions import check_budgets
from headrace.runtime.cluster_memory.objects import Objects, Propagation
from headrace.runtime.cluster_memory.watches import Matcher, MemoryWatch, Watches

Verb = Literal["get", "list", "watch", "create", "patch", "update", "delete", "discover"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as an audit log has it.

    Attributes:
        identity: Who asks.
        verb: What for.
        resource: Plural of the kind; the group where nothing but discovery is asked.
        subresource: "status", "eviction" or empty.
        namespace: Empty for all namespaces and cluster-scoped kinds.
        name: Empty for collections, but for those that a field selector limits to one name.
        body: Manifest or patch as it was sent; None without one.
    """

    identity: str
    verb: Verb
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    body: Any = None


Interceptor = Callable[[Request], None]
"""Sees each request before it is served; may raise an error of `headrace.errors` instead."""


class Gate(Protocol):
    """What every request passes: the audit log and the interceptor."""

    def __call__(self, request: Request) -> None:
        """Note a request; raise to refuse it."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a memory cluster that a client speaks to."""

    objects: Objects
    watches: Watches
    discovery: Discovery
    gate: Gate


class MemoryClient:
    """The memory cluster, seen with one identity; made by `MemoryCluster.client`.

    No call suspends, the watch apart: a coroutine over this port that is sent one None runs to
    its end.
    """

    def __init__(self, identity: str, parts: Parts) -> None:
        self.identity = identity
        self._objects = parts.objects
        self._watches = parts.watches
        self._discovery = parts.discovery
        self._gate = parts.gate

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        """Return the live object. Raises NotFound."""
        self._ask("get", resource, namespace, name)
        return self._objects.get(resource, namespace, name).copy(resource)

    async def list(self, resource: Resource, selection: Selection = EVERYTHING) -> Listing:
        """Return all matching objects, by namespace and name."""
        self._ask("list", resource, selection.namespace, Matcher.of(selection).name)
        matcher = Matcher.of(selection)
        found = [record for record in self._objects.all(resource) if matcher.matches(record)]
        found.sort(key=lambda record: (record.namespace, record.name))
        items = tuple(record.copy(resource) for record in found)
        return Listing(items, str(self._objects.version))

    async def watch(
        self, resource: Resource, selection: Selection, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield changes after `resource_version`, bookmarks included. Raises Expired."""
        async for event in self.open_watch(resource, selection, resource_version).stream():
            yield event

    def open_watch(
        self, resource: Resource, selection: Selection, resource_version: str
    ) -> MemoryWatch:
        """Start a watch that is read by polling, for the simulator. Raises Expired."""
        self._ask("watch", resource, selection.namespace, Matcher.of(selection).name)
        return self._watches.open(resource, selection, resource_version)

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Create and return the object as stored. Raises AlreadyExists, Rejected."""
        metadata: Mapping[str, Any] = manifest.get("metadata") or {}
        self._ask("create", resource, metadata.get("namespace"), metadata.get("name"), manifest)
        return self._objects.create(resource, manifest).copy(resource)

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: MergePatch | JsonPatch,
        *,
        subresource: str = "",
    ) -> Manifest:
        """Patch and return the object as stored.

        Raises:
            NotFound: No such object, or no such subresource.
            Conflict: The patch's resourceVersion is not the object's.
            PreconditionFailed: A `test` failed.
            Rejected: The patch is malformed or changes the object's identity.
        """
        body = patch.body if isinstance(patch, MergePatch) else patch.operations
        self._ask("patch", resource, namespace, name, body, subresource)
        if subresource and not (subresource == "status" and resource.has_status):
            raise NotFound(f"{resource.plural} have no subresource {subresource!r}")
        record = self._objects.get(resource, namespace, name)
        patched = self._objects.patch(record, patch, is_status=bool(subresource))
        return patched.copy(resource)

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Store a whole object, and return it. Raises NotFound, Conflict, Rejected."""
        metadata = manifest["metadata"]
        namespace, name = metadata.get("namespace"), metadata["name"]
        self._ask("update", resource, namespace, name, manifest)
        record = self._objects.get(resource, namespace, name)
        return self._objects.replace(record, manifest).copy(resource)

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Propagation = "Background",
    ) -> None:
        """Delete under preconditions. Raises NotFound, PreconditionFailed."""
        self._ask("delete", resource, namespace, name)
        record = self._objects.get(resource, namespace, name)
        self._objects.delete(record, uid=uid, version=resource_version, propagation=propagation)

    async def evict(self, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Evict a pod. Raises RateLimited, NotFound, PreconditionFailed."""
        self._ask("create", PODS, namespace, name, None, "eviction")
        pod = self._objects.get(PODS, namespace, name)
        check_budgets(self._objects, pod)
        self._objects.delete(pod, uid=uid)

    async def versions(self, group: str) -> tuple[str, ...]:
        """Return the served versions of an API group, the preferred one first; () if unknown."""
        self._gate(Request(self.identity, "discover", group))
        return self._discovery.versions(group)

    async def openapi(self, group: str, version: str) -> Mapping[str, Any]:
        """Return the published OpenAPI v3 document of a group version. Raises NotFound."""
        self._gate(Request(self.identity, "discover", group))
        return self._discovery.openapi(group, version)

    def server_offset_seconds(self) -> float | None:
        """Return 0: the memory cluster reads the same clock."""
        return 0.0

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def _ask(
        self,
        verb: Verb,
        resource: Resource,
        namespace: str | None,
        name: str | None = None,
        body: object = None,
        subresource: str = "",
    ) -> None:
        self._gate(
            Request(
                self.identity, verb, resource.plural, subresource, namespace or "", name or "", body
            )
        )
        self._discovery.check_served(resource)
