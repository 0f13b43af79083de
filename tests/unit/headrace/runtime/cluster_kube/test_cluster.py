"""Requests against a server that misbehaves, which a real one does too seldom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from headrace.errors import Expired, Forbidden, NotFound, PreconditionFailed, Unavailable
from headrace.kubernetes.resources import CONFIG_MAPS, NAMESPACES, PODS, Manifest
from headrace.runtime.clock import Clock, SystemClock, VirtualClock
from headrace.runtime.cluster import Listing, MergePatch, Selection, WatchEvent
from headrace.runtime.cluster_kube import KubeCluster, KubeClusterSettings, Kubeconfig

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """An API server that answers with what a test tells it."""

    def __init__(self, handler: Handler) -> None:
        self.requests: list[web.Request] = []
        self._handler = handler
        self.base = TestServer(self._application())

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self._handler(request)


class Requests:
    """A request observer that keeps what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []

    def __call__(self, verb: str, resource: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.seen.append((verb, resource, status))


Connect = Callable[..., Awaitable[KubeCluster]]


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    """Return how to connect to a server of the test's own."""
    opened: list[Any] = []

    async def connect(
        server: Server | str,
        *,
        user: dict[str, Any] | None = None,
        observer: Requests | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> KubeCluster:
        if isinstance(server, Server):
            await server.base.start_server()
            opened.append(server.base)
        url = str(server.base.make_url("")) if isinstance(server, Server) else server
        config = {
            "current-context": "x",
            "clusters": [{"name": "x", "cluster": {"server": url}}],
            "users": [{"name": "x", "user": user or {"token": "secret"}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_bytes(orjson.dumps(config))
        cluster = await KubeCluster.connect(
            Kubeconfig(str(path)),
            clock=clock or SystemClock(),
            settings=KubeClusterSettings(**settings),
            observer=observer,
        )
        opened.append(cluster)
        return cluster

    yield connect
    for resource in reversed(opened):
        await resource.close()


def answer(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def config_map(name: str) -> Manifest:
    return {"metadata": {"name": name, "resourceVersion": "1"}}


async def events(cluster: KubeCluster) -> list[WatchEvent]:
    return [event async for event in cluster.watch(CONFIG_MAPS, Selection("shop"), "7")]


async def test_reads_all_pages_of_a_list(connect: Connect) -> None:
    async def handle(request: web.Request) -> web.Response:
        page = int(request.query.get("continue", 0))
        metadata = {"resourceVersion": "9", "continue": str(page + 1) if page < 2 else ""}
        return answer({"metadata": metadata, "items": [config_map(f"m{page}")]})

    cluster = await connect(server := Server(handle))
    listing = await cluster.list(CONFIG_MAPS, Selection("shop", labels="a=b", fields="c=d"))
    item = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert listing == Listing(tuple(config_map(f"m{page}") | item for page in range(3)), "9")
    assert [request.path for request in server.requests] == [
        "/api/v1/namespaces/shop/configmaps"
    ] * 3
    assert all(request.query["labelSelector"] == "a=b" for request in server.requests)
    assert all(request.query["fieldSelector"] == "c=d" for request in server.requests)


async def test_lists_again_when_a_page_has_expired(connect: Connect) -> None:
    async def handle(request: web.Request) -> web.Response:
        if "continue" in request.query:
            return answer({"reason": "Expired", "message": "too old"}, status=410)
        metadata = {"resourceVersion": "9", "continue": "2" if "limit" in request.query else ""}
        return answer({"metadata": metadata, "items": [config_map("a")]})

    cluster = await connect(server := Server(handle))
    listing = await cluster.list(CONFIG_MAPS)
    assert len(listing.items) == 1
    assert "limit" not in server.requests[-1].query


async def test_renews_refused_credentials_once(connect: Connect, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")

    async def handle(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == "Bearer new":
            return answer(config_map("a"))
        return answer({"reason": "Unauthorized"}, status=401)

    clock = VirtualClock()
    user = {"tokenFile": str(token)}
    cluster = await connect(server := Server(handle), user=user, clock=clock)
    with pytest.raises(Forbidden):
        await cluster.get(CONFIG_MAPS, "shop", "a")
    assert len(server.requests) == 1  # read a moment ago: not worth another look
    token.write_text("new")
    clock.advance(60)
    await cluster.get(CONFIG_MAPS, "shop", "a")
    assert len(server.requests) == 3


async def test_says_that_the_server_cannot_be_reached(connect: Connect) -> None:
    observer = Requests()
    cluster = await connect(f"http://127.0.0.1:{unused_port()}", observer=observer)
    with pytest.raises(Unavailable, match="GET /api/v1/namespaces/shop/configmaps/a"):
        await cluster.get(CONFIG_MAPS, "shop", "a")
    with pytest.raises(Unavailable):
        await cluster.list(CONFIG_MAPS)
    with pytest.raises(Unavailable):
        await events(cluster)
    verbs = [verb for verb, *told in observer.seen if told == ["configmaps", 0]]
    assert verbs == ["GET", "LIST", "WATCH"]


async def test_does_not_wait_for_ever(connect: Connect) -> None:
    async def handle(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return answer({})

    cluster = await connect(Server(handle), request_seconds_max=0.1)
    with pytest.raises(Unavailable, match="no answer in time"):
        await cluster.get(CONFIG_MAPS, "shop", "a")
    with pytest.raises(Unavailable, match="no answer in time"):
        await events(cluster)


async def test_an_answer_that_is_no_json_is_none(connect: Connect) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text="<html>")

    cluster = await connect(Server(handle))
    with pytest.raises(Unavailable):
        await cluster.get(CONFIG_MAPS, "shop", "a")


@pytest.mark.parametrize("text", ["{}", "[]", '"ok"', "null"])
async def test_an_answer_of_something_else_is_none(connect: Connect, text: str) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=text)

    cluster = await connect(Server(handle))
    with pytest.raises(Unavailable, match="not that of an API server"):
        await cluster.get(CONFIG_MAPS, "shop", "a")
    with pytest.raises(Unavailable, match="not that of an API server"):
        await cluster.list(CONFIG_MAPS)
    for group in ("", "apps"):
        with pytest.raises(Unavailable, match="not that of an API server"):
            await cluster.versions(group)


def streaming(*chunks: bytes, breaks_off: bool = False) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if breaks_off and request.transport is not None:
            request.transport.abort()
        return response

    return handle


def line(kind: str, manifest: Any) -> bytes:
    return orjson.dumps({"type": kind, "object": manifest}) + b"\n"


async def test_reads_events_of_any_size(connect: Connect) -> None:
    large = config_map("a") | {"data": {"x": "y" * 3_000_000}}
    bookmark = {"metadata": {"resourceVersion": "9"}}
    observer = Requests()
    server = Server(streaming(line("ADDED", large), line("BOOKMARK", bookmark)))
    cluster = await connect(server, observer=observer)
    assert await events(cluster) == [WatchEvent("ADDED", large), WatchEvent("BOOKMARK", bookmark)]
    query = server.requests[0].query
    assert (query["resourceVersion"], query["watch"]) == ("7", "1")
    assert observer.seen == [("WATCH", "configmaps", 200)]


async def test_a_watch_tells_that_its_version_has_expired(connect: Connect) -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    cluster = await connect(Server(streaming(line("ERROR", status))))
    with pytest.raises(Expired):
        await events(cluster)


async def test_a_watch_that_is_refused_is_an_error(connect: Connect) -> None:
    async def handle(request: web.Request) -> web.Response:
        return answer({"reason": "Forbidden"}, status=403)

    cluster = await connect(Server(handle))
    with pytest.raises(Forbidden):
        await events(cluster)


async def test_a_connection_that_breaks_ends_the_watch_with_an_error(connect: Connect) -> None:
    added = line("ADDED", config_map("a"))
    cluster = await connect(Server(streaming(added, added[:10], breaks_off=True)))
    found = cluster.watch(CONFIG_MAPS, Selection(), "7")
    assert (await anext(found)).type == "ADDED"
    with pytest.raises(Unavailable):
        await anext(found)


async def test_addresses_every_kind_of_object(connect: Connect) -> None:
    async def handle(request: web.Request) -> web.Response:
        return answer(config_map("a"))

    cluster = await connect(server := Server(handle))
    await cluster.get(NAMESPACES, None, "shop")
    await cluster.patch(PODS, "shop", "a", MergePatch({"status": {}}), subresource="status")
    await cluster.evict("shop", "a", uid="u")
    await cluster.openapi("argoproj.io", "v1alpha1")
    await cluster.openapi("", "v1")
    asked = [(request.method, request.path) for request in server.requests]
    assert asked == [
        ("GET", "/api/v1/namespaces/shop"),
        ("PATCH", "/api/v1/namespaces/shop/pods/a/status"),
        ("POST", "/api/v1/namespaces/shop/pods/a/eviction"),
        ("GET", "/openapi/v3/apis/argoproj.io/v1alpha1"),
        ("GET", "/openapi/v3/api/v1"),
    ]
    assert server.requests[1].content_type == "application/merge-patch+json"
    assert server.requests[0].headers["Authorization"] == "Bearer secret"


async def test_the_preferred_version_comes_first(connect: Connect) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path.endswith("/absent.io"):
            return answer({"reason": "NotFound"}, status=404)
        versions = [{"version": name} for name in ("v1", "v1beta1", "v1alpha1")]
        return answer({"versions": versions, "preferredVersion": {"version": "v1beta1"}})

    cluster = await connect(Server(handle))
    assert await cluster.versions("split.smi-spec.io") == ("v1beta1", "v1", "v1alpha1")
    assert await cluster.versions("absent.io") == ()


async def test_a_delete_that_meets_another_object_fails_its_precondition(connect: Connect) -> None:
    bodies: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        bodies.append(orjson.loads(await request.read()))
        return answer({"reason": "Conflict"}, status=409)

    cluster = await connect(Server(handle))
    with pytest.raises(PreconditionFailed):
        await cluster.delete(CONFIG_MAPS, "shop", "a", uid="u", resource_version="7")
    assert bodies[0]["preconditions"] == {"uid": "u", "resourceVersion": "7"}
    assert bodies[0]["propagationPolicy"] == "Background"


async def test_learns_the_servers_time(connect: Connect) -> None:
    async def handle(request: web.Request) -> web.Response:
        raise web.HTTPNotFound

    cluster = await connect(Server(handle))
    assert cluster.server_offset_seconds() is None
    with pytest.raises(NotFound):
        await cluster.get(CONFIG_MAPS, "shop", "a")
    offset = cluster.server_offset_seconds()
    assert offset is not None
    assert abs(offset) <= 1.0


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../secrets/a", "a%2fb"])
async def test_a_name_that_no_object_can_have_is_never_asked_for(
    connect: Connect, name: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"metadata": {"name": "other"}})

    server = Server(answer)
    cluster = await connect(server)
    for namespace, wanted in (("default", name), (name or "..", "a")):
        with pytest.raises(NotFound, match="not found"):
            await cluster.get(CONFIG_MAPS, namespace, wanted)
        with pytest.raises(NotFound, match="not found"):
            await cluster.patch(CONFIG_MAPS, namespace, wanted, MergePatch({}), subresource="x")
    assert server.requests == []
