"""The Cluster port: what the services ask of a Kubernetes API server.

Two adapters pass the same contract tests: `cluster_kube` (the real server) and
`cluster_memory`. Objects are decoded JSON (`Manifest`); errors are those of `headrace.errors`.
Every call may raise `Unavailable`, `RateLimited` or `Forbidden`; only further ones are named.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from headrace.kubernetes.resources import Manifest, Resource

WatchType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch; a BOOKMARK carries only metadata.resourceVersion."""

    type: WatchType
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects that matched, and the resourceVersion from which a watch goes on."""

    items: tuple[Manifest, ...]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind: server-side selectors, empty for all.

    Attributes:
        namespace: One namespace; None for all (and for cluster-scoped kinds).
        labels: Label selector in the API's text form, as `app=x,!legacy`.
        fields: Field selector, as `metadata.name=x`.
    """

    namespace: str | None = None
    labels: str = ""
    fields: str = ""


EVERYTHING: Final = Selection()


@dataclass(frozen=True, slots=True)
class MergePatch:
    """RFC 7386 merge patch. Put metadata.resourceVersion in it to make it conditional."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JsonPatch:
    """RFC 6902 patch; `test` operations make it conditional (`PreconditionFailed`)."""

    operations: Sequence[Mapping[str, Any]]


class Cluster(Protocol):
    """One Kubernetes API server, seen with one identity."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        """Return the live object. Raises NotFound."""
        ...

    async def list(self, resource: Resource, selection: Selection = EVERYTHING) -> Listing:
        """Return all matching objects in a consistent snapshot (paging is the adapter's)."""
        ...

    def watch(
        self, resource: Resource, selection: Selection, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield changes after `resource_version`, bookmarks included.

        Ends normally when the server closes the stream; raises Expired on 410. A reader that
        stops earlier closes it (`contextlib.aclosing`).
        """
        ...

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Create and return the object as stored. Raises AlreadyExists, Rejected, NotFound."""
        ...

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

        `subresource` is "status" or empty. Raises NotFound, Conflict (resourceVersion),
        PreconditionFailed (a `test` failed), Rejected.
        """
        ...

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Store a whole object read before, its status aside, and return it as stored.

        For what a merge patch cannot express well; the manifest carries the resourceVersion that
        it was computed from. Raises NotFound, Conflict (resourceVersion), Rejected.
        """
        ...

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
        """Delete under preconditions. Raises NotFound, PreconditionFailed."""
        ...

    async def evict(self, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Evict a pod. Raises RateLimited when a PodDisruptionBudget refuses, NotFound."""
        ...

    async def versions(self, group: str) -> tuple[str, ...]:
        """Return the served versions of an API group, the preferred one first; () if unknown."""
        ...

    async def openapi(self, group: str, version: str) -> Mapping[str, Any]:
        """Return the published OpenAPI v3 document of a group version. Raises NotFound."""
        ...

    def server_offset_seconds(self) -> float | None:
        """Return server time minus own time as of the last answer's Date; None before one."""
        ...

    async def close(self) -> None:
        """Close connections; the port is not used afterwards."""
        ...
