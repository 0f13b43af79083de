"""A Cluster port whose writes need the key's Lease, and feed the caches.

Act layers write through it only. The Lease is checked against the clock directly before each
write, so a process that was frozen, or whose renewals fail, sends nothing any more. It also keeps
the promise of read-your-writes: answers enter the stores, and a conflict brings the object as it
is now into its store before the error reaches the reconciler (architecture: Writes).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Literal, Protocol

from headrace.errors import Conflict, LostOwnership, NotFound
from headrace.kubernetes.resources import Manifest, Resource
from headrace.runtime.cluster import (
    EVERYTHING,
    Cluster,
    JsonPatch,
    Listing,
    MergePatch,
    Selection,
    WatchEvent,
)


class Cache(Protocol):
    """What the guard needs of a `headrace.runtime.store.Store`."""

    def get(self, namespace: str | None, name: str) -> Manifest | None:
        """Return an object, None if it is unknown."""
        ...

    def offer(self, manifest: Manifest) -> bool:
        """Take an object if it is newer."""
        ...

    def remove(self, namespace: str | None, name: str, uid: str) -> None:
        """Forget an object that is gone."""
        ...


class Caches:
    """The caches of a service, by kind whatever its version."""

    def __init__(self, caches: Mapping[Resource, Cache] | None = None) -> None:
        self._caches = {
            (resource.group, resource.plural): cache for resource, cache in (caches or {}).items()
        }

    def offer(self, resource: Resource, manifest: Manifest) -> None:
        """Let the kind's cache take an object if it is newer."""
        cache = self._caches.get((resource.group, resource.plural))
        if cache is not None:
            cache.offer(manifest)

    def remove(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Forget an object that the server says is gone."""
        cache = self._caches.get((resource.group, resource.plural))
        stored = cache.get(namespace, name) if cache is not None else None
        if cache is not None and stored is not None:
            cache.remove(namespace, name, stored["metadata"]["uid"])


class GuardedCluster:
    """A `Cluster` for the writes of one key.

    Args:
        cluster: The port behind it.
        may_write: True while the key's Lease is held; asked before each write.
        caches: Take the answers.

    Every write may raise LostOwnership: leave the key to the replica that holds it now.
    """

    def __init__(
        self, cluster: Cluster, may_write: Callable[[], bool], caches: Caches | None = None
    ) -> None:
        self._cluster = cluster
        self._may_write = may_write
        self._caches = caches or Caches()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        """Return the live object, which enters its cache. Raises NotFound."""
        try:
            manifest = await self._cluster.get(resource, namespace, name)
        except NotFound:
            self._caches.remove(resource, namespace, name)
            raise
        self._caches.offer(resource, manifest)
        return manifest

    async def list(self, resource: Resource, selection: Selection = EVERYTHING) -> Listing:
        """Return all matching objects."""
        return await self._cluster.list(resource, selection)

    def watch(
        self, resource: Resource, selection: Selection, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield changes after `resource_version`."""
        return self._cluster.watch(resource, selection, resource_version)

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Create an object; one of that name that exists enters its cache."""
        self._check()
        try:
            created = await self._cluster.create(resource, manifest)
        except Conflict:
            metadata = manifest["metadata"]
            if "name" in metadata:
                await self._refresh(resource, metadata.get("namespace"), metadata["name"])
            raise
        self._caches.offer(resource, created)
        return created

    async def patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: MergePatch | JsonPatch,
        *,
        subresource: str = "",
    ) -> Manifest:
        """Patch an object; on a conflict it enters its cache as it is now."""
        self._check()
        try:
            patched = await self._cluster.patch(
                resource, namespace, name, patch, subresource=subresource
            )
        except Conflict:
            await self._refresh(resource, namespace, name)
            raise
        except NotFound:
            self._caches.remove(resource, namespace, name)
            raise
        self._caches.offer(resource, patched)
        return patched

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Replace an object; on a conflict it enters its cache as it is now."""
        self._check()
        metadata = manifest["metadata"]
        namespace, name = metadata.get("namespace"), metadata["name"]
        try:
            replaced = await self._cluster.replace(resource, manifest)
        except Conflict:
            await self._refresh(resource, namespace, name)
            raise
        except NotFound:
            self._caches.remove(resource, namespace, name)
            raise
        self._caches.offer(resource, replaced)
        return replaced

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> None:
        """Delete an object; on a failed precondition it enters its cache as it is now."""
        self._check()
        try:
            await self._cluster.delete(
                resource,
                namespace,
                name,
                uid=uid,
                resource_version=resource_version,
                propagation=propagation,
            )
        except Conflict:
            await self._refresh(resource, namespace, name)
            raise
        except NotFound:
            self._caches.remove(resource, namespace, name)
            raise
        self._caches.remove(resource, namespace, name)

    async def evict(self, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Evict a pod."""
        self._check()
        await self._cluster.evict(namespace, name, uid=uid)

    async def versions(self, group: str) -> tuple[str, ...]:
        """Return the served versions of an API group."""
        return await self._cluster.versions(group)

    async def openapi(self, group: str, version: str) -> Mapping[str, Any]:
        """Return the published OpenAPI v3 document of a group version."""
        return await self._cluster.openapi(group, version)

    def server_offset_seconds(self) -> float | None:
        """Return server time minus own time; None before an answer."""
        return self._cluster.server_offset_seconds()

    async def close(self) -> None:
        """Do nothing: the port belongs to the process, not to a key."""

    def _check(self) -> None:
        if not self._may_write():
            raise LostOwnership("the Lease of this key is not held")

    async def _refresh(self, resource: Resource, namespace: str | None, name: str) -> None:
        try:
            self._caches.offer(resource, await self._cluster.get(resource, namespace, name))
        except NotFound:
            self._caches.remove(resource, namespace, name)
