from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from headrace_lab.kube import PODS, Kube, KubeError, Resource

Handler = Callable[[web.Request], Any]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Any]]:
    servers: list[TestServer] = []

    async def start(handler: Handler) -> str:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(application)
        await server.start_server()
        servers.append(server)
        return str(server.make_url("/"))

    yield start
    for server in servers:
        await server.close()


def make_pod(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}}


def line(kind: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


class Script:
    """Answers lists and watches in turn; the last watch stays open."""

    def __init__(self, lists: list[list[dict[str, Any]]], watches: list[list[bytes]]) -> None:
        self.lists = lists
        self.watches = watches
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response(
                {"metadata": {"resourceVersion": "10"}, "items": self.lists.pop(0)}
            )
        self.asked.append(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        for event in self.watches.pop(0):
            await response.write(event)
        if not self.watches:
            await asyncio.Event().wait()
        return response


async def follow_until(url: str, count: int) -> list[tuple[str, str, str]]:
    seen: list[tuple[str, str, str]] = []
    is_enough = asyncio.Event()

    def on_change(kind: str, item: dict[str, Any]) -> None:
        seen.append((kind, item["metadata"]["name"], item["metadata"]["resourceVersion"]))
        if len(seen) == count:
            is_enough.set()

    async with Kube(url) as kube:
        following = asyncio.create_task(kube.follow(PODS, on_change))
        async with asyncio.timeout(10):
            await is_enough.wait()
        following.cancel()
    return seen


async def test_follows_the_list_and_then_the_watch(serve: Any) -> None:
    script = Script(
        lists=[[make_pod("a", 1)]],
        watches=[
            [
                line("ADDED", make_pod("b", 11)),
                line("BOOKMARK", make_pod("", 12)),
                line("MODIFIED", make_pod("a", 13)),
                line("DELETED", make_pod("b", 14)),
            ]
        ],
    )

    seen = await follow_until(await serve(script.answer), 4)

    assert seen == [
        ("ADDED", "a", "1"),
        ("ADDED", "b", "11"),
        ("MODIFIED", "a", "13"),
        ("DELETED", "b", "14"),
    ]
    assert script.asked == ["10"]


async def test_an_event_may_arrive_in_pieces(serve: Any) -> None:
    event = line("ADDED", make_pod("b", 11))
    script = Script(lists=[[]], watches=[[event[:20], event[20:]]])

    assert await follow_until(await serve(script.answer), 1) == [("ADDED", "b", "11")]


@pytest.mark.parametrize(
    "end",
    [
        [],
        [line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})],
    ],
    ids=["broken", "expired"],
)
async def test_a_watch_that_ends_is_replaced_by_the_difference_of_a_new_list(
    serve: Any, end: list[bytes]
) -> None:
    script = Script(
        lists=[
            [make_pod("same", 1), make_pod("changed", 1), make_pod("gone", 1)],
            [make_pod("same", 1), make_pod("changed", 2), make_pod("new", 3)],
        ],
        watches=[end, []],
    )

    seen = await follow_until(await serve(script.answer), 6)

    assert seen[3:] == [
        ("DELETED", "gone", "1"),
        ("MODIFIED", "changed", "2"),
        ("ADDED", "new", "3"),
    ]


async def test_an_unserved_resource_counts_as_empty(serve: Any) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({"reason": "NotFound", "message": "no"}, status=404)

    synced = asyncio.Event()
    async with Kube(await serve(handler)) as kube:
        following = asyncio.create_task(kube.follow(PODS, lambda *_: None, on_synced=synced.set))
        async with asyncio.timeout(5):
            await synced.wait()
        following.cancel()


async def test_an_error_says_status_reason_and_message(serve: Any) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response({"reason": "Conflict", "message": "too late"}, status=409)

    async with Kube(await serve(handler)) as kube:
        with pytest.raises(KubeError, match="409 Conflict: too late") as caught:
            await kube.get(PODS, "default", "a")

    assert caught.value.status == 409


async def test_an_absent_group_has_no_version(serve: Any) -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/apis/example.com":
            return web.json_response({"preferredVersion": {"version": "v1"}})
        return web.json_response({}, status=404)

    async with Kube(await serve(handler)) as kube:
        assert await kube.discover("example.com") == "v1"
        assert await kube.discover("absent.example.com") is None


async def test_reads_address_and_token_from_a_kubeconfig(serve: Any, tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"token": request.headers["Authorization"]})

    config = {
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": await serve(handler)}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))

    async with Kube.from_kubeconfig(tmp_path / "config") as kube:
        assert await kube.request("GET", "/") == {"token": "Bearer secret"}


def test_paths_name_group_namespace_and_subresource() -> None:
    splits = Resource("split.smi-spec.io", "v1alpha1", "trafficsplits")

    assert PODS.path("default", "a", "status") == "/api/v1/namespaces/default/pods/a/status"
    assert PODS.path() == "/api/v1/pods"
    assert splits.path("shop") == "/apis/split.smi-spec.io/v1alpha1/namespaces/shop/trafficsplits"
