from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from headrace_lab.kube import Kube
from headrace_lab.mesh import EnvoyFiles, Mesh, parse_arguments

SPLITS = "/apis/split.smi-spec.io/v1alpha3/trafficsplits"
ROUTES = "/apis/gateway.networking.k8s.io/v1/httproutes"


class Cluster:
    """Serves lists of objects and one watch per kind."""

    def __init__(self, objects: dict[str, list[dict[str, Any]]]) -> None:
        self.objects = objects
        self.events: dict[str, asyncio.Queue[bytes]] = {path: asyncio.Queue() for path in objects}
        self.patches: list[tuple[str, dict[str, Any]]] = []

    def change(self, path: str, item: dict[str, Any]) -> None:
        self.events[path].put_nowait(orjson.dumps({"type": "MODIFIED", "object": item}) + b"\n")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/apis/split.smi-spec.io":
            return web.json_response({"preferredVersion": {"version": "v1alpha3"}})
        if request.method == "PATCH":
            self.patches.append((request.path, orjson.loads(await request.read())))
            return web.json_response({})
        if request.path not in self.objects:
            return web.json_response({}, status=404)
        if "watch" not in request.query:
            return web.json_response(
                {"metadata": {"resourceVersion": "1"}, "items": self.objects[request.path]}
            )
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(await self.events[request.path].get())


def make(name: str, version: int = 1, **parts: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "shop",
        "name": name,
        "uid": name,
        "generation": version,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return {"metadata": metadata, **parts}


def make_service(name: str) -> dict[str, Any]:
    return make(name, spec={"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]})


def make_split(stable: int, canary: int, version: int = 1) -> dict[str, Any]:
    backends = [
        {"service": "stable", "weight": stable},
        {"service": "canary", "weight": canary},
    ]
    return make("split", version, spec={"service": "root", "backends": backends})


@pytest.fixture
async def cluster() -> AsyncIterator[tuple[Cluster, str]]:
    cluster = Cluster(
        {
            "/api/v1/services": [make_service(name) for name in ("root", "stable", "canary")],
            "/api/v1/pods": [],
            SPLITS: [make_split(90, 10)],
            ROUTES: [],
        }
    )
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", cluster.handle)
    server = TestServer(application)
    await server.start_server()
    yield cluster, str(server.make_url("/"))
    await server.close()


def weights(folder: Path) -> list[int]:
    document = orjson.loads((folder / "rds.json").read_bytes())
    hosts = {host["name"]: host for host in document["resources"][0]["virtual_hosts"]}
    clusters = hosts["shop/root"]["routes"][0]["route"]["weighted_clusters"]["clusters"]
    return [item["weight"] for item in clusters]


async def test_writes_once_all_is_known_and_again_after_a_change(
    cluster: tuple[Cluster, str], tmp_path: Path
) -> None:
    objects, url = cluster
    ready = asyncio.Event()
    async with Kube(url) as kube:
        running = asyncio.create_task(Mesh(kube, tmp_path).run(ready.set))
        async with asyncio.timeout(10):
            await ready.wait()
            before = weights(tmp_path)
            objects.change(SPLITS, make_split(67, 33, version=2))
            while weights(tmp_path) == before:
                await asyncio.sleep(0.01)
        running.cancel()

    assert before == [90, 10]
    assert weights(tmp_path) == [67, 33]


async def test_accepts_a_route_that_it_has_written(
    cluster: tuple[Cluster, str], tmp_path: Path
) -> None:
    objects, url = cluster
    parents = [{"kind": "Service", "name": "root"}]
    route = make("route", spec={"parentRefs": parents, "rules": []})
    async with Kube(url) as kube:
        running = asyncio.create_task(Mesh(kube, tmp_path).run(lambda: None))
        objects.change(ROUTES, route)
        async with asyncio.timeout(10):
            while not objects.patches:
                await asyncio.sleep(0.01)
        running.cancel()

    path, patch = objects.patches[0]
    assert path.endswith("/namespaces/shop/httproutes/route/status")
    assert patch["metadata"] == {"resourceVersion": "1"}
    assert patch["status"]["parents"][0]["parentRef"] == parents[0]


async def test_ignored_namespaces_do_not_reach_envoy(
    cluster: tuple[Cluster, str], tmp_path: Path
) -> None:
    options = ["--kubeconfig=c", "--envoy=e", "--admin-port=1", "--listen-port=2"]
    pattern = parse_arguments([*options, "--ignore-namespaces=^sh"]).ignore_namespaces
    ready = asyncio.Event()
    async with Kube(cluster[1]) as kube:
        mesh = Mesh(kube, tmp_path, ignored_namespaces=pattern)
        running = asyncio.create_task(mesh.run(ready.set))
        async with asyncio.timeout(10):
            await ready.wait()
        running.cancel()

    assert orjson.loads((tmp_path / "cds.json").read_bytes()) == {"resources": []}


def test_a_file_is_replaced_only_when_it_changed(tmp_path: Path) -> None:
    files = EnvoyFiles(tmp_path)
    files.write("a.json", {"x": 1})
    first = (tmp_path / "a.json").stat().st_ino
    files.write("a.json", {"x": 1})
    same = (tmp_path / "a.json").stat().st_ino
    files.write("a.json", {"x": 2})

    assert first == same
    assert orjson.loads((tmp_path / "a.json").read_bytes()) == {"x": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
