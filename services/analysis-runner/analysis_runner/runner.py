"""The runner as a component: its cache, its queue and its loops, over ports that it is given.

Nothing is reconciled before the cache is complete. A run is shared out by the key of its Rollout,
so that the replica that reads a Rollout's messages also measures for it.
"""

from __future__ import annotations

from collections.abc import Callable

from analysis_runner.act import Actor, Voice
from analysis_runner.core.decide import decide
from analysis_runner.core.invariants import check
from analysis_runner.gather import Gatherer
from analysis_runner.gauges import export_gauges
from analysis_runner.measuring import Bounds, Measurer, Measuring
from analysis_runner.memory import RunMemory
from analysis_runner.providers.http import ProviderHttp
from analysis_runner.providers.prometheus import PrometheusProvider
from analysis_runner.providers.provider import Provider
from analysis_runner.providers.registry import Providers
from analysis_runner.settings import RunnerSettings
from analysis_runner.views import partition_key
from analysis_runner.wake import HEARD_TYPES, Waker
from headrace.events.envelope import Event
from headrace.events.topics import Topic
from headrace.kubernetes.resources import ANALYSIS_RUNS, Manifest
from headrace.model.quantities import Instant
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
from headrace.runtime.store import Store
from headrace.runtime.workqueue import Lane, WorkQueue

INSTANCE_ID_LABEL = "argo-rollouts.argoproj.io/controller-instance-id"

_QUEUE = "AnalysisRuns"


class AnalysisRunner:
    """One runner over its ports.

    Args:
        ports: The outside.
        settings: Limits and addresses.
        providers: Whom to ask, by name on the wire, beside and instead of the real ones.
        measure: Makes what carries rounds out, where it is not a `Measurer`: given the memory
            and what to call with the key of a run about which something was found.

    Attributes:
        runs: Cache of the AnalysisRuns.
        queue: Runs that must be looked at.
    """

    def __init__(
        self,
        ports: Ports,
        settings: RunnerSettings,
        providers: dict[str, Provider] | None = None,
        measure: Callable[[RunMemory, Callable[[str], None]], Measuring] | None = None,
    ) -> None:
        self._ports = ports
        self._settings = settings
        self.queue = WorkQueue(ports.clock, rng=ports.rng)
        self.runs = Store()
        self._reflector = Reflector(
            Source(ports.cluster, ANALYSIS_RUNS, _selection(settings)),
            self.runs,
            clock=ports.clock,
            rng=ports.rng,
        )
        self._http = ProviderHttp(settings.measurement_bytes_max)
        prometheus = PrometheusProvider(self._http, ports.clock, settings.prometheus_address)
        self._memory = RunMemory()
        self._measurer: Measuring = (
            measure(self._memory, self._found)
            if measure is not None
            else Measurer(
                Providers({"prometheus": prometheus, **(providers or {})}),
                ports.cluster,
                ports.clock,
                self._memory,
                self._found,
                Bounds(settings.measurements_max, settings.measurements_per_address_max),
            )
        )
        again_seconds = settings.say_again_seconds
        self._gatherer = Gatherer(
            ports.cluster, self.runs, self._memory, say_again_seconds=again_seconds
        )
        self._waker = Waker(
            self.runs,
            self._gatherer,
            self._wake,
            self._deleted,
            ports.clock,
            again_seconds,
        )
        self._consumer = EventConsumer(
            ports.bus,
            self.topics,
            self.hear,
            ports.ownership.reads,
            ports.clock,
            ConsumerSettings(cluster=ports.source, types=HEARD_TYPES),
        )
        self._feeder = QueueFeeder(
            self.queue,
            ports.ownership,
            self._waker.known_keys,
            ports.clock,
            self._consumer.assign,
            partition_key=self._gatherer.partition_key,
        )
        self._reconciler = Reconciler(
            CoreShell(self._gatherer, decide, check, self._actor()),
            ports.clock,
            lambda key: ports.ownership.may_act(self._gatherer.partition_key(key)),
            observer=ReconcileMetrics(ports.metrics, "analysis-runner", _QUEUE),
        )
        self._waker.listen()
        self._consumer.observe(ConsumerMetrics(ports.metrics))
        self._measure(ports.metrics)

    @property
    def caches(self) -> Part:
        """The part that fills the cache; it comes before the Leases."""
        return Part("analysis caches", run=self._reflector.run, ready=self._reflector.wait_synced)

    @property
    def work(self) -> tuple[Part, ...]:
        """The parts that hear, measure and judge; they come after the Leases."""
        return (
            Part("measurements", run=self._measurer.run, close=self._http.close),
            Part("analysis requests", start=self.begin, run=self._consumer.run),
            Part("analysis resync", run=self._resync),
            queue_part("analysis runs", self._reconciler, self.queue, self._settings.workers),
        )

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The queue of runs."""
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
        """Return what fills the cache."""
        return (self._reflector,)

    async def hear(self, event: Event) -> None:
        """Take one event of its topics."""
        await self._waker.hear(event)

    def gained(self, shards: frozenset[int]) -> None:
        """Do nothing: the feeder adds the runs of these shards."""

    def lost(self, shards: frozenset[int]) -> None:
        """Measure no more for these shards; the replica that holds them now does."""
        ownership = self._ports.ownership
        for run in self.runs.list():
            if ownership.shard_of(partition_key(run)) in shards:
                self._measurer.forget(run["metadata"]["uid"])

    async def begin(self) -> None:
        """Feed the queue from now on: the cache is complete."""
        self._ports.bus.watch(self._bus_changed)
        self._ports.ownership.listen(self)
        self._feeder.begin()

    async def _resync(self) -> None:
        await self._feeder.resync(self._settings.resync_seconds)

    def _wake(self, key: str, lane: Lane, at: Instant | None = None) -> None:
        self._feeder.wake(key, lane, at)

    def _found(self, key: str) -> None:
        self._feeder.wake(key, Lane.FACT)

    def _deleted(self, run: Manifest) -> None:
        metadata = run["metadata"]
        self._measurer.forget(metadata["uid"])
        self._gatherer.forget(metadata["uid"])
        self._ports.metrics.forget("AnalysisRun", metadata.get("namespace", ""), metadata["name"])

    def _actor(self) -> Actor:
        ports = self._ports
        caches = Caches({ANALYSIS_RUNS: self.runs})
        return Actor(
            lambda key: ports.ownership.guard(ports.cluster, key, caches),
            self._memory,
            self._measurer,
            Voice(ports.bus, ports.topics.verdicts, ports.source, ports.recorder),
            lambda key, at: self._feeder.wake(key, at=at),
        )

    def _bus_changed(self, is_up: bool) -> None:
        """Say again what the runs show when the bus is back."""
        if is_up:
            self._memory.say_again()
            self._feeder.wake_all()

    def _measure(self, metrics: Metrics) -> None:
        metrics.watch_queue(_QUEUE, self.queue)
        export_gauges(metrics, self.runs)
        metrics.sample(
            "headrace_runtime_cached_objects",
            lambda: [((ANALYSIS_RUNS.kind,), float(len(self.runs)))],
        )
        metrics.sample(
            "headrace_runtime_frozen_keys",
            lambda: [((_QUEUE,), float(len(self._reconciler.frozen)))],
        )


def _selection(settings: RunnerSettings) -> Selection:
    instance_id = settings.instance_id
    labels = f"{INSTANCE_ID_LABEL}={instance_id}" if instance_id else f"!{INSTANCE_ID_LABEL}"
    return Selection(namespace=settings.watched_namespace, labels=labels)
