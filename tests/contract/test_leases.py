"""What Leases and Events need of an API server, on the memory cluster and on the real one."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest

from headrace.kubernetes.resources import EVENTS, LEASES, NAMESPACES, Manifest
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster import Cluster, Selection
from headrace.runtime.cluster_kube import KubeCluster, Kubeconfig
from headrace.runtime.cluster_memory import MemoryCluster
from headrace.runtime.lease import LeaseMismatch, Terms
from headrace.runtime.metrics import Metrics
from headrace.runtime.ownership import Layout, Membership, Ownership
from headrace.runtime.recorder import Recorder
from headrace_lab.lab import Lab

TERMS = Terms(duration_seconds=2, renew_seconds=0.5, retry_seconds=0.2)

_numbers = itertools.count(1)


@dataclass
class World:
    cluster: Cluster
    namespace: str

    def replica(self, identity: str, layout: Layout | None = None) -> Ownership:
        membership = Membership("contract", self.namespace, identity, "", layout or Layout(), TERMS)
        return Ownership(self.cluster, SystemClock(), membership)

    async def leases(self) -> tuple[Manifest, ...]:
        return (await self.cluster.list(LEASES, Selection(self.namespace))).items


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class LeasesContract:
    """Both clusters pass this."""

    async def test_leases_are_held_renewed_released_and_taken_over(self, world: World) -> None:
        first, second = world.replica("a"), world.replica("b")
        running = asyncio.create_task(first.run())
        await until(lambda: len(first.shards) == 4)
        before = await world.leases()
        waiting = asyncio.create_task(second.run())
        await asyncio.sleep(TERMS.duration_seconds * 1.5)
        assert len(first.shards) == 4, "renewals are accepted"
        assert second.shards == frozenset()
        renewed = {lease["spec"]["renewTime"] for lease in await world.leases()}
        assert renewed.isdisjoint({lease["spec"]["renewTime"] for lease in before})
        await end(running)
        await first.release()
        await until(lambda: len(second.shards) == 4, TERMS.duration_seconds)
        assert {lease["spec"]["holderIdentity"] for lease in await world.leases()} == {"b"}
        assert {lease["spec"]["leaseTransitions"] for lease in await world.leases()} == {1}
        await end(waiting)

    async def test_another_layout_is_refused_while_its_leases_are_held(self, world: World) -> None:
        first = world.replica("a", Layout(12, 6))
        running = asyncio.create_task(first.run())
        await until(lambda: len(first.shards) == 6)
        with pytest.raises(LeaseMismatch):
            await world.replica("b", Layout(12, 4)).check()
        await end(running)
        await first.release()
        await world.replica("b", Layout(12, 4)).check()

    async def test_events_are_accepted_as_the_recorder_writes_them(self, world: World) -> None:
        clock = SystemClock()
        recorder = Recorder(lambda _: world.cluster, clock, Metrics(["rollout-controller"], clock))
        rollout = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {
                "namespace": world.namespace,
                "name": "web",
                "uid": "6f5902ac-237b-4a53-8b5f-1d2c9f5d8f43",
                "resourceVersion": "7",
            },
        }
        await recorder.record(rollout, "RolloutPaused", "Rollout is paused (CanaryPauseStep)")
        await recorder.record(rollout, "RolloutAborted", "x" * 40_000, "Warning")
        selection = Selection(world.namespace, fields="involvedObject.name=web")
        events = (await world.cluster.list(EVENTS, selection)).items
        assert [event["reason"] for event in events] == ["RolloutPaused", "RolloutAborted"]


class TestMemoryCluster(LeasesContract):
    @pytest.fixture
    def world(self) -> World:
        return World(MemoryCluster(SystemClock()).client("test"), "contract")


@pytest.mark.lab
class TestKubeCluster(LeasesContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        kubeconfig = Kubeconfig(str(Lab.attach().kubeconfig("admin")))
        cluster = await KubeCluster.connect(kubeconfig, clock=SystemClock())
        name = f"leases-{os.getpid()}-{next(_numbers)}"
        await cluster.create(NAMESPACES, {"metadata": {"name": name}})
        yield World(cluster, name)
        await cluster.delete(NAMESPACES, None, name)
        await cluster.close()
