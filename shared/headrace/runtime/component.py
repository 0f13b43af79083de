"""What a service stands on, whether it runs alone, in the all-in-one or in a test.

A service is a component over these ports: it constructs no adapter itself. `app.py` of each
service, the all-in-one, the demo, the simulator and the tests give it theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from headrace.backoff import Rng
from headrace.events.envelope import Event
from headrace.events.topics import Topic, Topics
from headrace.runtime.bus import Bus
from headrace.runtime.clock import Clock
from headrace.runtime.cluster import Cluster
from headrace.runtime.metrics import Metrics
from headrace.runtime.on_demand import OnDemand
from headrace.runtime.ownership import Ownership
from headrace.runtime.reconciler import Reconciler
from headrace.runtime.recorder import Recorder
from headrace.runtime.reflector import Reflector
from headrace.runtime.workqueue import WorkQueue


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside of a service.

    Attributes:
        cluster: The API server, with the identity of the service.
        bus: The broker.
        topics: Names of the topics.
        ownership: Which keys this replica may act for.
        recorder: For Kubernetes Events.
        source: UID of the kube-system namespace, by which clusters are told apart.
    """

    cluster: Cluster
    bus: Bus
    topics: Topics
    ownership: Ownership
    clock: Clock
    rng: Rng
    recorder: Recorder
    metrics: Metrics
    source: str


@dataclass(frozen=True, slots=True)
class Loop:
    """A queue, and what reconciles the keys that it hands out."""

    queue: WorkQueue
    reconciler: Reconciler[Any, Any]


class Drivable(Protocol):
    """The inside of a component, for a driver that has no event loop.

    The parts of a component do the same on the event loop; a simulator calls it step by step, in
    virtual time.
    """

    @property
    def loops(self) -> tuple[Loop, ...]:
        """Everything that is reconciled."""
        ...

    @property
    def topics(self) -> Sequence[Topic]:
        """The topics that it hears."""
        ...

    @property
    def on_demand(self) -> Sequence[OnDemand]:
        """The kinds that it follows only while they are wanted, beside those of `discover`."""
        ...

    async def discover(self) -> tuple[Reflector, ...]:
        """Ask what is served; return what fills the caches."""
        ...

    async def begin(self) -> None:
        """Feed the queues from now on; call when the caches are complete."""
        ...

    async def hear(self, event: Event) -> None:
        """Take one event. Raises TransientError, Conflict: it is handed over again."""
        ...
