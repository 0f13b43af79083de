"""The Cluster port of one node: the memory cluster, seen through a bad network.

The objects and the rules of writing them are those of `headrace.runtime.cluster_memory`, whose
truth the contract tests hold against a real API server. Added here: time that passes under way,
errors, lost answers, caches that lag behind, outages, the `Date` of each answer, and the crash of
the node between any two requests.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from random import Random
from typing import Any, Final, Literal, Protocol

from headrace.errors import Conflict, Unavailable
from headrace.kubernetes.resources import LEASES, Manifest, Resource
from headrace.runtime.cluster import (
    EVERYTHING,
    JsonPatch,
    Listing,
    MergePatch,
    Selection,
    WatchEvent,
)
from headrace.runtime.cluster_kube.server_time import ServerTime
from headrace.runtime.cluster_memory import MemoryClient
from headrace.runtime.cluster_memory.objects import TableKey, table_key
from headrace.runtime.cluster_memory.watches import MemoryWatch
from headrace_sandbox.clock import NodeClock
from headrace_sandbox.faults import Kind
from headrace_sandbox.world import World

_LATENCY_SECONDS: Final = 0.004
_DELAY_SECONDS_MAX: Final = 8.0
_FREEZE_SECONDS_MAX: Final = 25.0


@lru_cache(maxsize=64)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


class Crash(BaseException):
    """The process of a node ends here; no handler of Headrace may catch it."""


class Host(Protocol):
    """What the port needs of its node."""

    name: str
    frozen_until: float

    @property
    def is_cut_off(self) -> bool:
        """Whether the API server cannot be reached from here."""
        ...

    def is_running(self, incarnation: int) -> bool:
        """Whether the process that made a port still lives."""
        ...

    def sends(self, verb: str, resource: Resource, name: str) -> None:
        """Hear that a request leaves the process."""
        ...


@dataclass(slots=True)
class _Stream:
    """The watch of one kind, as far as its events have come through.

    Attributes:
        watch: Open on the API server; None while there is none.
        pending: Events that were taken from it and have not come through.
        position: resourceVersion of the last event that came through.
        visible: Events up to this version may come through.
    """

    watch: MemoryWatch | None
    pending: list[WatchEvent]
    position: str
    visible: int = 0


class NodeCluster:
    """The API server as one process sees it.

    Args:
        world: Where it lives.
        host: The node.
        incarnation: Of the node's process.
        clock: The node's.
    """

    def __init__(self, world: World, host: Host, incarnation: int, clock: NodeClock) -> None:
        self._world = world
        self._host = host
        self._incarnation = incarnation
        self._clock = clock
        self._client: MemoryClient = world.cluster.client(host.name)
        self._rng: Random = world.stream(f"requests/{host.name}/{incarnation}")
        self._time = ServerTime()
        self._streams: dict[TableKey, _Stream] = {}

    # The watch

    def show(self, kind: TableKey, version: int) -> None:
        """Let the events of a kind come through up to a version."""
        stream = self._streams.get(kind)
        if stream is not None:
            stream.visible = max(stream.visible, version)

    def lose_watch(self, kind: TableKey) -> None:
        """End the watch of a kind with 410: the next one begins with a list."""
        stream = self._streams.get(kind)
        if stream is not None and stream.watch is not None:
            stream.watch.expire()
            stream.pending.clear()

    async def watch(
        self, resource: Resource, selection: Selection, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield what has come through, and end."""
        if self._host.is_cut_off:
            raise Unavailable("no route to the API server")
        stream = self._stream(resource, selection, resource_version)
        if stream.watch is not None:
            stream.pending += stream.watch.poll()
        while stream.pending:
            version = int(stream.pending[0].manifest["metadata"]["resourceVersion"])
            if version > stream.visible:
                return
            event = stream.pending.pop(0)
            stream.position = str(version)
            yield event

    def _stream(self, resource: Resource, selection: Selection, version: str) -> _Stream:
        kind = table_key(resource)
        stream = self._streams.get(kind)
        if stream is not None and stream.position == version and stream.watch is not None:
            return stream
        if stream is not None and stream.watch is not None:
            stream.watch.close()
        visible = stream.visible if stream is not None else 0
        self._streams[kind] = stream = _Stream(None, [], version, max(visible, int(version or 0)))
        stream.watch = self._client.open_watch(resource, selection, version)
        return stream

    # Requests

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        """Return the live object. Raises NotFound."""
        sent_at = self._leave("get", resource, name)
        found = await self._client.get(resource, namespace, name)
        self._arrive(sent_at)
        return found

    async def list(self, resource: Resource, selection: Selection = EVERYTHING) -> Listing:
        """Return all matching objects."""
        sent_at = self._leave("list", resource, "")
        listing = await self._client.list(resource, selection)
        self._arrive(sent_at)
        return listing

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Create an object."""
        sent_at = self._leave("create", resource, manifest["metadata"].get("name", ""))
        created = await self._client.create(resource, manifest)
        self._arrive(sent_at, is_write=True)
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
        """Patch an object."""
        sent_at = self._leave("patch", resource, name)
        patched = await self._client.patch(
            resource, namespace, name, patch, subresource=subresource
        )
        self._arrive(sent_at, is_write=True)
        return patched

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Replace an object."""
        sent_at = self._leave("replace", resource, manifest["metadata"]["name"])
        replaced = await self._client.replace(resource, manifest)
        self._arrive(sent_at, is_write=True)
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
        """Delete an object."""
        sent_at = self._leave("delete", resource, name)
        await self._client.delete(
            resource,
            namespace,
            name,
            uid=uid,
            resource_version=resource_version,
            propagation=propagation,
        )
        self._arrive(sent_at, is_write=True)

    async def evict(self, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Evict a pod."""
        sent_at = self._leave("evict", LEASES, name)
        await self._client.evict(namespace, name, uid=uid)
        self._arrive(sent_at, is_write=True)

    async def versions(self, group: str) -> tuple[str, ...]:
        """Return the served versions of an API group."""
        return await self._client.versions(group)

    async def openapi(self, group: str, version: str) -> Mapping[str, Any]:
        """Return a published document."""
        return await self._client.openapi(group, version)

    def server_offset_seconds(self) -> float | None:
        """Return server time minus own time, as the answers tell."""
        return self._time.offset_seconds()

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def _leave(self, verb: str, resource: Resource, name: str) -> float:
        """Send a request: it is under way for a while, and may not arrive."""
        host, strikes = self._host, self._world.faults.strikes
        host.sends(verb, resource, name)
        sent_at = self._clock.now()
        self._die_if(strikes(Kind.CRASH, host.name) is not None)
        if (fault := strikes(Kind.FREEZE, host.name)) is not None:
            seconds = fault.size * _FREEZE_SECONDS_MAX
            self._world.tell("fault", f"{host.name} is frozen", seconds=round(seconds, 2))
            host.frozen_until = self._world.now + seconds
            self._pass(seconds)
        latency = self._rng.expovariate(1 / _LATENCY_SECONDS)
        if (fault := strikes(Kind.REQUEST_DELAY, host.name)) is not None:
            latency += fault.size**3 * _DELAY_SECONDS_MAX
        self._pass(latency)
        if host.is_cut_off:
            raise Unavailable("no route to the API server")
        if strikes(Kind.REQUEST_ERROR, host.name) is not None:
            raise Unavailable("the API server is overloaded", retry_after_seconds=1.0)
        if verb == "patch" and strikes(Kind.CONFLICT, host.name) is not None:
            raise Conflict("the object has been modified")
        return sent_at

    def _arrive(self, sent_at: float, *, is_write: bool = False) -> None:
        """Bring the answer home; of a write it may get lost."""
        host, strikes = self._host, self._world.faults.strikes
        self._die_if(is_write and strikes(Kind.CRASH, host.name) is not None)
        date = _http_date(int(self._world.now))
        if is_write and strikes(Kind.ANSWER_LOSS, host.name) is not None:
            raise Unavailable("the connection was reset")
        self._time.observe(date, sent_at, self._clock.now())

    def _pass(self, seconds: float) -> None:
        self._world.pass_time(seconds)
        self._die_if(not self._host.is_running(self._incarnation))

    def _die_if(self, is_dead: bool) -> None:
        if is_dead:
            raise Crash(self._host.name)
