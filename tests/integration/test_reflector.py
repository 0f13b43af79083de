"""The reflector over a real API server that dies and forgets."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from headrace.errors import RolloutError
from headrace.kubernetes.resources import CONFIG_MAPS
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster import MergePatch, Selection
from headrace.runtime.cluster_kube import KubeCluster, Kubeconfig
from headrace.runtime.reflector import Reflector, Source
from headrace.runtime.store import Store
from headrace_lab.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

NAMESPACE = "default"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """An API server of our own: it is killed here."""
    lab = Lab.start(tmp_path_factory.mktemp("lab"), parts=["etcd", "apiserver"])
    yield lab
    lab.stop()


@pytest.fixture
async def cluster(lab: Lab) -> AsyncIterator[KubeCluster]:
    kubeconfig = Kubeconfig(str(lab.kubeconfig("admin")))
    cluster = await KubeCluster.connect(kubeconfig, clock=SystemClock())
    yield cluster
    await cluster.close()


@asynccontextmanager
async def reflecting(cluster: KubeCluster, labels: str) -> AsyncIterator[tuple[Reflector, Store]]:
    store = Store()
    source = Source(cluster, CONFIG_MAPS, Selection(NAMESPACE, labels=labels))
    reflector = Reflector(source, store, clock=SystemClock(), rng=random.Random(7))
    task = asyncio.create_task(reflector.run())
    try:
        async with asyncio.timeout(20):
            await reflector.wait_synced()
        yield reflector, store
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.fixture
def label() -> str:
    """Marks the objects of this run of a test: a second try must not meet those of the first."""
    return f"reflector-{time.time_ns()}"


async def once_it_is_back(request: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await request()
            except RolloutError:  # the server is not back yet
                await asyncio.sleep(0.1)
            else:
                return


async def create(cluster: KubeCluster, name: str, label: str) -> None:
    metadata = {"name": f"{label}-{name}", "namespace": NAMESPACE, "labels": {"test": label}}
    await once_it_is_back(lambda: cluster.create(CONFIG_MAPS, {"metadata": metadata}))


def names(store: Store) -> list[str]:
    return sorted(found["metadata"]["name"].rpartition("-")[2] for found in store.list())


async def test_survives_a_restart_of_the_server(lab: Lab, cluster: KubeCluster, label: str) -> None:
    await create(cluster, "a", label)
    async with reflecting(cluster, f"test={label}") as (reflector, store):
        server = lab.part("apiserver")
        server.kill()
        await until(lambda: reflector.last_error is not None)
        assert names(store) == ["a"]
        await asyncio.to_thread(server.start)
        await create(cluster, "b", label)
        await until(lambda: names(store) == ["a", "b"])
        assert reflector.last_error is None


async def test_survives_a_forgotten_version(lab: Lab, cluster: KubeCluster, label: str) -> None:
    for name in ("a", "b"):
        await create(cluster, name, label)
    async with reflecting(cluster, f"test={label}") as (_, store):
        heard: list[str] = []
        store.listen(lambda change, _old, _new: heard.append(change))
        await asyncio.to_thread(lab.expire_watches)
        await create(cluster, "c", label)
        await once_it_is_back(lambda: cluster.delete(CONFIG_MAPS, NAMESPACE, f"{label}-a"))
        patch = MergePatch({"data": {"x": "1"}})
        await once_it_is_back(lambda: cluster.patch(CONFIG_MAPS, NAMESPACE, f"{label}-b", patch))
        await until(lambda: sorted(heard) == ["ADDED", "DELETED", "MODIFIED"])
        assert names(store) == ["b", "c"]
