"""The world: one seed, one clock, one agenda, one API server, one broker.

Nothing here runs on an event loop. What shall happen stands in a heap of (due, sequence); `step`
takes the next. A request of a node lets time pass before it is served, in which others act: so
the effects of one pass are interleaved with the rest of the world, though every coroutine is
driven in one go.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from headrace.kubernetes.resources import NAMESPACES
from headrace.runtime.cluster_memory import (
    MemoryCluster,
    MemoryClusterSettings,
    PodBehaviour,
    Request,
)
from headrace.runtime.cluster_memory.objects import Change, Objects
from headrace_sandbox.clock import WorldClock
from headrace_sandbox.faults import Fault, FaultPlan, Faults
from headrace_sandbox.story import Story

_DEPTH_MAX: Final = 3
"""How many requests may be under way inside each other."""

_STEPS_MAX: Final = 2_000_000
"""A world that does not end is a bug of the simulator or a busy loop of Headrace."""


class Overrun(Exception):
    """The world did so much in so little time that somebody must be spinning."""


class Actor(Protocol):
    """Whose action it is: it may be dead or frozen when the action is due."""

    incarnation: int
    frozen_until: float


@dataclass(slots=True)
class Appointment:
    """Something that shall happen; also the timer that can cancel it."""

    action: Callable[[], None]
    actor: Actor | None = None
    incarnation: int = 0
    is_cancelled: bool = False

    def cancel(self) -> None:
        """Let it not happen."""
        self.is_cancelled = True


@dataclass(frozen=True, slots=True)
class Write:
    """A committed change, and who made it.

    Attributes:
        identity: Name of the client; empty for the cluster's own controllers and pods.
        request: What was asked; None for the cluster's own.
    """

    change: Change
    identity: str
    request: Request | None


class Watcher(Protocol):
    """Follows what happens in the world: checkers and nodes."""

    def written(self, write: Write) -> None:
        """Hear of a committed change, at once."""
        ...


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """How a world is made.

    Attributes:
        seed: Everything random comes from it.
        plan: What goes wrong by chance.
        script: Exactly what goes wrong, instead of chance.
        is_told: Whether a story is kept.
        pod_ready_seconds: How long a pod takes to become Ready.
    """

    seed: int
    plan: FaultPlan = field(default_factory=FaultPlan)
    script: tuple[Fault, ...] | None = None
    is_told: bool = True
    pod_ready_seconds: float = 1.0


class World:
    """Everything there is in one run.

    Attributes:
        clock: The true time.
        cluster: The API server, its controllers and pods.
        faults: What goes wrong.
        story: What happened.
        steps: Appointments kept so far.
    """

    def __init__(self, settings: WorldSettings) -> None:
        self._settings = settings
        self.clock = WorldClock()
        self.began = self.clock.time
        self.faults = Faults(settings.plan, self.stream("faults"), settings.script)
        self.story = Story(is_kept=settings.is_told)
        self.steps = 0
        self._heap: list[tuple[float, int, Appointment]] = []
        self._sequence = 0
        self._depth = 0
        self._watchers: list[Watcher] = []
        self._request: Request | None = None
        self._is_cluster_due = False
        self.api_down_until = 0.0
        self.cluster = MemoryCluster(
            self.clock, MemoryClusterSettings(pod_ready_seconds=settings.pod_ready_seconds)
        )
        self.cluster.intercept = self._admit
        self._streams: dict[str, Random] = {}
        self.objects.observe(self._changed)
        home = self.objects.get(NAMESPACES, None, "kube-system")
        self.source = home.uid
        self._rouse_cluster()

    # Chance

    def stream(self, name: str) -> Random:
        """Return a source of random numbers of its own for a place; derived from the seed.

        Places draw from their own streams, so that a fault less changes what others draw as
        little as possible.
        """
        return Random(f"{self._settings.seed}/{name}")

    # Time

    @property
    def now(self) -> float:
        """The true time."""
        return self.clock.time

    def after(
        self, seconds: float, action: Callable[[], None], actor: Actor | None = None
    ) -> Appointment:
        """Let something happen later; of an actor, unless it dies before."""
        incarnation = actor.incarnation if actor is not None else 0
        appointment = Appointment(action, actor, incarnation)
        self._push(self.now + max(seconds, 0.0), appointment)
        return appointment

    def step(self) -> bool:
        """Keep the next appointment; return False when there is none."""
        if not self._heap:
            return False
        due, _, appointment = heapq.heappop(self._heap)
        self.clock.time = max(self.clock.time, due)
        self._keep(appointment)
        return True

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; return True as soon as `until` holds, asked after every step."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.step()
            if until is not None and until():
                return True
        self.clock.time = max(self.clock.time, end)
        return until is not None and until()

    def pass_time(self, seconds: float) -> None:
        """Let others act while a request is under way."""
        if self._depth >= _DEPTH_MAX:
            return
        request, self._request = self._request, None
        self._depth += 1
        end = self.now + seconds
        try:
            while self._heap and self._heap[0][0] <= end:
                self.step()
        finally:
            self._depth -= 1
            self._request = request
        self.clock.time = max(self.clock.time, end)

    def _push(self, due: float, appointment: Appointment) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (due, self._sequence, appointment))

    def _keep(self, appointment: Appointment) -> None:
        self.steps += 1
        if self.steps > _STEPS_MAX:
            raise Overrun(f"{self.steps} steps")
        actor = appointment.actor
        if appointment.is_cancelled:
            return
        if actor is not None:
            if actor.incarnation != appointment.incarnation:
                return
            if actor.frozen_until > self.now:
                self._push(actor.frozen_until, appointment)
                return
        appointment.action()

    # The API server

    @property
    def objects(self) -> Objects:
        """The stored objects, for checkers: not to be changed."""
        return self.cluster.objects

    @property
    def is_api_down(self) -> bool:
        """Whether the API server answers nobody."""
        return self.now < self.api_down_until

    def behave(self, image: str, behaviour: PodBehaviour) -> None:
        """Let pods with a matching image behave so from now on, running ones too."""
        self.cluster.behave(image, behaviour)
        self._rouse_cluster()

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` every committed change."""
        self._watchers.append(watcher)

    def tell(self, who: str, what: str, **facts: object) -> None:
        """Add a line to the story."""
        self.story.tell(self.now, who, what, **facts)

    def _admit(self, request: Request) -> None:
        self._request = request

    def _changed(self, change: Change) -> None:
        request = self._request
        write = Write(change, request.identity if request else "", request)
        due = self.cluster.wake_at()  # whoever minds the change has put it on its agenda
        if due is not None and due <= self.now:
            self._rouse_cluster()
        for watcher in self._watchers:
            watcher.written(write)

    def _rouse_cluster(self) -> None:
        """Let the cluster's own controllers act soon, and again when something is due there."""
        if not self._is_cluster_due:
            self._is_cluster_due = True
            self.after(0.01, self._step_cluster)

    def _step_cluster(self) -> None:
        self._is_cluster_due = True  # by its own writes, which it deals with
        self._request = None
        self.cluster.step()
        self._is_cluster_due = False
        wake_at = self.cluster.wake_at()
        if wake_at is not None:
            self.after(wake_at - self.now, self._rouse_cluster)


def names(values: Iterable[object]) -> str:
    """Return values as one line of text."""
    return ", ".join(str(value) for value in values)
