"""The three services on memory ports, for tests in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from memory_ports import TOPICS, parts_of, ports_of

from headrace.kubernetes.resources import (
    ANALYSIS_TEMPLATES,
    NAMESPACES,
    ROLLOUTS,
    SERVICES,
    Manifest,
)
from headrace.runtime.bus_memory import MemoryBroker
from headrace.runtime.clock import LoopClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster, MemoryClusterSettings, Request
from headrace.runtime.metric_catalog import ServiceName
from headrace.runtime.metrics import Metrics
from headrace.runtime.process import Component
from headrace.runtime.service import Service
from headrace_all_in_one.app import build
from headrace_all_in_one.settings import AllInOneSettings

SETTINGS = AllInOneSettings(identity="here", resync_seconds=50.0)
CONTROLLER: ServiceName = "rollout-controller"
ROUTER: ServiceName = "traffic-router"
RUNNER: ServiceName = "analysis-runner"
ALL: tuple[ServiceName, ...] = (CONTROLLER, ROUTER, RUNNER)

STEPS: list[dict[str, Any]] = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]

IsSo = Callable[[Mapping[str, Any]], bool]


class World:
    """Three services, each with Leases of its own, one Rollout and a person."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        pods = MemoryClusterSettings(pod_ready_seconds=1.0, pod_termination_seconds=1.0)
        self.cluster = MemoryCluster(self.clock, pods)
        self.person = self.cluster.client("person")
        self.broker = MemoryBroker()
        self.writes: list[tuple[float, Request]] = []
        self.metrics: dict[str, Metrics] = {}
        self.components: dict[str, Component] = {}
        self._services: dict[str, tuple[Service, asyncio.Task[None]]] = {}
        self.cluster.intercept = self._note

    def _note(self, request: Request) -> None:
        is_write = request.verb in ("create", "patch", "update", "delete")
        if is_write and request.identity in ALL and request.resource != "leases":
            self.writes.append((self.clock.now(), request))

    async def start(self, name: ServiceName) -> None:
        home = await self.person.get(NAMESPACES, None, "kube-system")
        source = home["metadata"]["uid"]
        ports = ports_of(name, self.cluster, self.broker, self.clock, source=source)
        component = build(SETTINGS).components[name](ports)
        service = Service(name, parts=parts_of(ports, component))
        self.metrics[name], self.components[name] = ports.metrics, component
        self._services[name] = service, asyncio.create_task(service.run())

    async def stop(self, name: str) -> None:
        service, task = self._services.pop(name)
        service.stop()
        await task

    async def stop_all(self) -> None:
        for name in [*self._services]:
            await self.stop(name)

    async def deploy(self, spec: Mapping[str, Any]) -> None:
        """Create the Rollout and its Services, and wait until it is Healthy."""
        for name in ("active", "preview", "root"):
            await self.person.create(SERVICES, service_named(name))
        metadata = {"name": "app", "namespace": "default"}
        manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
        await self.person.create(ROLLOUTS, {**manifest, "metadata": metadata, "spec": dict(spec)})
        await self.until(has_phase("Healthy"))

    async def set_image(self, image: str) -> None:
        containers = [{"name": "app", "image": image}]
        await self.patch_spec({"template": {"spec": {"containers": containers}}})

    async def patch_spec(self, spec: Mapping[str, Any]) -> None:
        await self.person.patch(ROLLOUTS, "default", "app", MergePatch({"spec": spec}))

    async def patch_status(self, status: Mapping[str, Any]) -> None:
        body = MergePatch({"status": status})
        await self.person.patch(ROLLOUTS, "default", "app", body, subresource="status")

    async def status(self) -> dict[str, Any]:
        rollout = await self.person.get(ROLLOUTS, "default", "app")
        return dict(rollout.get("status") or {})

    async def until(self, is_so: IsSo, seconds: float = 120.0) -> None:
        """Wait, in virtual time, for a condition on the status."""
        limit = self.clock.now() + seconds
        while not is_so(status := await self.status()):
            assert self.clock.now() < limit, status
            await self.clock.sleep(0.05)

    async def reaction_to(self, patch: Callable[[], Any]) -> float:
        """Return how long after a patch was answered our first write came."""
        self.writes.clear()
        await patch()
        answered_at = self.clock.now()
        limit = answered_at + 10.0
        while not self.writes and self.clock.now() < limit:
            await self.clock.sleep(0.01)
        return self.writes[0][0] - answered_at if self.writes else float("inf")

    def said(self) -> int:
        return sum(len(self.broker.records(topic.name)) for topic in TOPICS.all())

    def reconciles(self, name: str) -> float:
        """Return how often a service has looked at anything."""
        lines = "".join(self.metrics[name].expose()).splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if "reconcile" in line.partition("{")[0] and line.partition("{")[0].endswith("_count")
        )


def service_named(name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": "app"}, "ports": [{"port": 80}]},
    }


def spec_of(**strategy: Any) -> dict[str, Any]:
    routed = {
        "stableService": "active",
        "canaryService": "preview",
        "trafficRouting": {"smi": {"rootService": "root", "trafficSplitName": "split"}},
        "steps": STEPS,
    }
    return {
        "replicas": 4,
        "selector": {"matchLabels": {"app": "app"}},
        "template": {
            "metadata": {"labels": {"app": "app"}},
            "spec": {"containers": [{"name": "app", "image": "app:v1"}]},
        },
        "strategy": {"canary": {**routed, **strategy}},
    }


def has_phase(phase: str, index: int | None = None) -> IsSo:
    def is_so(status: Mapping[str, Any]) -> bool:
        is_there = index is None or status.get("currentStepIndex") == index
        return status.get("phase") == phase and is_there

    return is_so


@asynccontextmanager
async def running(spec: Mapping[str, Any], *templates: Manifest) -> AsyncIterator[World]:
    """Yield a world whose Rollout is Healthy."""
    world = World()
    for template in templates:
        await world.person.create(ANALYSIS_TEMPLATES, template)
    moving = asyncio.create_task(world.cluster.run())
    try:
        for name in ALL:
            await world.start(name)
        await world.deploy(spec)
        yield world
    finally:
        await world.stop_all()
        moving.cancel()
        await asyncio.wait({moving})
