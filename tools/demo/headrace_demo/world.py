"""The services, a cluster and a broker in one process: everything but the services is in memory.

The services are the real ones with their real settings and the machine's clock. Only the metrics
store behind the runner's provider port is replaced, by one that counts simulated requests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final

from analysis_runner.runner import AnalysisRunner
from headrace.events.envelope import Event, decode
from headrace.events.topics import group_name
from headrace.kubernetes.resources import NAMESPACES
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster_memory import MemoryCluster, MemoryClusterSettings
from headrace.runtime.component import Ports
from headrace.runtime.metric_catalog import ServiceName
from headrace.runtime.metrics import Metrics
from headrace.runtime.ownership import Layout, Membership, Ownership
from headrace.runtime.process import Build, topic_settings, topics_of
from headrace.runtime.recorder import Recorder
from headrace.runtime.service import Part, Service, ownership_part
from headrace_all_in_one.settings import AllInOneSettings
from headrace_demo.errors import Stopped
from headrace_demo.metrics_store import ResponseMetrics
from headrace_demo.workload import EXAMPLE, Workload
from rollout_controller.controller import RolloutController
from traffic_router.router import TrafficRouter

NAME: Final = "demo"
PERSON: Final = "person"

_SEED: Final = 4
_POD_READY_SECONDS: Final = 0.5
_LISTEN_SECONDS: Final = 1.0
_READY_SECONDS: Final = 20.0
_LOOK_AGAIN_SECONDS: Final = 0.02

Listener = Callable[[Event], None]


class World:
    """What the acts play in; made by `running_world`.

    Attributes:
        clock: The machine's.
        cluster: Where objects, controllers and pods live.
        metrics: What the runner measures with.
        workload: How the versions behave.
        rng: For the simulated requests.
    """

    def __init__(self, workload: Workload, without: Collection[ServiceName]) -> None:
        self.clock = SystemClock()
        self.cluster = MemoryCluster(
            self.clock, MemoryClusterSettings(pod_ready_seconds=_POD_READY_SECONDS)
        )
        self.metrics = ResponseMetrics(self.clock)
        self.workload = workload
        self.rng = random.Random(_SEED)
        self.client = self.cluster.client(PERSON)
        self._settings = AllInOneSettings(identity=NAME)
        self._topics = topics_of(self._settings)
        self._broker = MemoryBroker()
        self._without = without
        self._listeners: dict[str, Listener] = {}

    def listen(self, namespace: str, listener: Listener) -> None:
        """Tell `listener` every event of a namespace's Rollouts from now on."""
        self._listeners[namespace] = listener

    async def service(self) -> Service:
        """Return the process of the services that there are."""
        ports = await self._ports()
        components = [
            build(ports) for name, build in self._builds().items() if name not in self._without
        ]
        return Service(
            NAME,
            parts=(
                Part("bus", start=ports.bus.start, close=ports.bus.close),
                *(component.caches for component in components),
                ownership_part(ports.ownership),
                Part("events", run=ports.recorder.run, close=ports.recorder.catch_up),
                *(part for component in components for part in component.work),
            ),
            grace_seconds=self._settings.shutdown_grace_seconds,
        )

    async def tell(self) -> None:
        """Hand every event of the bus to the listener of its namespace, until cancelled."""
        bus = MemoryBus(self._broker, "audience")
        consumer = bus.consumer(self._topics.all())
        await consumer.assign(frozenset(range(self._settings.partitions)))
        while True:
            for record in await consumer.poll(_LISTEN_SECONDS):
                event = decode(record.key, record.headers, record.value)
                listener = self._listeners.get(event.payload.namespace)
                if listener is not None:
                    listener(event)

    def _builds(self) -> dict[ServiceName, Build]:
        settings = self._settings
        return {
            "rollout-controller": lambda ports: RolloutController(ports, settings),
            "traffic-router": lambda ports: TrafficRouter(ports, settings),
            "analysis-runner": lambda ports: AnalysisRunner(
                ports, settings, {"prometheus": self.metrics}
            ),
        }

    async def _ports(self) -> Ports:
        client = self.cluster.client(NAME)
        settings = self._settings
        membership = Membership(
            service=NAME,
            namespace="default",
            identity=settings.identity,
            layout=Layout(settings.partitions, settings.shards),
        )
        ownership = Ownership(client, self.clock, membership)
        metrics = Metrics(self._builds(), self.clock)
        home = await client.get(NAMESPACES, None, "kube-system")
        return Ports(
            cluster=client,
            bus=MemoryBus(self._broker, group_name(NAME, topic_settings(settings))),
            topics=self._topics,
            ownership=ownership,
            clock=self.clock,
            rng=random.Random(),
            recorder=Recorder(lambda key: ownership.guard(client, key), self.clock, metrics),
            metrics=metrics,
            source=home["metadata"]["uid"],
        )


@asynccontextmanager
async def running_world(
    *, workload: Workload = EXAMPLE, without: Collection[ServiceName] = ()
) -> AsyncIterator[World]:
    """Yield a world whose services are ready, and end it in order.

    Args:
        workload: How the versions of the application behave.
        without: Services that are left out.

    Raises:
        ExceptionGroup: Of a failed part, or of `Stopped` after a signal.
    """
    world = World(workload, without)
    service = await world.service()
    async with asyncio.TaskGroup() as group:
        group_tasks = [group.create_task(world.cluster.run()), group.create_task(world.tell())]
        closing = asyncio.Event()
        serving = group.create_task(_serve(service, closing))
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while service.missing():
                    await world.clock.sleep(_LOOK_AGAIN_SECONDS)
            yield world
        finally:
            closing.set()
            service.stop()
            await asyncio.wait({serving})
            for task in group_tasks:
                task.cancel()


async def _serve(service: Service, closing: asyncio.Event) -> None:
    """Run the services; their early end ends the demo."""
    await service.run()
    if not closing.is_set():
        raise Stopped("interrupted")
