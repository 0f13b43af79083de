"""Requests to a Kubernetes API server: raw JSON over aiohttp, errors of our own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal, Protocol
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from yarl import URL

from headrace.errors import (
    Conflict,
    Expired,
    NotFound,
    PreconditionFailed,
    RolloutError,
    Unavailable,
)
from headrace.kubernetes.resources import NAMESPACES, PODS, Manifest, Resource
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import (
    EVERYTHING,
    JsonPatch,
    Listing,
    MergePatch,
    Selection,
    WatchEvent,
)
from headrace.runtime.cluster_kube.answers import error_of, error_of_status, slim
from headrace.runtime.cluster_kube.connection import Connection, Kubeconfig
from headrace.runtime.cluster_kube.lines import read_lines
from headrace.runtime.cluster_kube.server_time import ServerTime

_JSON: Final = "application/json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_JSON_PATCH: Final = "application/json-patch+json"

_KEEPALIVE_SECONDS: Final = 60.0
"""Less than the server's 90 s, or requests would meet connections that it is closing."""

_PAGED_LISTS_MAX: Final = 3
_SILENCE_SECONDS_MAX: Final = 90.0
"""A watch that is silent for so long is dead: the server sends a bookmark every minute."""


@dataclass(frozen=True, slots=True)
class KubeClusterSettings:
    """How requests are made.

    Attributes:
        connections_max: Requests and watches on their way at the same time; more wait. A TLS
            handshake costs as much as three requests, so more connections make a burst slower.
        request_seconds_max: For one request, until its answer is read.
        watch_seconds: After which the server ends a watch, so that load spreads over its
            replicas again.
        page_length: Objects per answer of a list.
        user_agent: What the server's audit log and managedFields call us.
    """

    connections_max: int = 128
    request_seconds_max: float = 30.0
    watch_seconds: int = 290
    page_length: int = 500
    user_agent: str = "headrace"


class RequestObserver(Protocol):
    """Called after each request, for metrics."""

    def __call__(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """Count one request.

        Args:
            verb: HTTP method; of those that read, "LIST" and "WATCH" where it is not one object.
            resource: Plural of the kind, or group version of a discovery.
            status: HTTP status; 0 when no answer came.
            seconds: Until the answer was read, or a watch was opened.
        """
        ...


_READS: Final = ("LIST", "WATCH")
"""Verbs of Kubernetes that HTTP knows as GET."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request: what is asked, and how it is counted."""

    verb: str
    path: str
    resource: str
    body: object = None
    content_type: str = _JSON

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


class KubeCluster:
    """The Cluster port on a real API server; made by `KubeCluster.connect`."""

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        settings: KubeClusterSettings,
        observer: RequestObserver | None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._settings = settings
        self._observer = observer
        self._server_time = ServerTime()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=settings.connections_max,
                ssl=connection.tls,
                keepalive_timeout=_KEEPALIVE_SECONDS,
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10.0),
            headers=[
                ("Accept", _JSON),
                ("User-Agent", settings.user_agent),
                *connection.headers,
            ],
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @classmethod
    async def connect(
        cls,
        kubeconfig: Kubeconfig,
        *,
        clock: Clock,
        settings: KubeClusterSettings | None = None,
        observer: RequestObserver | None = None,
    ) -> KubeCluster:
        """Read the configuration; no request is made yet.

        Raises:
            InvalidSpec: The configuration is not usable; the text says why.
            Unavailable: An identity provider did not answer.
        """
        connection = await Connection.load(kubeconfig, clock)
        return cls(connection, clock, settings or KubeClusterSettings(), observer)

    @property
    def default_namespace(self) -> str:
        """The service account's namespace, else the context's, else "default"."""
        return self._connection.namespace

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Manifest:
        """Return the live object. Raises NotFound."""
        return await self._object("GET", resource, _path(resource, namespace, name))

    async def list(self, resource: Resource, selection: Selection = EVERYTHING) -> Listing:
        """Return all matching objects in a consistent snapshot, page by page."""
        for _ in range(_PAGED_LISTS_MAX):
            try:
                return await self._list(resource, selection, self._settings.page_length)
            except Expired:
                continue  # the snapshot was compacted between two pages
        return await self._list(resource, selection, 0)

    async def watch(
        self, resource: Resource, selection: Selection, resource_version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield changes after `resource_version`, bookmarks included. Raises Expired."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "1",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(self._settings.watch_seconds),
        }
        path = _path(resource, selection.namespace) + _query(selection, query)
        call = _Call("WATCH", path, resource.plural)
        with _translated(call):
            async with asyncio.timeout(self._settings.request_seconds_max):
                response = await self._respond(call)
            async with response:
                if response.status >= 400:
                    raise await _error(call, response)
                async for line in read_lines(response.content, _SILENCE_SECONDS_MAX):
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise error_of_status(event["object"])
                    yield WatchEvent(event["type"], slim(event["object"]))

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Create and return the object as stored. Raises AlreadyExists, Rejected, NotFound."""
        body = {"apiVersion": resource.api_version, "kind": resource.kind, **manifest}
        path = _path(resource, manifest["metadata"].get("namespace"))
        return await self._object("POST", resource, path, body)

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
            Rejected: The result is invalid.
        """
        path = _path(resource, namespace, name, subresource)
        if isinstance(patch, MergePatch):
            return await self._object("PATCH", resource, path, patch.body, _MERGE_PATCH)
        return await self._object("PATCH", resource, path, [*patch.operations], _JSON_PATCH)

    async def replace(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Store a whole object, and return it. Raises NotFound, Conflict, Rejected."""
        metadata = dict(manifest["metadata"])
        metadata.pop("managedFields", None)  # reduced when read; the server keeps its own
        body = {
            **manifest,
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata,
        }
        path = _path(resource, metadata.get("namespace"), metadata["name"])
        return await self._object("PUT", resource, path, body)

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
        options = _delete_options(uid, resource_version) | {"propagationPolicy": propagation}
        call = _Call("DELETE", _path(resource, namespace, name), resource.plural, options)
        await self._send_under_preconditions(call)

    async def evict(self, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Evict a pod. Raises RateLimited, NotFound, PreconditionFailed."""
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": _delete_options(uid, None),
        }
        path = _path(PODS, namespace, name, "eviction")
        await self._send_under_preconditions(_Call("POST", path, PODS.plural, eviction))

    async def versions(self, group: str) -> tuple[str, ...]:
        """Return the served versions of an API group, the preferred one first; () if unknown."""
        if not group:
            core = await self._send(_Call("GET", "/api", "/api"), "versions")
            return tuple(core["versions"])
        call = _Call("GET", f"/apis/{quote(group)}", group)
        try:
            answer = await self._send(call, "preferredVersion", "versions")
        except NotFound:
            return ()
        preferred = answer["preferredVersion"]["version"]
        served = [entry["version"] for entry in answer["versions"]]
        return (preferred, *(version for version in served if version != preferred))

    async def openapi(self, group: str, version: str) -> Mapping[str, Any]:
        """Return the published OpenAPI v3 document of a group version. Raises NotFound."""
        root = f"apis/{quote(group)}" if group else "api"
        call = _Call("GET", f"/openapi/v3/{root}/{quote(version)}", f"{group}/{version}")
        document: Mapping[str, Any] = await self._send(call)
        return document

    def server_offset_seconds(self) -> float | None:
        """Return server time minus own time; None before an answer."""
        return self._server_time.offset_seconds()

    async def close(self) -> None:
        """Close connections; open watches end with Unavailable."""
        await self._session.close()

    async def _list(self, resource: Resource, selection: Selection, page_length: int) -> Listing:
        items: list[Manifest] = []
        query = {"limit": str(page_length)} if page_length else {}
        while True:
            path = _path(resource, selection.namespace) + _query(selection, query)
            page = await self._send(_Call("LIST", path, resource.plural), "items", "metadata")
            for item in page["items"] or ():
                # Lists of built-in kinds leave these two to their reader.
                item["apiVersion"], item["kind"] = resource.api_version, resource.kind
                items.append(slim(item))
            if not page["metadata"].get("continue"):
                return Listing(tuple(items), page["metadata"]["resourceVersion"])
            query["continue"] = page["metadata"]["continue"]

    async def _object(
        self,
        method: str,
        resource: Resource,
        path: str,
        body: object = None,
        content_type: str = _JSON,
    ) -> Manifest:
        """Return the object that a request answers with."""
        call = _Call(method, path, resource.plural, body, content_type)
        manifest: Manifest = await self._send(call, "metadata")
        return slim(manifest)

    async def _send_under_preconditions(self, call: _Call) -> None:
        try:
            await self._send(call)
        except Conflict as error:
            raise PreconditionFailed(str(error)) from error

    async def _send(self, call: _Call, *members: str) -> Any:
        """Return the decoded answer of a request; it has these members.

        Raises:
            Unavailable: No answer, or none of an API server: a proxy before it said something.
        """
        with _translated(call):
            async with asyncio.timeout(self._settings.request_seconds_max):
                async with await self._respond(call) as response:
                    if response.status >= 400:
                        raise await _error(call, response)
                    answer = orjson.loads(await response.read())
        if not isinstance(answer, dict) or any(name not in answer for name in members):
            raise Unavailable(f"{call}: the answer is not that of an API server")
        return answer

    async def _respond(self, call: _Call) -> aiohttp.ClientResponse:
        """Return the response to a request, whatever its status; renews refused credentials."""
        sent_at = self._clock.monotonic()
        response = await self._attempt(call)
        if response.status == HTTPStatus.UNAUTHORIZED and await self._connection.renew(sent_at):
            response.release()
            response = await self._attempt(call)
        return response

    async def _attempt(self, call: _Call) -> aiohttp.ClientResponse:
        headers = {}
        authorization = await self._connection.authorization()
        if authorization is not None:
            headers["Authorization"] = authorization
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        began, sent_at, status = self._clock.monotonic(), self._clock.now(), 0
        try:
            response = await self._session.request(
                "GET" if call.verb in _READS else call.verb,
                URL(self._connection.server + call.path, encoded=True),
                data=None if call.body is None else orjson.dumps(call.body),
                headers=headers,
                proxy=self._connection.proxy,
                server_hostname=self._connection.server_hostname,
            )
            status = response.status
        finally:
            if self._observer is not None:
                self._observer(call.verb, call.resource, status, self._clock.monotonic() - began)
        self._server_time.observe(response.headers.get("Date", ""), sent_at, self._clock.now())
        return response


async def _error(call: _Call, response: aiohttp.ClientResponse) -> RolloutError:
    return error_of(
        response.status,
        await response.read(),
        retry_after=response.headers.get("Retry-After"),
        is_json_patch=call.content_type == _JSON_PATCH,
    )


@contextmanager
def _translated(call: _Call) -> Iterator[None]:
    """Let nothing of aiohttp out: what has no answer is Unavailable."""
    try:
        yield
    except TimeoutError as error:
        raise Unavailable(f"{call}: no answer in time") from error
    except (aiohttp.ClientError, OSError, orjson.JSONDecodeError) as error:
        raise Unavailable(f"{call}: {error or type(error).__name__}") from error


def _path(
    resource: Resource, namespace: str | None, name: str | None = None, subresource: str = ""
) -> str:
    """Return the path of an object, or of all of a kind.

    Raises:
        NotFound: No object can have this name. Names come from specs, annotations and command
            lines: an empty one would address all objects, one with a slash another kind's.
    """
    root = f"/apis/{resource.group}" if resource.group else "/api"
    path = f"{root}/{resource.version}"
    if resource.is_namespaced and namespace:
        path += f"/namespaces/{_segment(NAMESPACES, namespace)}"
    path += f"/{resource.plural}"
    if name is not None:
        path += f"/{_segment(resource, name)}"
    return f"{path}/{subresource}" if subresource else path


def _segment(resource: Resource, name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "%" in name:
        plural = ".".join(filter(None, (resource.plural, resource.group)))
        raise NotFound(f'{plural} "{name}" not found')
    return quote(name)


def _query(selection: Selection, query: Mapping[str, str]) -> str:
    selectors = {"labelSelector": selection.labels, "fieldSelector": selection.fields}
    pairs = {key: value for key, value in {**selectors, **query}.items() if value}
    return "?" + urlencode(pairs) if pairs else ""


def _delete_options(uid: str | None, resource_version: str | None) -> dict[str, Any]:
    pairs = {"uid": uid, "resourceVersion": resource_version}
    preconditions = {key: value for key, value in pairs.items() if value is not None}
    return {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
