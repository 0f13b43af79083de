"""The router as a component: its caches, its queue and its loops, over ports that it is given.

Nothing is reconciled before every cache is complete: an object that is not cached yet looks
deleted.
"""

from __future__ import annotations

import asyncio

from headrace.events.envelope import Event
from headrace.events.topics import Topic
from headrace.kubernetes.resources import HTTP_ROUTES, ROLLOUTS, TRAFFIC_SPLITS, Manifest
from headrace.runtime.cluster import Selection
from headrace.runtime.component import Loop, Ports
from headrace.runtime.consumer import ConsumerSettings, EventConsumer
from headrace.runtime.feeder import QueueFeeder
from headrace.runtime.guard import Caches
from headrace.runtime.metrics import ConsumerMetrics, Metrics, ReconcileMetrics
from headrace.runtime.on_demand import OnDemand
from headrace.runtime.reconciler import CoreShell, Reconciler
from headrace.runtime.reflector import Reflector, Source
from headrace.runtime.service import Part, queue_part
from headrace.runtime.store import ChangeType, Store
from headrace.runtime.workqueue import Lane, WorkQueue, background_workers
from traffic_router.act import Actor, Voice
from traffic_router.core.decide import decide
from traffic_router.core.invariants import check
from traffic_router.documents import DocumentCache
from traffic_router.gather import INSTANCE_ID_LABEL, Gatherer
from traffic_router.memory import RouteMemory
from traffic_router.settings import RouterSettings
from traffic_router.sources import Sources, Surroundings
from traffic_router.wake import Waker

_QUEUE = "Routes"


class TrafficRouter:
    """One router over its ports.

    Args:
        ports: The outside.
        settings: Limits and addresses.
        rollouts: A cache of the same Rollouts that another service of this process fills, and
            has filled before this one's caches are; None to follow them here.

    Attributes:
        rollouts: Cache of the Rollouts.
        queue: Keys whose route must be looked at.
    """

    def __init__(
        self, ports: Ports, settings: RouterSettings, rollouts: Store | None = None
    ) -> None:
        self._ports = ports
        self._settings = settings
        self.queue = WorkQueue(
            ports.clock, rng=ports.rng, background_max=background_workers(settings.workers)
        )
        self.rollouts = Store() if rollouts is None else rollouts
        self._reflectors = () if rollouts is not None else (self._reflector(),)
        around = Surroundings(
            ports.cluster,
            ports.clock,
            ports.rng,
            settings.watched_namespace,
            settings.rediscover_seconds,
        )
        self._sources = Sources(around, self.rollouts, settings.traffic_split_api_version)
        self._memory = RouteMemory()
        documents = DocumentCache()
        self._waker = Waker(self._sources, documents, self._memory, self._wake)
        self._reconciler = Reconciler(
            CoreShell(self._gatherer(documents), decide, check, self._actor()),
            ports.clock,
            ports.ownership.may_act,
            observer=ReconcileMetrics(ports.metrics, "traffic-router", _QUEUE),
        )
        self._consumer = EventConsumer(
            ports.bus,
            self.topics,
            self.hear,
            ports.ownership.reads,
            ports.clock,
            ConsumerSettings(cluster=ports.source),
        )
        self._consumer.observe(ConsumerMetrics(ports.metrics))
        self._feeder = QueueFeeder(
            self.queue,
            ports.ownership,
            self._waker.known_keys,
            ports.clock,
            self._consumer.assign,
        )
        self._measure(ports.metrics)
        self._waker.listen()
        self.rollouts.listen(self._deleted)

    @property
    def caches(self) -> Part:
        """The part that fills the caches; it comes before the Leases."""
        return Part("route caches", run=self._follow, ready=self._wait_ready)

    @property
    def work(self) -> tuple[Part, ...]:
        """The parts that read requests and carry them out; they come after the Leases."""
        requests = Part("route requests", start=self.begin, run=self._consumer.run)
        resync = Part("route resync", run=self._resync)
        workers = self._settings.workers
        return requests, resync, queue_part("routes", self._reconciler, self.queue, workers)

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The queue of routes."""
        return (Loop(self.queue, self._reconciler),)

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The topics that it hears."""
        return (self._ports.topics.steps,)

    @property
    def on_demand(self) -> tuple[OnDemand, ...]:
        """No kinds."""
        return ()

    async def discover(self) -> tuple[Reflector, ...]:
        """Ask which kinds are served; return what fills the caches."""
        kinds = [await kind.discover() for kind in self._sources.kinds]
        return *self._reflectors, *(kind for kind in kinds if kind is not None)

    async def hear(self, event: Event) -> None:
        """Take one event of its topics."""
        await self._waker.hear(event)

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run())
            for kind in self._sources.kinds:
                group.create_task(kind.run(self._feeder.wake_all))

    async def _wait_ready(self) -> None:
        for reflector in self._reflectors:
            await reflector.wait_synced()
        await self._sources.wait_settled()

    async def begin(self) -> None:
        """Feed the queue from now on: the caches are complete."""
        self._feeder.begin()
        self._ports.bus.watch(self._bus_changed)

    async def _resync(self) -> None:
        await self._feeder.resync(self._settings.resync_seconds)

    def _deleted(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        """End the series of a Rollout that is gone."""
        if new is None and old is not None:
            metadata = old["metadata"]
            namespace = metadata.get("namespace", "")
            self._ports.metrics.forget("Rollout", namespace, metadata["name"])

    def _wake(self, key: str, lane: Lane) -> None:
        self._feeder.wake(key, lane)

    def _reflector(self) -> Reflector:
        ports = self._ports
        source = Source(ports.cluster, ROLLOUTS, _selection(self._settings))
        return Reflector(source, self.rollouts, clock=ports.clock, rng=ports.rng)

    def _gatherer(self, documents: DocumentCache) -> Gatherer:
        return Gatherer(
            self._ports.cluster,
            self._sources,
            documents,
            self._memory,
            instance_id=self._settings.instance_id,
            reverify_seconds=self._settings.route_verify_seconds,
        )

    def _actor(self) -> Actor:
        ports = self._ports
        split, route = (self._sources.kind(each).store for each in (TRAFFIC_SPLITS, HTTP_ROUTES))
        caches = Caches({TRAFFIC_SPLITS: split, HTTP_ROUTES: route, ROLLOUTS: self.rollouts})
        voice = Voice(ports.bus, ports.topics.traffic, ports.source, ports.recorder, ports.metrics)
        return Actor(
            lambda key: ports.ownership.guard(ports.cluster, key, caches),
            self.rollouts,
            self._memory,
            ports.clock,
            voice,
        )

    def _bus_changed(self, is_up: bool) -> None:
        """Say again what the fences show when the bus is back."""
        if is_up:
            self._memory.say_again()
            self._feeder.wake_all()

    def _measure(self, metrics: Metrics) -> None:
        metrics.watch_queue(_QUEUE, self.queue)
        metrics.sample(
            "headrace_runtime_cached_objects",
            lambda: [
                ((kind.resource.kind,), float(len(kind.store))) for kind in self._sources.kinds
            ],
        )
        metrics.sample(
            "headrace_runtime_frozen_keys",
            lambda: [((_QUEUE,), float(len(self._reconciler.frozen)))],
        )


def _selection(settings: RouterSettings) -> Selection:
    instance_id = settings.instance_id
    labels = f"{INSTANCE_ID_LABEL}={instance_id}" if instance_id else f"!{INSTANCE_ID_LABEL}"
    return Selection(namespace=settings.watched_namespace, labels=labels)
