"""A thin Kubernetes client for the lab: raw JSON, one follow loop, no caching.

The lab judges Headrace from outside, so its parts share no code with it: this client is the
only thing between them and the API server.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import orjson
import yaml

logger = logging.getLogger(__name__)

Object = dict[str, Any]
"""A Kubernetes object as the API server sends it."""

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_JSON = "application/json"

_RELIST_DELAY_SECONDS_MIN = 0.1
_RELIST_DELAY_SECONDS_MAX = 2.0
_CONNECTIONS_MAX = 48


class KubeError(Exception):
    """The API server answered with an error status."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object and where the API server keeps it."""

    group: str
    version: str
    plural: str
    is_namespaced: bool = True

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, of one object, or of its subresource."""
        parts = ["api", self.version] if not self.group else ["apis", self.group, self.version]
        if self.is_namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [quote(part) for part in (name, subresource) if part]
        return "/" + "/".join(parts)


PODS = Resource("", "v1", "pods")
SERVICES = Resource("", "v1", "services")
NODES = Resource("", "v1", "nodes", is_namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", is_namespaced=False)

OnChange = Callable[[str, Object], None]
"""Called with ADDED, MODIFIED or DELETED and the object; runs on the event loop."""


class Kube:
    """Requests to one API server with one identity."""

    def __init__(self, server: str, *, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        self._server = server.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Self:
        """Read the current context of a kubeconfig file: bearer tokens and client certificates."""
        config = yaml.safe_load(path.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        tls = _tls_context(cluster, user, path.parent)
        return cls(cluster["server"], token=user.get("token", ""), tls=tls)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            ssl=self._tls if self._tls is not None else True, limit=_CONNECTIONS_MAX
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=30, connect=5),
        )
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = _JSON,
    ) -> Object:
        """Send one request and return the object of the answer.

        Raises:
            KubeError: The server answered with 400 or above.
            aiohttp.ClientError: The server could not be reached.
        """
        assert self._session is not None, "use the client as an async context manager"
        async with self._session.request(
            method,
            self._server + path,
            params=params,
            data=orjson.dumps(body) if body is not None else None,
            headers={"Content-Type": content_type, "Accept": _JSON},
        ) as response:
            payload = await response.read()
            if response.status >= 400:
                raise _error(response.status, payload)
            answer: Object = orjson.loads(payload)
            return answer

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Read one object."""
        return await self.request("GET", resource.path(namespace, name))

    async def list(
        self, resource: Resource, namespace: str = "", *, params: Mapping[str, str] | None = None
    ) -> Object:
        """Read a collection; items come without kind and apiVersion, as the server sends them."""
        return await self.request("GET", resource.path(namespace), params=params)

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Create an object."""
        return await self.request("POST", resource.path(namespace), body)

    async def apply(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Create or update an object by server-side apply, taking over conflicting fields."""
        name = body["metadata"]["name"]
        params = {"fieldManager": "headrace-lab", "force": "true"}
        return await self.request(
            "PATCH",
            resource.path(namespace, name),
            body,
            params=params,
            content_type=APPLY_PATCH,
        )

    async def discover(self, group: str) -> str | None:
        """The preferred version of an API group, None if the group is not served."""
        try:
            answer = await self.request("GET", f"/apis/{group}")
        except KubeError as error:
            if error.status == 404:
                return None
            raise
        version: str = answer["preferredVersion"]["version"]
        return version

    async def follow(
        self,
        resource: Resource,
        on_change: OnChange,
        *,
        namespace: str = "",
        params: Mapping[str, str] | None = None,
        on_synced: Callable[[], None] | None = None,
    ) -> None:
        """Report every object and every later change of it, for ever.

        Lists, then watches; whatever ends the watch (410, restart of the server, broken
        connection) leads to a new list, whose difference to what was reported is reported. A
        resource that is not served yet counts as empty.
        """
        follower = _Follower(self, resource, on_change, namespace, dict(params or {}))
        delay = _RELIST_DELAY_SECONDS_MIN
        while True:
            try:
                await follower.list_all()
                if on_synced is not None:
                    on_synced()
                delay = _RELIST_DELAY_SECONDS_MIN
                await follower.watch()
            except KubeError as error:
                if error.status not in (404, 410):
                    logger.warning("follow %s: %s", resource.plural, error)
                if error.status == 404:
                    follower.clear()
                    if on_synced is not None:
                        on_synced()
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                logger.info("follow %s: connection lost: %r", resource.plural, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, _RELIST_DELAY_SECONDS_MAX)

    async def stream(self, path: str, params: Mapping[str, str]) -> AsyncIterator[Object]:
        """The objects of an answer with one JSON object per line (a watch)."""
        assert self._session is not None, "use the client as an async context manager"
        timeout = aiohttp.ClientTimeout(total=None, connect=5)
        async with self._session.get(
            self._server + path, params=params, timeout=timeout, headers={"Accept": _JSON}
        ) as response:
            if response.status >= 400:
                raise _error(response.status, await response.read())
            rest = b""
            try:
                async for chunk in response.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        yield orjson.loads(line)
            finally:
                # A polite end of TLS would outlast a loop that ends now.
                if response.connection is not None and response.connection.transport is not None:
                    response.connection.transport.abort()


@dataclass(slots=True)
class _Follower:
    kube: Kube
    resource: Resource
    on_change: OnChange
    namespace: str
    params: dict[str, str]
    known: dict[str, Object] = field(default_factory=dict)  # by uid
    resource_version: str = ""

    async def list_all(self) -> None:
        listing = await self.kube.list(self.resource, self.namespace, params=self.params)
        self.resource_version = listing["metadata"]["resourceVersion"]
        found = {item["metadata"]["uid"]: item for item in listing["items"]}
        for uid in self.known.keys() - found.keys():
            self._report(DELETED, self.known[uid])
        for uid, item in found.items():
            before = self.known.get(uid)
            if before is None:
                self._report(ADDED, item)
            elif _version(before) != _version(item):
                self._report(MODIFIED, item)

    def clear(self) -> None:
        for item in list(self.known.values()):
            self._report(DELETED, item)

    async def watch(self) -> None:
        params = self.params | {
            "watch": "true",
            "resourceVersion": self.resource_version,
            "allowWatchBookmarks": "true",
        }
        async for event in self.kube.stream(self.resource.path(self.namespace), params):
            if event["type"] == "ERROR":
                status = event["object"]
                raise KubeError(status.get("code", 500), status.get("reason", ""), str(status))
            self.resource_version = _version(event["object"])
            if event["type"] != "BOOKMARK":
                self._report(event["type"], event["object"])

    def _report(self, kind: str, item: Object) -> None:
        uid = item["metadata"]["uid"]
        if kind == DELETED:
            self.known.pop(uid, None)
        else:
            self.known[uid] = item
        self.on_change(kind, item)


def timestamp() -> str:
    """The present time as Kubernetes writes it."""
    # The lab imports nothing of Headrace, its clock included.
    now = datetime.now(UTC)  # noqa: TID251
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def key_of(item: Object) -> tuple[str, str]:
    """Namespace and name of an object."""
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _version(item: Object) -> str:
    version: str = item["metadata"]["resourceVersion"]
    return version


def _error(status: int, payload: bytes) -> KubeError:
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return KubeError(status, "", payload[:300].decode(errors="replace"))
    return KubeError(status, answer.get("reason", ""), answer.get("message", ""))


def _named(entries: list[Object], name: str) -> Object:
    return next(entry for entry in entries if entry["name"] == name)


def _tls_context(cluster: Object, user: Object, folder: Path) -> ssl.SSLContext | None:
    if not cluster["server"].startswith("https"):
        return None
    context = ssl.create_default_context()
    if "certificate-authority-data" in cluster:
        context.load_verify_locations(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
    elif "certificate-authority" in cluster:
        context.load_verify_locations(cafile=folder / cluster["certificate-authority"])
    elif cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "client-certificate" in user:
        context.load_cert_chain(
            folder / user["client-certificate"], folder / user.get("client-key", "")
        )
    return context
