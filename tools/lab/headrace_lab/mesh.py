"""The mesh adapter: keeps Envoy's files true to Services, TrafficSplits, HTTPRoutes and pods.

With it the lab behaves as a mesh that honours SMI and the Gateway API, with true traffic and true
metrics. It reads Kubernetes objects only.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import orjson
import uvloop

from headrace_lab import mesh_envoy
from headrace_lab.kube import (
    DELETED,
    MERGE_PATCH,
    PODS,
    SERVICES,
    Kube,
    KubeError,
    Object,
    Resource,
    key_of,
    timestamp,
)
from headrace_lab.mesh_routes import Key, PodRecord, record_pod, resolve
from headrace_lab.mesh_status import accepted_parents

logger = logging.getLogger(__name__)

HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes")
SPLIT_GROUP = "split.smi-spec.io"
_KINDS_COUNT = 4
_DISCOVERY_SECONDS = 1.0
_SETTLE_SECONDS = 0.02
# Writing may take a tenth of the time at most, however many objects there are: Envoy has to read.
_REST_FACTOR = 9.0


class EnvoyFiles:
    """The files that Envoy reads; each is replaced by rename, and only if it changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, bytes] = {}

    def write(self, name: str, document: mesh_envoy.Document) -> None:
        """Replace a file's content."""
        content = orjson.dumps(document)
        if self._written.get(name) != content:
            draft = self._folder / f".{name}.new"
            draft.write_bytes(content)
            draft.replace(self._folder / name)
            self._written[name] = content


class Mesh:
    """Follows the objects and writes the files."""

    def __init__(
        self, kube: Kube, folder: Path, *, ignored_namespaces: re.Pattern[str] | None = None
    ) -> None:
        self._kube = kube
        self._folder = folder
        self._ignored = ignored_namespaces
        self._files = EnvoyFiles(folder)
        self._services: dict[Key, Object] = {}
        self._pods: dict[Key, PodRecord] = {}
        self._splits: dict[Key, Object] = {}
        self._routes: dict[Key, Object] = {}
        self._changed = asyncio.Event()
        self._synced: set[str] = set()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Keep the files true, for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(SERVICES, self._services))
            group.create_task(self._follow(HTTP_ROUTES, self._routes))
            group.create_task(
                self._kube.follow(PODS, self._on_pod, on_synced=lambda: self._on_synced("pods"))
            )
            group.create_task(self._follow_splits())
            group.create_task(self._write_changes(on_ready))

    async def _follow_splits(self) -> None:
        while (version := await self._discover_splits()) is None:
            self._on_synced("trafficsplits")
            await asyncio.sleep(_DISCOVERY_SECONDS)
        await self._follow(Resource(SPLIT_GROUP, version, "trafficsplits"), self._splits)

    async def _discover_splits(self) -> str | None:
        try:
            return await self._kube.discover(SPLIT_GROUP)
        except (KubeError, aiohttp.ClientError, TimeoutError) as error:
            logger.info("discovery: %r", error)
            return None

    async def _follow(self, resource: Resource, store: dict[Key, Object]) -> None:
        def on_change(kind: str, item: Object) -> None:
            if self._is_ignored(item):
                return
            if kind == DELETED:
                store.pop(key_of(item), None)
            else:
                store[key_of(item)] = item
            self._changed.set()

        await self._kube.follow(
            resource, on_change, on_synced=lambda: self._on_synced(resource.plural)
        )

    def _on_pod(self, kind: str, pod: Object) -> None:
        if self._is_ignored(pod):
            return
        key = key_of(pod)
        before = self._pods.get(key)
        if kind == DELETED:
            self._pods.pop(key, None)
        else:
            self._pods[key] = record_pod(pod)
        if self._pods.get(key) != before:
            self._changed.set()

    def _is_ignored(self, item: Object) -> bool:
        return self._ignored is not None and bool(self._ignored.search(key_of(item)[0]))

    def _on_synced(self, name: str) -> None:
        self._synced.add(name)
        self._changed.set()

    async def _write_changes(self, on_ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        is_ready = False
        while True:
            await self._changed.wait()
            await asyncio.sleep(_SETTLE_SECONDS)
            self._changed.clear()
            if len(self._synced) < _KINDS_COUNT:
                continue
            started = loop.time()
            self.write()
            await self._accept_routes()
            if not is_ready:
                on_ready()
                is_ready = True
            await asyncio.sleep(_REST_FACTOR * (loop.time() - started))

    async def _accept_routes(self) -> None:
        """Tell that the routes hold, as far as it was not told yet."""
        for route in list(self._routes.values()):
            parents = accepted_parents(route, timestamp())
            if parents is None:
                continue
            namespace, name = key_of(route)
            patch = {
                "metadata": {"resourceVersion": route["metadata"]["resourceVersion"]},
                "status": {"parents": parents},
            }
            path = HTTP_ROUTES.path(namespace, name, "status")
            try:
                await self._kube.request("PATCH", path, patch, content_type=MERGE_PATCH)
            except (KubeError, aiohttp.ClientError, TimeoutError) as error:
                # A conflict is followed by the route's newer version, which brings us here again.
                logger.info("HTTPRoute %s/%s: %r", namespace, name, error)

    def write(self) -> None:
        """Write what the objects seen so far mean: Services first, then who gets requests."""
        topology = resolve(self._services, self._pods, self._splits, self._routes)
        self._files.write("cds.json", mesh_envoy.clusters(topology))
        self._files.write("rds.json", mesh_envoy.routes(topology))

    def write_listener(self, *, admin_port: int, listen_port: int) -> None:
        """Write what never changes."""
        bootstrap = mesh_envoy.bootstrap(self._folder, admin_port=admin_port)
        self._files.write("bootstrap.yaml", bootstrap)
        listeners = mesh_envoy.listeners(self._folder, port=listen_port)
        self._files.write("lds.json", listeners)


async def serve(options: argparse.Namespace) -> None:
    """Run until SIGTERM."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    folder = options.envoy.resolve()
    folder.mkdir(parents=True, exist_ok=True)

    def on_ready() -> None:
        if options.ready_file is not None:
            options.ready_file.parent.mkdir(parents=True, exist_ok=True)
            options.ready_file.touch()

    async with Kube.from_kubeconfig(options.kubeconfig) as kube:
        mesh = Mesh(kube, folder, ignored_namespaces=options.ignore_namespaces)
        mesh.write_listener(admin_port=options.admin_port, listen_port=options.listen_port)
        running = asyncio.create_task(mesh.run(on_ready))
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait((running, stopped), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        running.cancel()


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="headrace_lab.mesh", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--envoy", type=Path, required=True, help="folder of Envoy's files")
    parser.add_argument("--admin-port", type=int, required=True)
    parser.add_argument("--listen-port", type=int, required=True)
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument(
        "--ignore-namespaces",
        type=re.compile,
        metavar="REGEX",
        help="namespaces without traffic, as those of a benchmark",
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Entry point of `python -m headrace_lab.mesh`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    uvloop.run(serve(parse_arguments()))


if __name__ == "__main__":
    main()
