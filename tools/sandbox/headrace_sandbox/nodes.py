"""A node: one process of one service, with its own caches, Leases, clock and queue.

It runs the real component (`RolloutController`, `TrafficRouter`, `AnalysisRunner`) over the
world's ports. What the event loop does in production, the node does in virtual time: it follows
watches when changes come through, attempts Leases, takes keys from the queues and hears events.
A crash loses everything but what is stored in the API server.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from headrace.errors import Conflict, RolloutError, TransientError
from headrace.events.envelope import decode
from headrace.events.topics import Topics
from headrace.kubernetes.resources import ROLLOUTS, Manifest, Resource
from headrace.runtime.bus import Record
from headrace.runtime.clock import Timer
from headrace.runtime.cluster_memory.objects import TableKey, table_key
from headrace.runtime.component import Drivable, Loop, Ports
from headrace.runtime.lease import Lease
from headrace.runtime.metric_catalog import ServiceName
from headrace.runtime.metrics import Metrics
from headrace.runtime.on_demand import OnDemand
from headrace.runtime.ownership import Layout, Membership, Ownership
from headrace.runtime.recorder import Recorder
from headrace.runtime.reflector import Reflector
from headrace_sandbox.bus import Broker, NodeBus, topics_named
from headrace_sandbox.clock import NodeClock, Suspended
from headrace_sandbox.cluster import Crash, NodeCluster
from headrace_sandbox.faults import Kind
from headrace_sandbox.looking import Looker
from headrace_sandbox.world import World, Write

_LAYOUT: Final = Layout(partitions=4, shards=2)
_THINK_SECONDS: Final = 0.002
_WATCH_SECONDS: Final = 0.01
_WATCH_DELAY_SECONDS_MAX: Final = 15.0
_BOOT_SECONDS: Final = 0.05
_RESTART_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 0.5
WORKERS: Final = 2

AnswerT = TypeVar("AnswerT")


def drive(coroutine: Coroutine[Any, Any, AnswerT]) -> AnswerT:
    """Run a coroutine over ports that never suspend to its end.

    Raises:
        Suspended: It waited for something else.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        answer: AnswerT = end.value
        return answer
    coroutine.close()
    raise Suspended(f"{coroutine!r} waits for something that is no port")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every node of a world stands on."""

    world: World
    broker: Broker
    topics: Topics
    looker: Looker


@dataclass(frozen=True, slots=True)
class Kin:
    """What a node is one of.

    Attributes:
        service: Its name.
        build: Makes the component over its ports; given the node's own timers too.
    """

    service: ServiceName
    build: Callable[[Ports, Node], Drivable]


@dataclass(slots=True)
class _Process:
    """What a crash loses."""

    cluster: NodeCluster
    bus: NodeBus
    ownership: Ownership
    component: Drivable
    topics: frozenset[str]
    reflectors: dict[TableKey, Reflector]
    on_demand: set[TableKey] = field(default_factory=set)
    has_discovered: bool = False
    has_begun: bool = False


class Node:
    """One replica of one service.

    Attributes:
        name: As `router-1`.
        incarnation: Grows with each start and each crash.
        frozen_until: Until then it does nothing, and does not know.
        cut_off_until: Until then it does not reach the API server.
        bus_cut_off_until: Until then it does not reach the broker.
        lags_until: Until then no change of a Rollout comes through to its cache.
    """

    def __init__(self, name: str, kin: Kin, around: Surroundings) -> None:
        self.name = name
        self.kin = kin
        self.incarnation = 0
        self.frozen_until = 0.0
        self.cut_off_until = 0.0
        self.bus_cut_off_until = 0.0
        self.lags_until = 0.0
        self._around = around
        self._world = around.world
        self._rng = self._world.stream(f"node/{name}")
        self._process: _Process | None = None
        self._last_due: dict[TableKey, float] = {}
        self._working: dict[int, int] = {}
        skew = around.world.faults.plan.clock_skew_seconds_max
        self.clock = NodeClock(
            self._world.clock, self._rng.uniform(-skew, skew) if skew else 0.0, self._timer
        )

    # Life

    def start(self) -> None:
        """Make the process, and begin to fill its caches."""
        world, around = self._world, self._around
        self.incarnation += 1
        cluster = NodeCluster(world, self, self.incarnation, self.clock)
        bus = NodeBus(around.broker, self, self.later)
        membership = Membership(self.kin.service, "default", self.name, layout=_LAYOUT)
        ownership = Ownership(cluster, self.clock, membership)
        metrics = Metrics((self.kin.service,), self.clock)
        ports = Ports(
            cluster=cluster,
            bus=bus,
            topics=around.topics,
            ownership=ownership,
            clock=self.clock,
            rng=self._rng,
            recorder=Recorder(lambda key: ownership.guard(cluster, key), self.clock, metrics),
            metrics=metrics,
            source=world.source,
        )
        component = self.kin.build(ports, self)
        self._process = _Process(
            cluster, bus, ownership, component, topics_named(component.topics), {}
        )
        self._working = {}
        self.later(_BOOT_SECONDS, self._boot)

    def crash(self) -> None:
        """Lose the process; another one is started some time later."""
        if self._process is None:
            return
        self._world.tell("fault", f"{self.name} crashes")
        self._process.bus.die()
        self._process = None
        self.incarnation += 1
        self.frozen_until = 0.0
        self._around.broker.crashed(self.kin.service, self)
        self.later(_RESTART_SECONDS * (0.5 + self._rng.random()), self.start)

    def is_running(self, incarnation: int) -> bool:
        """Whether the process of an incarnation still lives."""
        return self.incarnation == incarnation

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something later, unless the process is gone by then."""
        return self._world.after(seconds, lambda: self._do(action), self)

    def _timer(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self.later(seconds, callback)

    def _do(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Crash:
            self.crash()
        self._pump()

    # Boot

    def _boot(self) -> None:
        process = self._process
        assert process is not None
        if self.is_cut_off:
            self.later(_AGAIN_SECONDS, self._boot)
            return
        if not process.has_discovered:
            process.has_discovered = True
            found = drive(process.component.discover())
            process.reflectors = {table_key(each.resource): each for each in found}
            for lease in process.ownership.leases:
                self.later(self._rng.random(), partial(self._tend, lease))
        for reflector in [*process.reflectors.values()]:
            if not reflector.is_synced:
                drive(reflector.follow())
        if not all(each.is_synced for each in process.reflectors.values()):
            self.later(_AGAIN_SECONDS, self._boot)
            return
        drive(process.bus.start())
        drive(process.component.begin())
        process.has_begun = True
        for kind in [*process.reflectors]:  # what changed since the lists
            self._come_through(kind, self._world.objects.version)

    # Leases

    def _tend(self, lease: Lease) -> None:
        began = self.clock.monotonic()
        was_renewed = drive(lease.attempt())
        lease.tell()
        pause = began + lease.pause_seconds(was_renewed=was_renewed) - self.clock.monotonic()
        self.later(max(pause, 0.001), lambda: self._tend(lease))
        if lease.is_held:
            hold = lease.claim.terms.hold_seconds
            self.later(hold + 0.001, lease.tell)
        if was_renewed:
            self._around.broker.hand_out(self.kin.service)

    # The API server

    @property
    def is_cut_off(self) -> bool:
        """Whether the API server cannot be reached from here."""
        return self._world.is_api_down or self._world.now < self.cut_off_until

    @property
    def is_bus_cut_off(self) -> bool:
        """Whether the broker cannot be reached from here."""
        return self._process is None or self._world.now < self.bus_cut_off_until

    def sends(self, verb: str, resource: Resource, name: str) -> None:
        """Hear that a request leaves the process."""
        self._around.looker.sends(self, verb, resource, name)

    def may_act(self, key: str) -> bool:
        """Whether the process believes to hold the Lease of a key."""
        return self._process is not None and self._process.ownership.may_act(key)

    def cached(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return an object as the process knows it, None where it knows none."""
        reflectors = self._process.reflectors if self._process is not None else {}
        reflector = reflectors.get(table_key(resource))
        return reflector.store.get(namespace, name) if reflector is not None else None

    def lease_of(self, key: str) -> str:
        """Return the name of the Lease that the work on a key needs."""
        membership = Membership(self.kin.service, "default", self.name, layout=_LAYOUT)
        return membership.lease_name(_LAYOUT.shard_of(key))

    def written(self, write: Write) -> None:
        """Let a change come through to the caches some time later."""
        process, kind = self._process, table_key(write.change.record.resource)
        if process is None or kind not in process.reflectors:
            return
        delay = self._rng.expovariate(1 / _WATCH_SECONDS)
        if (fault := self._world.faults.strikes(Kind.WATCH_DELAY, self.name)) is not None:
            delay += fault.size**2 * _WATCH_DELAY_SECONDS_MAX
        due = max(self._last_due.get(kind, 0.0), self._world.now + delay)
        if kind == table_key(ROLLOUTS):
            due = max(due, self.lags_until)
        self._last_due[kind] = due
        version = write.change.version
        self.later(due - self._world.now, lambda: self._come_through(kind, version))

    def _come_through(self, kind: TableKey, version: int) -> None:
        process = self._process
        if process is None:
            return
        reflector = process.reflectors.get(kind)
        if reflector is None:
            return
        process.cluster.show(kind, version)
        if self._world.faults.strikes(Kind.WATCH_GAP, self.name) is not None:
            self._world.tell("fault", f"{self.name} loses its watch", kind=kind[1])
            process.cluster.lose_watch(kind)
        error = drive(reflector.follow())
        if isinstance(error, TransientError) and "at once" not in str(error):
            self.later(_AGAIN_SECONDS, lambda: self._come_through(kind, version))

    # The bus

    @property
    def topics(self) -> frozenset[str]:
        """Names of the topics that it reads."""
        return self._process.topics if self._process is not None else frozenset()

    def reads(self, topic: str, partition: int) -> bool:
        """Whether it reads a partition of a topic now."""
        process = self._process
        return (
            process is not None
            and process.has_begun
            and topic in process.topics
            and self.frozen_until <= self._world.now
            and process.ownership.reads(partition)
        )

    def take(self, record: Record) -> bool:
        """Handle a record; False when it must come again."""
        process = self._process
        assert process is not None
        try:
            drive(process.component.hear(decode(record.key, record.headers, record.value)))
        except Crash:
            self.crash()
            return True  # the broker sends again what was not committed
        except (TransientError, Conflict):
            return False
        except RolloutError as error:
            self._world.tell(self.name, "cannot handle an event", error=str(error))
        self._pump()
        return True

    # Work

    def _pump(self) -> None:
        """Let workers take the keys that are ready."""
        process = self._process
        if process is None:
            return
        for kind in process.component.on_demand:
            self._follow_on_demand(process, kind)
        for number, loop in enumerate(process.component.loops):
            busy = self._working.get(number, 0)
            if loop.queue.is_ready and busy < WORKERS:
                self._working[number] = busy + 1
                think = self._rng.expovariate(1 / _THINK_SECONDS)
                self.later(think, partial(self._work, number, loop))

    def _follow_on_demand(self, process: _Process, kind: OnDemand) -> None:
        """Follow a kind from when it is wanted, and no longer."""
        key = table_key(kind.resource)
        if kind.is_wanted and key not in process.reflectors:
            process.reflectors[key] = kind.begin()
            process.on_demand.add(key)
            self.later(0.0, lambda: self._come_through(key, self._world.objects.version))
        elif not kind.is_wanted and key in process.on_demand:
            process.on_demand.remove(key)
            del process.reflectors[key]
            kind.end()

    def _work(self, number: int, loop: Loop) -> None:
        working = self._working
        try:
            key = loop.queue.take()
            if key is not None:
                began = self._world.now
                outcome = drive(loop.reconciler.take(loop.queue, key))
                self._around.looker.reconciled(self, key, outcome, self._world.now - began)
        finally:
            working[number] -= 1
