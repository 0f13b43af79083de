"""A Kubernetes cluster in memory: storage, controllers, pods and as many clients as wanted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.kubernetes.resources import NAMESPACES, Resource
from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock
from headrace.runtime.cluster_memory.client import Interceptor, MemoryClient, Parts, Request
from headrace.runtime.cluster_memory.discovery import SCHEMAS, SERVED, Discovery
from headrace.runtime.cluster_memory.garbage import GarbageCollector
from headrace.runtime.cluster_memory.jobs import JobController
from headrace.runtime.cluster_memory.objects import Change, Objects
from headrace.runtime.cluster_memory.pods import PodBehaviour, PodLife
from headrace.runtime.cluster_memory.replica_sets import ReplicaSetController
from headrace.runtime.cluster_memory.watches import Watches

_PASSES_MAX: Final = 1000
_REQUESTS_KEPT_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class MemoryClusterSettings:
    """How a memory cluster behaves.

    Attributes:
        name: Clusters of different names give different uids.
        pod_ready_seconds: From a pod's creation to Ready, >= 0.
        pod_termination_seconds: From a pod's deletion to its end, >= 0.
        history_max: Changes per kind from which a watch can start.
        bookmark_seconds: Between bookmarks while `run` runs.
        served: Group to served versions, the preferred one first.
        schemas: What `/openapi/v3` publishes.
    """

    name: str = "memory"
    pod_ready_seconds: float = 1.0
    pod_termination_seconds: float = 1.0
    history_max: int = 10_000
    bookmark_seconds: float = 10.0
    served: Mapping[str, Sequence[str]] = field(default_factory=lambda: SERVED)
    schemas: Mapping[Resource, Mapping[str, Any]] = field(default_factory=lambda: SCHEMAS)


class MemoryCluster:
    """A cluster on which rollouts run: `client` speaks to it, `step` or `run` moves it.

    Attributes:
        requests: The newest requests of all clients, oldest first.
        intercept: Sees each request before it is served and may raise instead; None for none.
        objects: What is stored, for who looks on: only clients and controllers change it.
    """

    def __init__(self, clock: Clock, settings: MemoryClusterSettings | None = None) -> None:
        settings = settings or MemoryClusterSettings()
        self.requests: deque[Request] = deque(maxlen=_REQUESTS_KEPT_MAX)
        self.intercept: Interceptor | None = None
        self._clock = clock
        self._settings = settings
        self.objects = self._objects = Objects(clock, settings.name)
        self._watches = Watches(self._objects, settings.history_max)
        self._pods = PodLife(
            self._objects,
            PodBehaviour(ready_seconds=settings.pod_ready_seconds),
            settings.pod_termination_seconds,
        )
        self._controllers = (
            GarbageCollector(self._objects),
            ReplicaSetController(self._objects),
            JobController(self._objects),
            self._pods,
        )
        self._discovery = Discovery(settings.served, settings.schemas)
        for namespace in ("default", "kube-system"):
            self._objects.create(NAMESPACES, {"metadata": {"name": namespace}})

    def client(self, identity: str) -> MemoryClient:
        """Return the Cluster port for one identity; all see the same objects."""
        parts = Parts(self._objects, self._watches, self._discovery, self._admit)
        return MemoryClient(identity, parts)

    def behave(self, image: str, behaviour: PodBehaviour) -> None:
        """Let pods with a matching image (a glob, as `*:crash`) behave so from now on."""
        self._pods.behave(image, behaviour)

    def step(self) -> None:
        """Let controllers and pods do all that is due at the clock's time."""
        now = self._clock.now()
        for _ in range(_PASSES_MAX):
            if not any([controller.step(now) for controller in self._controllers]):
                return
        raise RuntimeError("the controllers of the memory cluster do not come to rest")

    def wake_at(self) -> Instant | None:
        """Return when `step` has something to do again: in the past if now, None if never."""
        times = [controller.wake_at() for controller in self._controllers]
        return min((time for time in times if time is not None), default=None)

    async def run(self) -> None:
        """Move the cluster until cancelled: at each change, when something is due, and on."""
        changed = asyncio.Event()

        def wake(_change: Change) -> None:
            changed.set()

        self._objects.observe(wake)
        bookmark_at = self._clock.now()
        while True:
            if self._clock.now() >= bookmark_at:
                self.send_bookmarks()
                bookmark_at = Instant(self._clock.now() + self._settings.bookmark_seconds)
            self.step()
            changed.clear()  # by the step's own writes, which it has dealt with
            wake_at = self.wake_at()
            due = bookmark_at if wake_at is None else min(wake_at, bookmark_at)
            await self._pause(changed, max(0.0, due - self._clock.now()))

    async def _pause(self, changed: asyncio.Event, seconds: float) -> None:
        """Return at the next change, or after `seconds`."""
        waits = [
            asyncio.ensure_future(changed.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # Faults and hooks.

    def send_bookmarks(self) -> None:
        """Tell every watch how far it has come."""
        self._watches.send_bookmarks()

    def expire_watches(self) -> None:
        """Forget all history: open watches end with 410, old versions cannot be watched."""
        self._watches.expire()

    def close_watches(self) -> None:
        """End every watch normally."""
        self._watches.close()

    def _admit(self, request: Request) -> None:
        self.requests.append(request)
        if self.intercept is not None:
            self.intercept(request)
