"""The rollout-controller over a cluster in memory, driven step by step on a virtual clock.

The pure core, its gather and its act are those of the service. Pods are ready at once; a route
counts as acknowledged as soon as it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from headrace.events.topics import Topic
from headrace.intents import Patches
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    CLUSTER_ANALYSIS_TEMPLATES,
    DEPLOYMENTS,
    EXPERIMENTS,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
    Resource,
)
from headrace.model.quantities import Instant
from headrace.routes import ApiVersions
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster import EVERYTHING, MergePatch, Selection
from headrace.runtime.cluster_memory import MemoryCluster, MemoryClusterSettings, Request
from headrace.runtime.guard import Caches as GuardCaches
from headrace.runtime.guard import GuardedCluster
from headrace.runtime.metric_catalog import HistogramName
from headrace.runtime.reconciler import CoreShell, Outcome, Reconciler
from headrace.runtime.store import Store
from rollout_controller.act import Actor
from rollout_controller.caches import Caches, Facts
from rollout_controller.core import labels
from rollout_controller.core.decide import decide
from rollout_controller.core.frozen import freeze
from rollout_controller.core.invariants import check
from rollout_controller.core.observed import Acknowledgement, Settings
from rollout_controller.gather import Gatherer
from rollout_controller.voice import Voice

_CONTROLLER: Final = "rollout-controller"
_WRITES: Final = ("create", "patch", "update", "delete")


class Recorder(Protocol):
    """Hears the Kubernetes Events of the controller."""

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        """Take one Event."""
        ...


class _SilentMetrics:
    """Counts nothing."""

    def observe(self, name: HistogramName, value: float, *labels: str) -> None:
        pass


class World:
    """One cluster, one controller, one Rollout.

    Args:
        key: `<namespace>/<name>` of the Rollout.
        recorder: Hears the controller's Events.
    """

    def __init__(self, key: str, recorder: Recorder) -> None:
        self.key = key
        self.namespace, _, self.name = key.partition("/")
        self.clock = VirtualClock()
        settings = MemoryClusterSettings(pod_ready_seconds=0.0, pod_termination_seconds=0.0)
        self.cluster = MemoryCluster(self.clock, settings)
        self.user = self.cluster.client("person")
        caches, self._facts = Caches(), Facts()
        self._stores: dict[Resource, Store] = {
            ROLLOUTS: caches.rollouts,
            REPLICA_SETS: caches.replica_sets,
            SERVICES: caches.services,
            ANALYSIS_RUNS: caches.runs,
            EXPERIMENTS: caches.experiments,
            ANALYSIS_TEMPLATES: caches.templates,
            CLUSTER_ANALYSIS_TEMPLATES: caches.cluster_templates,
            PODS: caches.pods,
            DEPLOYMENTS: caches.workloads[DEPLOYMENTS],
        }
        self._seen: frozenset[tuple[str, str]] = frozenset()
        client = self.cluster.client(_CONTROLLER)
        guard = GuardedCluster(client, lambda: True, GuardCaches(self._stores))
        gatherer = Gatherer(
            (caches, self._facts), client, Settings(cluster_uid=key), ApiVersions, lambda: True
        )
        voice = Voice(
            MemoryBus(MemoryBroker(), _CONTROLLER),
            Topic("steps"),
            recorder,
            self._facts,
            _SilentMetrics(),
        )
        actor = Actor(lambda _: guard, self._facts, voice)
        shell = CoreShell(gatherer, decide, check, actor, freeze)
        self._reconciler = Reconciler(shell, self.clock, lambda _: True)

    async def look(self) -> Outcome:
        """Let controllers and pods do what is due, and the rollout-controller look once."""
        self.cluster.step()
        await self._sync()
        outcome = await self._reconciler.process(self.key)
        self.cluster.step()
        return outcome

    async def has_moved(self) -> bool:
        """Return whether pods came or went since the controller looked."""
        return self._seen != await self._versions()

    async def get(self) -> Manifest:
        """Return the Rollout."""
        return await self.user.get(ROLLOUTS, self.namespace, self.name)

    async def list(self, resource: Resource) -> tuple[Manifest, ...]:
        """Return the objects of a kind."""
        return tuple((await self.user.list(resource, Selection(self.namespace))).items)

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

    def acknowledge(self, rollout: Manifest) -> bool:
        """Acknowledge the newest route; return whether there was one to be acknowledged."""
        document = ((rollout.get("status") or {}).get("headrace") or {}).get("route")
        if not document:
            return False
        known = self._facts.acknowledgements.get(document["uid"])
        if known is not None and known.epoch == document["epoch"]:
            return False
        weight = document["weights"]["canary"]
        answer = Acknowledgement(document["epoch"], level="observed", canary=weight)
        self._facts.acknowledge(document["uid"], answer)
        return True

    def writes(self) -> tuple[Request, ...]:
        """Return what the controller has written so far, oldest first."""
        return tuple(
            request
            for request in self.cluster.requests
            if request.identity == _CONTROLLER and request.verb in _WRITES
        )

    def advance_to(self, at: Instant) -> None:
        """Let the time pass."""
        self.clock.advance(max(0.0, at - self.clock.now()))

    async def _versions(self) -> frozenset[tuple[str, str]]:
        found = [each["metadata"] for each in await self.list(REPLICA_SETS)]
        return frozenset((each["uid"], each["resourceVersion"]) for each in found)

    async def _sync(self) -> None:
        self._seen = await self._versions()
        for resource, store in self._stores.items():
            hashed = Selection(labels=labels.HASH) if resource == REPLICA_SETS else EVERYTHING
            store.replace(await self.user.list(resource, hashed))
