"""A service over memory ports: what every world of tests sets up alike."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from headrace.events.topics import TopicSettings, topics
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import Clock
from headrace.runtime.cluster_memory import MemoryCluster
from headrace.runtime.component import Ports
from headrace.runtime.metric_catalog import ServiceName
from headrace.runtime.metrics import Metrics
from headrace.runtime.ownership import Membership, Ownership
from headrace.runtime.process import Component
from headrace.runtime.recorder import Recorder
from headrace.runtime.service import Part, Service, ownership_part

TOPICS = topics(TopicSettings("memory"))
HOME = "headrace"


def ports_of(
    name: ServiceName,
    cluster: MemoryCluster,
    broker: MemoryBroker,
    clock: Clock,
    *,
    source: str = "memory",
) -> Ports:
    """Return the ports of one replica of a service, with Leases of its own."""
    client = cluster.client(name)
    ownership = Ownership(client, clock, Membership(name, HOME, f"{name}-0"))
    metrics = Metrics([name], clock)
    return Ports(
        cluster=client,
        bus=MemoryBus(broker, name),
        topics=TOPICS,
        ownership=ownership,
        clock=clock,
        rng=random.Random(1),
        recorder=Recorder(lambda key: ownership.guard(client, key), clock, metrics),
        metrics=metrics,
        source=source,
    )


def parts_of(ports: Ports, component: Component) -> tuple[Part, ...]:
    """Return the parts of a process, in the order in which they start."""
    bus = Part("bus", start=ports.bus.start, close=ports.bus.close)
    return bus, component.caches, ownership_part(ports.ownership), *component.work


@asynccontextmanager
async def serving(cluster: MemoryCluster, services: Sequence[Service]) -> AsyncIterator[None]:
    """Run a cluster and services on it; stop the services first."""
    async with asyncio.TaskGroup() as group:
        moving = group.create_task(cluster.run())
        tasks = [group.create_task(service.run()) for service in services]
        try:
            yield
        finally:
            for service in services:
                service.stop()
            await asyncio.wait(tasks)
            moving.cancel()
