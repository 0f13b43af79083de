"""A process around one core: what it sees, when it thinks, and what befalls it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from headrace.errors import Conflict, InvariantViolation, NotFound, RolloutError
from headrace.kubernetes.resources import NAMESPACES, Manifest, Resource
from headrace.model.quantities import Instant
from headrace.runtime.clock import Timer
from headrace.runtime.cluster_memory.objects import Change, TableKey, table_key
from headrace.runtime.metric_catalog import ServiceName
from headrace.runtime.reconciler import Outcome
from headrace_sandbox.clock import NodeClock
from headrace_sandbox.cluster import Crash, NodeCluster
from headrace_sandbox.cores.post import Post
from headrace_sandbox.cores.sight import Sight
from headrace_sandbox.faults import Kind
from headrace_sandbox.looking import Looker
from headrace_sandbox.nodes import drive
from headrace_sandbox.world import World, Write

_THINK_SECONDS: Final = 0.004
_SEE_SECONDS: Final = 0.01
_SEE_LATE_SECONDS_MAX: Final = 15.0
_BOOT_SECONDS: Final = 0.05
_RESTART_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """How one pass ended: whether anything was written, and when to look again in any case."""

    has_written: bool = False
    wake_at: Instant | None = None


class Core(Protocol):
    """One service's pure core, with what a process remembers of its keys."""

    def keys(self, manifest: Manifest, kind: TableKey) -> Iterable[str]:
        """Return whom a change of an object concerns."""
        ...

    def minds(self, old: Manifest | None, new: Manifest, kind: TableKey) -> bool:
        """Return whether a change matters to it at all."""
        ...

    def look(self, key: str) -> Look:
        """Decide on one key, and carry the plan out. Raises RolloutError."""
        ...

    def hear(self, message: Any) -> str:
        """Take a message; return whom it concerns, "" for nobody."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every process of a world stands on."""

    world: World
    post: Post
    looker: Looker


@dataclass(frozen=True, slots=True)
class Part:
    """What a process is.

    Attributes:
        service: Its name.
        kinds: What it follows.
        build: Makes its core.
    """

    service: ServiceName
    kinds: tuple[Resource, ...]
    build: Callable[[Process], Core]


class Process:
    """One replica of one service, of which there is one only.

    Attributes:
        name: As `traffic-router-0`.
        incarnation: Grows with each start and each crash.
        frozen_until: Until then it does nothing, and does not know.
        cut_off_until: Until then it does not reach the API server.
        bus_cut_off_until: Until then nobody hears it, and it hears nobody.
        lags_until: Until then it sees no change of any object.
        cluster: For its requests.
        sight: What it has seen.
    """

    def __init__(self, part: Part, around: Surroundings) -> None:
        self.service = part.service
        self.name = f"{part.service}-0"
        self.incarnation = 0
        self.frozen_until = 0.0
        self.cut_off_until = 0.0
        self.bus_cut_off_until = 0.0
        self.lags_until = 0.0
        self.world, self.post = around.world, around.post
        self._looker = around.looker
        self._part = part
        self._rng = self.world.stream(f"process/{self.name}")
        skew = self.world.faults.plan.clock_skew_seconds_max
        self.clock = NodeClock(
            self.world.clock, self._rng.uniform(-skew, skew) if skew else 0.0, self.later
        )
        self.sight = Sight(part.kinds)
        self._core: Core | None = None
        self._due: dict[str, Timer] = {}
        self._busy: set[str] = set()
        self._seen_until: dict[TableKey, float] = {}
        self._kinds = frozenset(table_key(kind) for kind in part.kinds)
        self._conflicts: Counter[str] = Counter()

    # Life

    def start(self) -> None:
        """Begin with an empty memory."""
        self.incarnation += 1
        self.cluster = NodeCluster(self.world, self, self.incarnation, self.clock)
        self.sight = Sight(self._part.kinds)
        self._due, self._busy = {}, set()
        self._core = self._part.build(self)
        self.later(_BOOT_SECONDS, self._boot)

    def _boot(self) -> None:
        if self.is_cut_off:
            self.later(_AGAIN_SECONDS, self._boot)
            return
        self.sight.fill(self.world.objects)
        self.wake_all()

    def crash(self) -> None:
        """Lose all but what is stored; start again some time later."""
        if self._core is None:
            return
        self.world.tell("fault", f"{self.name} crashes")
        self._core = None
        self.incarnation += 1
        self.frozen_until = 0.0
        self.world.after(_RESTART_SECONDS * (0.5 + self._rng.random()), self.start)

    def is_running(self, incarnation: int) -> bool:
        """Whether the process of an incarnation still lives."""
        return self.incarnation == incarnation

    def later(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something later, unless the process is gone by then."""
        return self.world.after(seconds, action, self)

    @property
    def is_cut_off(self) -> bool:
        """Whether the API server cannot be reached from here."""
        return self.world.is_api_down or self.world.now < self.cut_off_until

    @property
    def is_bus_cut_off(self) -> bool:
        """Whether messages neither come nor go."""
        return self._core is None or self.world.now < self.bus_cut_off_until

    # For checkers

    def sends(self, verb: str, resource: Resource, name: str) -> None:
        """Hear that a request leaves the process."""
        self._looker.sends(self, verb, resource, name)

    def cached(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return an object as the process knows it, None where it knows none."""
        return self.sight.get(resource, namespace, name)

    def lease_of(self, key: str) -> str:
        """Return "": nobody shares the work."""
        return ""

    # Seeing and hearing

    def written(self, write: Write) -> None:
        """Let a change be seen some time later; those of one kind in their order."""
        kind = table_key(write.change.record.resource)
        if self._core is None or kind not in self._kinds:
            return
        delay = self._rng.expovariate(1 / _SEE_SECONDS)
        if (fault := self.world.faults.strikes(Kind.WATCH_DELAY, self.name)) is not None:
            delay += fault.size**2 * _SEE_LATE_SECONDS_MAX
        due = max(self.world.now + delay, self._seen_until.get(kind, 0.0), self.lags_until)
        self._seen_until[kind] = due
        self.later(due - self.world.now, partial(self._see, write.change, kind))

    def _see(self, change: Change, kind: TableKey) -> None:
        if self._core is None:
            return
        record = change.record
        old = self.sight.get(record.resource, record.namespace, record.name)
        if self.sight.see(change) and self._core.minds(old, record.manifest, kind):
            for key in self._core.keys(record.manifest, kind):
                self.wake(key)

    def take(self, message: Any) -> None:
        """Hear a message."""
        if self._core is not None and (key := self._core.hear(message)):
            self.wake(key)

    # Work

    def wake(self, key: str, seconds: float = 0.0) -> None:
        """Look at a key soon, or after some time; a look that is planned for later gives way."""
        due = self._due.pop(key, None)
        if due is not None:
            due.cancel()
        think = self._rng.expovariate(1 / _THINK_SECONDS)
        self._due[key] = self.later(seconds + think, partial(self._work, key))

    def wake_all(self) -> None:
        """Look at everything that was seen."""
        assert self._core is not None
        keys = {
            key: None
            for kind, manifest in self.sight.everything()
            for key in self._core.keys(manifest, kind)
        }
        for key in keys:
            self.wake(key)

    def _work(self, key: str) -> None:
        self._due.pop(key, None)
        if key in self._busy:  # a request of its own is under way
            self.wake(key)
            return
        incarnation, busy = self.incarnation, self._busy
        busy.add(key)
        try:
            self._look(key)
        except Crash:
            if self.is_running(incarnation):
                self.crash()
        finally:
            busy.discard(key)

    def _look(self, key: str) -> None:
        assert self._core is not None
        began = self.world.now
        try:
            if self.cluster.server_offset_seconds() is None:  # as the answer to any request tells
                drive(self.cluster.get(NAMESPACES, None, "kube-system"))
            look = self._core.look(key)
        except Conflict:
            self._conflicts[key] += 1
            self.wake(key, 0.0 if self._conflicts[key] % 5 else _AGAIN_SECONDS)
            return
        except InvariantViolation as violation:
            self._end(key, Outcome("frozen", message=str(violation)), began)
            return
        except NotFound:
            self.wake(key, _AGAIN_SECONDS)
            return
        except RolloutError as error:
            text = f"{type(error).__name__}: {error}"
            self._end(key, Outcome("failed", message=text), began)
            self.wake(key, _AGAIN_SECONDS)
            return
        if look.has_written:
            self.wake(key)
            return
        self._end(key, Outcome("settled", wake_at=look.wake_at), began)
        if look.wake_at is not None and key not in self._due:
            self.wake(key, max(look.wake_at - self.clock.now(), 0.0))

    def _end(self, key: str, outcome: Outcome, began: float) -> None:
        self._looker.reconciled(self, key, outcome, self.world.now - began)
