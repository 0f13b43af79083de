"""The rollout-controller as a component: its caches, its queue and its loops.

Nothing is reconciled before every cache is complete: an object that is not cached yet looks
deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

import structlog

from headrace.errors import RolloutError
from headrace.events.commands import RolloutCommanded
from headrace.events.envelope import Event
from headrace.events.plugins import PluginAnswered
from headrace.events.topics import Topic
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    CLUSTER_ANALYSIS_TEMPLATES,
    CONFIG_MAPS,
    DEPLOYMENTS,
    EXPERIMENTS,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    TRAFFIC_SPLITS,
    Manifest,
    Resource,
)
from headrace.model.quantities import Instant
from headrace.routes import ApiVersions
from headrace.routes.smi import SUPPORTED_VERSIONS
from headrace.runtime import guard
from headrace.runtime.cluster import Selection
from headrace.runtime.component import Loop, Ports
from headrace.runtime.consumer import ConsumerSettings, EventConsumer
from headrace.runtime.feeder import QueueFeeder
from headrace.runtime.metrics import ConsumerMetrics, Metrics, ReconcileMetrics
from headrace.runtime.on_demand import OnDemand
from headrace.runtime.reconciler import CoreShell, Reconciler
from headrace.runtime.reflector import Reflector, Source
from headrace.runtime.service import Part, queue_part
from headrace.runtime.store import ChangeType, Store
from headrace.runtime.workqueue import Lane, WorkQueue, background_workers
from rollout_controller.act import Actor
from rollout_controller.caches import Caches, Facts
from rollout_controller.commands import CommandHandler
from rollout_controller.core import labels
from rollout_controller.core.canary.plugins import SETTING
from rollout_controller.core.decide import decide
from rollout_controller.core.frozen import freeze
from rollout_controller.core.invariants import check
from rollout_controller.core.observed import Observed, Settings
from rollout_controller.core.plan import foresee
from rollout_controller.decoded import Decoded
from rollout_controller.experiments.controller import ExperimentController
from rollout_controller.gather import Gatherer
from rollout_controller.gauges import export_gauges, export_template_gauges
from rollout_controller.handover import Handover
from rollout_controller.services import ServiceController
from rollout_controller.settings import ControllerSettings
from rollout_controller.voice import Voice
from rollout_controller.wake import Waker
from rollout_controller.watchdog import Watchdog
from rollout_controller.worker_posts import HttpPosts
from rollout_controller.workers import Posts, Workers

log = structlog.get_logger(__name__)

_QUEUE = "Rollouts"


class _Farewell:
    """A gatherer that says of a Rollout that is gone that it is, before all else of its name."""

    def __init__(self, gatherer: Gatherer, voice: Voice) -> None:
        self._gatherer = gatherer
        self._voice = voice

    async def gather(self, key: str, now: Instant) -> Observed | None:
        """Return the snapshot of a key."""
        await self._voice.say_goodbye(key)
        return await self._gatherer.gather(key, now)


class RolloutController:
    """One controller over its ports.

    Args:
        ports: The outside.
        settings: Limits and addresses.
        posts: Carries calls of step plugins over HTTP, where that is not `HttpPosts`.

    Attributes:
        objects: Everything that it has read.
        queue: Rollouts that must be looked at.
    """

    def __init__(
        self, ports: Ports, settings: ControllerSettings, posts: Posts | None = None
    ) -> None:
        self._ports = ports
        self._settings = settings
        self.objects, self.facts = Caches(), Facts()
        self.queue = WorkQueue(
            ports.clock, rng=ports.rng, background_max=background_workers(settings.workers)
        )
        self._versions = ApiVersions(settings.traffic_split_api_version or TRAFFIC_SPLITS.version)
        self._reflectors = tuple(self._reflector(*entry) for entry in self._kinds())
        self._workloads = self._on_demand()
        self.objects.rollouts.listen(self._want_workloads)
        decoded = Decoded()
        self._gatherer = Gatherer(
            (self.objects, self.facts, decoded),
            ports.cluster,
            self._core_settings(),
            lambda: self._versions,
            lambda: ports.bus.is_up,
        )
        stores = {resource: store for resource, store, _ in self._kinds()}
        cached = guard.Caches({DEPLOYMENTS: self.objects.workloads[DEPLOYMENTS], **stores})
        self._voice = Voice(
            ports.bus, ports.topics.steps, ports.recorder, self.facts, ports.metrics
        )

        def port(key: str) -> guard.GuardedCluster:
            return ports.ownership.guard(ports.cluster, key, cached)

        sources = (self.objects, self.facts)
        self._http = HttpPosts(ports)
        self._workers = Workers(ports, sources, self._answered, posts or self._http)
        self._actor = Actor(port, (self.facts, decoded), self._voice, self._workers)
        self._handover = Handover(self._actor, port, ports.ownership.shard_of, self._keys)
        self._reconciler = Reconciler(
            CoreShell(
                _Farewell(self._gatherer, self._voice),
                decide,
                check,
                self._handover,
                freeze,
                foresee,
            ),
            ports.clock,
            ports.ownership.may_act,
            observer=ReconcileMetrics(ports.metrics, "rollout-controller", _QUEUE),
        )
        self._experiments = ExperimentController(ports, settings, sources, port)
        self._services = ServiceController(ports, settings, self.objects, port)
        self._commands = CommandHandler(port, self.objects, self.facts, ports.clock)
        self._consumer = EventConsumer(
            ports.bus,
            self.topics,
            self.hear,
            ports.ownership.reads,
            ports.clock,
            ConsumerSettings(cluster=ports.source),
        )
        self._feeder = QueueFeeder(
            self.queue, ports.ownership, self._keys, ports.clock, self._consumer.assign
        )
        self._waker = Waker(self.objects, self.facts, self._feeder.wake, self._deleted)
        self._waker.listen()
        self._consumer.observe(ConsumerMetrics(ports.metrics))
        self._watchdog = Watchdog(self.objects.rollouts, ports.clock, self._feeder.wake)
        self._measure(ports.metrics)

    def _measure(self, metrics: Metrics) -> None:
        objects = self.objects
        metrics.watch_queue(_QUEUE, self.queue)
        export_gauges(metrics, objects.rollouts, objects.experiments)
        export_template_gauges(metrics, objects.templates, objects.cluster_templates)
        metrics.sample(
            "headrace_runtime_cached_objects",
            lambda: [((resource.kind,), float(len(store))) for resource, store, _ in self._kinds()],
        )
        metrics.sample("headrace_rollout_controller_stuck_rollouts", self._watchdog.count)
        metrics.sample(
            "headrace_runtime_frozen_keys",
            lambda: [
                ((_QUEUE,), float(len(self._reconciler.frozen))),
                (("Experiments",), float(len(self._experiments.frozen))),
            ],
        )

    @property
    def caches(self) -> Part:
        """The part that fills the caches; it comes before the Leases."""
        return Part("rollout caches", run=self._follow, ready=self._wait_ready)

    @property
    def work(self) -> tuple[Part, ...]:
        """The parts that hear and act; they come after the Leases."""
        calls = Part("plugin calls", run=self._http.run, close=self._http.close)
        consumer = Part("rollout facts", start=self.begin, run=self._consumer.run)
        resync = Part("rollout resync", run=self._resync)
        watchdog = Part("rollout watchdog", run=self._watchdog.run)
        workers = self._settings.workers
        queue = queue_part("rollouts", self._reconciler, self.queue, workers)
        others = (*self._experiments.work, *self._services.work)
        return calls, consumer, resync, watchdog, queue, *others

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The queues of Rollouts, of Experiments and of Services."""
        return (
            Loop(self.queue, self._reconciler),
            self._experiments.loop,
            self._services.loop,
        )

    @property
    def on_demand(self) -> tuple[OnDemand, ...]:
        """The kinds that Rollouts take their pod templates from."""
        return tuple(self._workloads.values())

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The topics that it hears."""
        topics = self._ports.topics
        return topics.traffic, topics.verdicts, topics.commands, topics.answers

    async def discover(self) -> tuple[Reflector, ...]:
        """Choose API versions; return what fills the caches."""
        await self._choose_versions()
        return self._reflectors

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run())
            for kind in self._workloads.values():
                group.create_task(kind.run())

    async def _wait_ready(self) -> None:
        for reflector in await self.discover():
            await reflector.wait_synced()

    async def begin(self) -> None:
        """Feed the queues from now on: the caches are complete."""
        self._ports.ownership.listen(self._handover)
        self._feeder.begin()
        self._experiments.begin()
        self._services.begin()

    async def _resync(self) -> None:
        await self._feeder.resync(self._settings.resync_seconds)

    def _deleted(self, rollout: Manifest) -> None:
        metadata, ports = rollout["metadata"], self._ports
        if ports.ownership.may_act(f"{metadata.get('namespace', '')}/{metadata['name']}"):
            self._voice.publish_deleted(rollout, ports.source, ports.clock.now())
        for part in (self._gatherer, self._actor):
            part.forget(metadata["uid"])
        self._ports.metrics.forget("Rollout", metadata.get("namespace", ""), metadata["name"])

    async def hear(self, event: Event) -> None:
        """Take one event of its topics."""
        if isinstance(event.payload, RolloutCommanded):
            await self._commands.handle(event, event.payload)
        elif isinstance(event.payload, PluginAnswered):
            self._workers.hear(event.payload)
        else:
            await self._waker.hear(event)
            await self._experiments.hear(event)

    def _answered(self, key: str) -> None:
        self._feeder.wake(key, Lane.FACT)

    async def _choose_versions(self) -> None:
        """Take the TrafficSplit version that the server prefers, unless the flag names one."""
        if self._settings.traffic_split_api_version:
            return
        try:
            served = await self._ports.cluster.versions(TRAFFIC_SPLITS.group)
        except RolloutError as error:
            log.warning("discovery failed", group=TRAFFIC_SPLITS.group, error=str(error))
            return
        supported = [version for version in served if version in SUPPORTED_VERSIONS]
        if supported:
            self._versions = ApiVersions(supported[0])

    def _keys(self) -> Iterator[str]:
        for rollout in self.objects.rollouts.list():
            metadata = rollout["metadata"]
            yield f"{metadata.get('namespace', '')}/{metadata['name']}"

    def _kinds(self) -> tuple[tuple[Resource, Store, Selection], ...]:
        """Every kind that is followed: where it is kept and which objects of it."""
        namespace = self._settings.watched_namespace
        instance_id = self._settings.instance_id
        instance = (
            f"{labels.INSTANCE_ID}={instance_id}" if instance_id else f"!{labels.INSTANCE_ID}"
        )
        ours = Selection(namespace, instance)
        caches = self.objects
        kinds: list[tuple[Resource, Store, Selection]] = [
            (ROLLOUTS, caches.rollouts, ours),
            (REPLICA_SETS, caches.replica_sets, Selection(namespace, labels.HASH)),
            (SERVICES, caches.services, Selection(namespace)),
            (ANALYSIS_RUNS, caches.runs, ours),
            (EXPERIMENTS, caches.experiments, ours),
            (ANALYSIS_TEMPLATES, caches.templates, ours),
            (PODS, caches.pods, Selection(namespace, labels.HASH)),
            (CONFIG_MAPS, caches.configuration, self._configuration()),
        ]
        if namespace is None:
            kinds.append(
                (CLUSTER_ANALYSIS_TEMPLATES, caches.cluster_templates, Selection(None, instance))
            )
        return tuple(kinds)

    def _on_demand(self) -> dict[Resource, OnDemand]:
        followed = Selection(self._settings.watched_namespace)
        return {
            resource: OnDemand(resource, store, partial(self._reflector, resource, store, followed))
            for resource, store in self.objects.workloads.items()
        }

    def _want_workloads(
        self, change: ChangeType, old: Manifest | None, new: Manifest | None
    ) -> None:
        """Follow the kinds that some Rollout takes its pod template from, and no others."""
        for resource, kind in self._workloads.items():
            kind.want(self.objects.rollouts.has("workload kind", resource.plural))

    def _configuration(self) -> Selection:
        """Return the one ConfigMap of this service, in its own namespace."""
        return Selection(self._ports.ownership.namespace, fields=f"metadata.name={SETTING}")

    def _reflector(self, resource: Resource, store: Store, selection: Selection) -> Reflector:
        ports = self._ports
        return Reflector(
            Source(ports.cluster, resource, selection), store, clock=ports.clock, rng=ports.rng
        )

    def _core_settings(self) -> Settings:
        settings = self._settings
        return Settings(
            cluster_uid=self._ports.source,
            instance_id=settings.instance_id,
            route_valid_seconds=settings.route_valid_seconds,
            route_renew_seconds=settings.route_renew_seconds,
            route_resend_seconds=settings.route_resend_seconds,
            route_resend_seconds_max=settings.route_resend_seconds_max,
            abort_claim_seconds=settings.abort_claim_seconds,
        )
