"""The Experiments' half of the rollout-controller: its queue and its loop over shared caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headrace.events.envelope import Event
from headrace.kubernetes.resources import Manifest
from headrace.runtime.cluster import Cluster
from headrace.runtime.component import Loop, Ports
from headrace.runtime.feeder import QueueFeeder
from headrace.runtime.metrics import ReconcileMetrics
from headrace.runtime.reconciler import CoreShell, Reconciler
from headrace.runtime.service import Part, queue_part
from headrace.runtime.workqueue import WorkQueue
from rollout_controller.caches import Caches, Facts
from rollout_controller.core.experiment.decide import decide
from rollout_controller.core.experiment.invariants import check
from rollout_controller.experiments.act import Actor
from rollout_controller.experiments.facts import Failures, work_key
from rollout_controller.experiments.gather import Gatherer
from rollout_controller.experiments.wake import Waker
from rollout_controller.settings import ControllerSettings

_QUEUE = "Experiments"


class ExperimentController:
    """One controller of Experiments over the ports and caches of the rollout-controller.

    The work on an Experiment is shared out by the key of its Rollout, so that both are looked at
    by the same replica, which sees its own writes to either.

    Attributes:
        queue: Experiments that must be looked at.
    """

    def __init__(
        self,
        ports: Ports,
        settings: ControllerSettings,
        sources: tuple[Caches, Facts],
        guard: Callable[[str], Cluster],
    ) -> None:
        self._ports = ports
        self._settings = settings
        self._objects = sources[0]
        self.queue = WorkQueue(ports.clock, rng=ports.rng)
        failures = Failures()
        gatherer = Gatherer(sources, failures, ports.cluster)
        requests = (ports.bus, ports.topics.steps)
        self._actor = Actor(guard, failures, ports.recorder, requests, ports.source)
        self._reconciler = Reconciler(
            CoreShell(gatherer, decide, check, self._actor),
            ports.clock,
            lambda key: ports.ownership.may_act(self._work_key(key)),
            observer=ReconcileMetrics(ports.metrics, "experiments", _QUEUE),
        )
        self._feeder = QueueFeeder(
            self.queue, ports.ownership, self._keys, ports.clock, partition_key=self._work_key
        )
        self._waker = Waker(self._objects, self._feeder.wake, self._deleted)
        self._waker.listen()
        ports.metrics.watch_queue(_QUEUE, self.queue)

    @property
    def work(self) -> tuple[Part, ...]:
        """The parts that act; they come after the Leases."""
        resync = Part("experiment resync", run=self._resync)
        workers = self._settings.workers
        return resync, queue_part("experiments", self._reconciler, self.queue, workers)

    @property
    def loop(self) -> Loop:
        """The queue, and what reconciles its keys."""
        return Loop(self.queue, self._reconciler)

    @property
    def frozen(self) -> dict[str, str]:
        """Experiments whose plan must not be carried out, with the invariant that it violates."""
        return self._reconciler.frozen

    async def hear(self, event: Event) -> None:
        """Take a fact of the topic `verdicts`."""
        await self._waker.hear(event)

    def begin(self) -> None:
        """Feed the queue from now on: the caches are complete."""
        self._feeder.begin()

    async def _resync(self) -> None:
        await self._feeder.resync(self._settings.resync_seconds)

    def _deleted(self, experiment: Manifest) -> None:
        metadata = experiment["metadata"]
        self._actor.forget(metadata["uid"])
        self._ports.metrics.forget("Experiment", metadata.get("namespace", ""), metadata["name"])

    def _work_key(self, key: str) -> str:
        namespace, _, name = key.partition("/")
        experiment = self._objects.experiments.get(namespace, name)
        return key if experiment is None else work_key(experiment)

    def _keys(self) -> Iterator[str]:
        for experiment in self._objects.experiments.list():
            metadata = experiment["metadata"]
            yield f"{metadata.get('namespace', '')}/{metadata['name']}"
