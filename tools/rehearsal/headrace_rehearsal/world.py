"""The rollout-controller and the traffic-router over a cluster in memory, driven step by step.

Both are the components of the services, Experiments included, with their caches, Leases and the
bus between them; time is virtual. Pods are ready at once, and workers of step plugins succeed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from headrace.events.envelope import decode
from headrace.events.plugins import WorkerAnswer
from headrace.events.topics import TopicSettings, topics
from headrace.intents import Patches
from headrace.kubernetes.resources import (
    EXPERIMENTS,
    HTTP_ROUTES,
    NAMESPACES,
    ROLLOUTS,
    TRAFFIC_SPLITS,
    Manifest,
    Resource,
)
from headrace.model.quantities import Instant
from headrace.routes import read_fences
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster import Cluster, MergePatch, Selection
from headrace.runtime.cluster_memory import MemoryCluster, MemoryClusterSettings, Request
from headrace.runtime.component import Drivable, Ports
from headrace.runtime.metric_catalog import ServiceName
from headrace.runtime.metrics import Metrics
from headrace.runtime.ownership import Layout, Membership, Ownership
from headrace.runtime.recorder import Recorder
from headrace.runtime.reflector import Reflector
from rollout_controller.controller import RolloutController
from rollout_controller.core.canary.plugins import SETTING
from rollout_controller.plugin_table import KEY, PROTOCOL
from rollout_controller.settings import ControllerSettings
from rollout_controller.workers import Flight, Reply
from traffic_router.router import TrafficRouter
from traffic_router.settings import RouterSettings

HOME: Final = "headrace"
"""Namespace of the services."""

_CONTROLLER: Final[ServiceName] = "rollout-controller"
_ROUTER: Final[ServiceName] = "traffic-router"
_WRITES: Final = ("create", "patch", "update", "delete")
_TOPICS: Final = topics(TopicSettings("rehearsal", partitions=1))
_LAYOUT: Final = Layout(partitions=1, shards=1)


class Listener(Protocol):
    """Hears the Kubernetes Events of the services."""

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        """Take one Event."""
        ...


class _Told(Recorder):
    """Tells Events to the listener instead of the cluster."""

    def __init__(self, ports: tuple[Cluster, VirtualClock, Metrics], listener: Listener) -> None:
        cluster, clock, metrics = ports
        super().__init__(lambda _: cluster, clock, metrics)
        self._listener = listener

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        """Tell one Event."""
        await self._listener.record(involved, reason, message, type)


class _Workers:
    """Workers of step plugins: each call succeeds at once, and is kept."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def post(self, flight: Flight, take: Callable[[Reply], None]) -> None:
        """Answer a call."""
        self.calls.append(flight.call.plugin)
        take(Reply(WorkerAnswer(phase="Successful")))


@dataclass(slots=True)
class _Service:
    """One service, and how far it has heard each topic."""

    component: Drivable
    ownership: Ownership
    reflectors: tuple[Reflector, ...]
    heard: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """What came of letting everybody look once.

    Attributes:
        has_moved: Something changed, so that all must look again before time may pass.
        wake_at: When somebody wants to look again though nothing happens.
        error: Why something cannot go on, "" when all can.
    """

    has_moved: bool
    wake_at: Instant | None
    error: str


class World:
    """One cluster, one controller, one router, one Rollout.

    Args:
        key: `<namespace>/<name>` of the Rollout.
        listener: Hears the services' Events.
    """

    def __init__(self, key: str, listener: Listener) -> None:
        self.key = key
        self.namespace, _, self.name = key.partition("/")
        self.clock = VirtualClock()
        settings = MemoryClusterSettings(pod_ready_seconds=0.0, pod_termination_seconds=0.0)
        self.cluster = MemoryCluster(self.clock, settings)
        self.user = self.cluster.client("person")
        self._listener = listener
        self._broker = MemoryBroker()
        self._workers = _Workers()
        self._services: list[_Service] = []

    async def start(self) -> None:
        """Start both services."""
        home = await self.user.get(NAMESPACES, None, "kube-system")
        source = home["metadata"]["uid"]
        ports = self._ports(_CONTROLLER, source)
        settings = ControllerSettings(bus="memory", identity="rehearsal")
        controller = RolloutController(ports, settings, self._workers)
        await self._add(controller, ports)
        ports = self._ports(_ROUTER, source)
        router = TrafficRouter(ports, RouterSettings(bus="memory", identity="rehearsal"))
        await self._add(router, ports)

    def _ports(self, name: ServiceName, source: str) -> Ports:
        client = self.cluster.client(name)
        membership = Membership(name, HOME, "rehearsal", layout=_LAYOUT)
        metrics = Metrics([name], self.clock)
        return Ports(
            cluster=client,
            bus=MemoryBus(self._broker, name),
            topics=_TOPICS,
            ownership=Ownership(client, self.clock, membership),
            clock=self.clock,
            rng=random.Random(0),
            recorder=_Told((client, self.clock, metrics), self._listener),
            metrics=metrics,
            source=source,
        )

    async def _add(self, component: Drivable, ports: Ports) -> None:
        reflectors = await component.discover()
        await ports.bus.start()
        self._services.append(_Service(component, ports.ownership, reflectors))

    # Time

    async def look(self) -> Look:
        """Let controllers and pods do what is due, and each service look once."""
        before = await self._version()
        has_heard, error = False, ""
        wakes: list[Instant | None] = []
        for service in self._services:
            self.cluster.step()
            await self._sync(service)
            has_heard = await self._hear(service) or has_heard
            for keys, loop in zip(await self._keys(), service.component.loops, strict=False):
                for key in keys:
                    outcome = await loop.reconciler.process(key)
                    wakes.append(outcome.wake_at)
                    error = error or (outcome.message if outcome.is_error else "")
        self.cluster.step()
        has_moved = has_heard or bool(self._workers.calls) or before != await self._version()
        return Look(has_moved, min((at for at in wakes if at is not None), default=None), error)

    async def _keys(self) -> tuple[list[str], list[str]]:
        """Return the keys of the loops: Rollouts, or their routes, then Experiments."""
        names = [each["metadata"]["name"] for each in await self.list(EXPERIMENTS)]
        return [self.key], [f"{self.namespace}/{name}" for name in names]

    async def _version(self) -> str:
        return (await self.user.list(ROLLOUTS, Selection(self.namespace))).resource_version

    async def _sync(self, service: _Service) -> None:
        for lease in service.ownership.leases:
            if not lease.is_held:
                await lease.attempt()
                lease.tell()
        for reflector in service.reflectors:
            await reflector.fill()
        for kind in service.component.on_demand:
            if kind.is_wanted:
                await kind.begin().fill()

    async def _hear(self, service: _Service) -> bool:
        """Hand over what was said since the service heard last; return whether there was any."""
        has_heard = False
        for topic in service.component.topics:
            for record in self._broker.records(topic.name):
                if record.offset < service.heard.get(topic.name, 0):
                    continue
                service.heard[topic.name] = record.offset + 1
                await service.component.hear(decode(record.key, record.headers, record.value))
                has_heard = True
        return has_heard

    def advance_to(self, at: Instant) -> None:
        """Let the time pass."""
        self.clock.advance(max(0.0, at - self.clock.now()))

    # Objects

    async def get(self) -> Manifest:
        """Return the Rollout."""
        return await self.user.get(ROLLOUTS, self.namespace, self.name)

    async def list(self, resource: Resource) -> tuple[Manifest, ...]:
        """Return the objects of a kind."""
        return tuple((await self.user.list(resource, Selection(self.namespace))).items)

    async def split(self) -> Mapping[str, int]:
        """Return what the router has rendered: Service -> weight."""
        for resource in (TRAFFIC_SPLITS, HTTP_ROUTES):
            served = await self.user.versions(resource.group)
            found = await self.list(resource.at_version(served[0]))
            for fence in (fence for each in found for fence in read_fences(each)):
                if fence.rollout == self.key:
                    return {share.service: share.weight for share in fence.split}
        return {}

    async def patch(self, patches: Patches) -> None:
        """Write what a person's command writes."""
        if patches.status:
            await self.set_status(ROLLOUTS, self.name, patches.status)
        if patches.spec:
            body = MergePatch({"spec": patches.spec})
            await self.user.patch(ROLLOUTS, self.namespace, self.name, body)

    async def set_status(self, resource: Resource, name: str, status: Mapping[str, Any]) -> None:
        """Merge into the status of an object."""
        subresource = "status" if resource.has_status else ""
        body = MergePatch({"status": status})
        await self.user.patch(resource, self.namespace, name, body, subresource=subresource)

    def take_calls(self) -> tuple[str, ...]:
        """Return the step plugins whose workers were called since the last time."""
        calls = tuple(self._workers.calls)
        self._workers.calls.clear()
        return calls

    def writes(self) -> tuple[Request, ...]:
        """Return what the services have written so far, Leases apart, oldest first."""
        return tuple(
            request
            for request in self.cluster.requests
            if request.identity in (_CONTROLLER, _ROUTER)
            and request.verb in _WRITES
            and request.resource != "leases"
        )


def plugin_table(names: set[str]) -> Manifest:
    """Return the ConfigMap that says that step plugins have workers."""
    entries = [
        {"name": name, "protocol": PROTOCOL, "location": "http://assumed"} for name in sorted(names)
    ]
    return {"metadata": {"name": SETTING, "namespace": HOME}, "data": {KEY: json.dumps(entries)}}
