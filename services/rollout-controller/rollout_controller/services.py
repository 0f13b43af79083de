"""The Services' part of the rollout-controller: it lets go of those that no Rollout names.

Which Services a Rollout points where is its own reconcile's business; here is what is left when
the Rollout is gone, or names another Service.

Source: rollout-api 7.1, 7.2, 9 (removed references).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headrace.errors import NotFound
from headrace.kubernetes.patches import pointer
from headrace.kubernetes.resources import ROLLOUTS, SERVICES, Manifest
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.quantities import Instant
from headrace.runtime.cluster import Cluster, JsonPatch
from headrace.runtime.component import Loop, Ports
from headrace.runtime.feeder import QueueFeeder
from headrace.runtime.reconciler import CoreShell, Reconciler
from headrace.runtime.service import Part, queue_part
from headrace.runtime.store import ChangeType
from headrace.runtime.workqueue import WorkQueue
from rollout_controller.caches import Caches, services_of
from rollout_controller.core import labels
from rollout_controller.core.abandoned import (
    GivingUp,
    Observed,
    Plan,
    check,
    decide,
    is_managed,
    managing_rollout,
)
from rollout_controller.settings import ControllerSettings

_QUEUE = "Services"


class Gatherer:
    """Builds snapshots of Services from the caches.

    Args:
        caches: Services and our Rollouts.
        cluster: For a live look at the Rollout that manages a Service.
    """

    def __init__(self, caches: Caches, cluster: Cluster) -> None:
        self._caches = caches
        self._cluster = cluster

    async def gather(self, key: str, now: Instant) -> Observed | None:
        """Return the snapshot of a Service, None when it does not exist.

        Raises:
            Unavailable: Whether its Rollout exists cannot be known; an error is no absence.
        """
        namespace, _, name = key.partition("/")
        service = self._caches.services.get(namespace, name)
        if service is None:
            return None
        managed_by = managing_rollout(service)
        is_named = not is_managed(service) or self._caches.rollouts.has("service", key)
        rollout = None if is_named else self._caches.rollouts.get(namespace, managed_by)
        if rollout is None and not is_named:
            # What we do not follow is gone, or the Rollout of another controller.
            is_named = await self._exists(namespace, managed_by)
        return Observed(
            name=name,
            managed_by=managed_by,
            is_named=is_named,
            rollout=_giving_up(rollout) if rollout is not None else None,
            manifest=service,
        )

    async def _exists(self, namespace: str, name: str) -> bool:
        try:
            await self._cluster.get(ROLLOUTS, namespace, name)
        except NotFound:
            return False
        return True


class Actor:
    """Carries plans for Services out.

    Args:
        guard: Returns the port for the writes of a key: it needs the key's Lease, and feeds the
            caches.
    """

    def __init__(self, guard: Callable[[str], Cluster]) -> None:
        self._guard = guard

    async def act(self, observed: Observed, plan: Plan, *, now: Instant) -> bool:
        """Carry a plan out; return whether anything was written.

        Raises:
            Conflict: The Service changed meanwhile; the live object is in its store.
            RolloutError: The write failed.
        """
        if not plan.releases:
            return False
        metadata = observed.manifest["metadata"]
        version, annotation = metadata["resourceVersion"], labels.MANAGED_BY
        operations = [
            {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
            {"op": "test", "path": "/metadata/resourceVersion", "value": version},
            {"op": "remove", "path": pointer("spec", "selector", labels.HASH)},
            {"op": "remove", "path": pointer("metadata", "annotations", annotation)},
        ]
        port = self._guard(f"{metadata['namespace']}/{observed.managed_by}")
        await port.patch(SERVICES, metadata["namespace"], observed.name, JsonPatch(operations))
        return True


class ServiceController:
    """One controller of Services over the ports and caches of the rollout-controller.

    The work on a Service is shared out by the key of the Rollout that manages it.
    """

    def __init__(
        self,
        ports: Ports,
        settings: ControllerSettings,
        caches: Caches,
        guard: Callable[[str], Cluster],
    ) -> None:
        self._settings = settings
        self._caches = caches
        self._queue = WorkQueue(ports.clock, rng=ports.rng)
        self._reconciler = Reconciler(
            CoreShell(Gatherer(caches, ports.cluster), decide, check, Actor(guard)),
            ports.clock,
            lambda key: ports.ownership.may_act(self._work_key(key)),
        )
        self._feeder = QueueFeeder(
            self._queue, ports.ownership, self._keys, ports.clock, partition_key=self._work_key
        )
        caches.services.listen(self._service)
        caches.rollouts.listen(self._rollout)
        ports.metrics.watch_queue(_QUEUE, self._queue)

    @property
    def work(self) -> tuple[Part, ...]:
        """The parts that act; they come after the Leases."""
        resync = Part("service resync", run=self._resync)
        return resync, queue_part("services", self._reconciler, self._queue, 1)

    @property
    def loop(self) -> Loop:
        """The queue, and what reconciles its keys."""
        return Loop(self._queue, self._reconciler)

    def begin(self) -> None:
        """Feed the queue from now on: the caches are complete."""
        self._feeder.begin()

    async def _resync(self) -> None:
        await self._feeder.resync(self._settings.resync_seconds)

    def _service(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None and self._is_left(new):
            self._feeder.wake(_key(new))

    def _rollout(self, change: ChangeType, old: Manifest | None, new: Manifest | None) -> None:
        """Look at the Services that a Rollout managed and does not name, or that outlive it."""
        rollout = new or old
        if rollout is None:
            return
        named = set(services_of(new)) if new is not None else set()
        for service in self._caches.services.by_index("managed by", _key(rollout)):
            if _key(service) not in named:
                self._feeder.wake(_key(service))

    def _is_left(self, service: Manifest) -> bool:
        """Return whether a managed Service is named by none of our Rollouts."""
        return is_managed(service) and not self._caches.rollouts.has("service", _key(service))

    def _work_key(self, key: str) -> str:
        namespace, _, name = key.partition("/")
        service = self._caches.services.get(namespace, name)
        managed_by = managing_rollout(service) if service is not None else ""
        return f"{namespace}/{managed_by}" if managed_by else key

    def _keys(self) -> Iterator[str]:
        return (_key(each) for each in self._caches.services.list() if self._is_left(each))


def _key(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def _giving_up(rollout: Manifest) -> GivingUp:
    status = rollout.get("status") or {}
    invalid = any(each.get("type") == "InvalidSpec" for each in status.get("conditions") or ())
    generation = str(rollout["metadata"].get("generation"))
    return GivingUp(
        is_observed=not invalid and status.get("observedGeneration") == generation,
        headrace=HeadraceStatus.remembered(status.get("headrace")),
    )
