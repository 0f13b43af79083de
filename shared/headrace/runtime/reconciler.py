"""The loop of every service: gather, decide, check, act, sleep until the plan's time.

Generic over a `Shell`, which holds the service's pure core and its effects. The reconciler
decides nothing: it turns errors into retries, stops what must not go on, and paces the passes.
`process` awaits nothing but the shell, so that a simulator can drive it without an event loop;
`run` adds the workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Literal, Protocol, TypeVar

import structlog

from headrace.errors import (
    Conflict,
    InvariantViolation,
    LostOwnership,
    NotFound,
    RolloutError,
    TransientError,
)
from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock
from headrace.runtime.workqueue import WorkQueue

log = structlog.get_logger(__name__)

PASSES_MAX: Final = 10
"""Passes over one key that wrote something, before other keys get their turn."""

CONFLICTS_MAX: Final = 5
"""Passes over one key that met a 409, before it waits. Source: architecture, "Writes"."""

_PAUSE_SECONDS_MIN: Final = 0.01
"""A plan that wrote nothing and wants to wake in the past would spin; it waits this long."""


_VANISHED_SECONDS: Final = 5.0
"""When to look again after a 404, for kinds of objects that no watch tells about."""


class Plan(Protocol):
    """What the reconciler reads of a plan."""

    @property
    def wake_at(self) -> Instant | None:
        """When to look again without an event; None when only an event can change anything."""
        ...


ObservedT = TypeVar("ObservedT")
PlanT = TypeVar("PlanT", bound=Plan)


class Shell(Protocol[ObservedT, PlanT]):
    """What a service gives: a snapshot, a decision, and effects."""

    async def gather(self, key: str, now: Instant) -> ObservedT | None:
        """Return everything that the decision may know; None when there is nothing to decide."""
        ...

    def decide(self, observed: ObservedT, *, now: Instant, last: PlanT | None) -> PlanT:
        """Return what shall be done. Pure.

        Args:
            observed: The snapshot.
            now: Decision time.
            last: The plan that was carried out just before, if there is one: what was decided
                together with it needs no decision.
        """
        ...

    def check(self, observed: ObservedT, plan: PlanT) -> None:
        """Return when the plan may be carried out. Pure. Raises InvariantViolation."""
        ...

    def freeze(self, observed: ObservedT, violation: str, *, now: Instant) -> PlanT | None:
        """Return what may be done instead of a plan that must not be carried out: say so."""
        ...

    async def act(self, observed: ObservedT, plan: PlanT, *, now: Instant) -> bool:
        """Carry the plan out; return True when something was written.

        Writes go through a guarded cluster port (`headrace.runtime.ownership`). An act that
        raises Conflict has put the object as it is now into its store.
        """
        ...


GatheredT = TypeVar("GatheredT", covariant=True)
ReadT = TypeVar("ReadT", contravariant=True)
DecidedT = TypeVar("DecidedT", contravariant=True)
PlannedT = TypeVar("PlannedT")


class Gatherer(Protocol[GatheredT]):
    """The shell before a core: ports to snapshot."""

    async def gather(self, key: str, now: Instant) -> GatheredT | None:
        """Return the snapshot of a key."""
        ...


class Actor(Protocol[ReadT, DecidedT]):
    """The shell behind a core: plan to port calls."""

    async def act(self, observed: ReadT, plan: DecidedT, *, now: Instant) -> bool:
        """Carry a plan out; return True when something was written."""
        ...


class Decide(Protocol[ReadT, GatheredT]):
    """A core's decision."""

    def __call__(self, observed: ReadT, *, now: Instant) -> GatheredT:
        """Return the plan. Pure."""
        ...


class Foresee(Protocol[ReadT, PlannedT]):
    """What a core's plan says of the pass after it."""

    def __call__(self, last: PlannedT, observed: ReadT, *, now: Instant) -> PlannedT | None:
        """Return the plan for the snapshot of that pass, if it was decided already. Pure."""
        ...


class Freeze(Protocol[ReadT, GatheredT]):
    """How a core says that its plan must not be carried out."""

    def __call__(self, observed: ReadT, violation: str, *, now: Instant) -> GatheredT:
        """Return the plan that says so, and does nothing else. Pure."""
        ...


class CoreShell(Generic[ObservedT, PlanT]):
    """A `Shell` put together of a service's pure core and the two shells around it."""

    def __init__(
        self,
        gatherer: Gatherer[ObservedT],
        decide: Decide[ObservedT, PlanT],
        check: Callable[[ObservedT, PlanT], None],
        actor: Actor[ObservedT, PlanT],
        freeze: Freeze[ObservedT, PlanT] | None = None,
        foresee: Foresee[ObservedT, PlanT] | None = None,
    ) -> None:
        self._gatherer = gatherer
        self._decide = decide
        self._check = check
        self._actor = actor
        self._freeze = freeze
        self._foresee = foresee

    async def gather(self, key: str, now: Instant) -> ObservedT | None:
        """Return the snapshot of a key."""
        return await self._gatherer.gather(key, now)

    def decide(self, observed: ObservedT, *, now: Instant, last: PlanT | None) -> PlanT:
        """Return the plan. Pure."""
        if self._foresee is not None and last is not None:
            foreseen = self._foresee(last, observed, now=now)
            if foreseen is not None:
                return foreseen
        return self._decide(observed, now=now)

    def check(self, observed: ObservedT, plan: PlanT) -> None:
        """Return when the plan may be carried out. Raises InvariantViolation."""
        self._check(observed, plan)

    def freeze(self, observed: ObservedT, violation: str, *, now: Instant) -> PlanT | None:
        """Return what may be done instead of a plan that must not be carried out. Pure."""
        return None if self._freeze is None else self._freeze(observed, violation, now=now)

    async def act(self, observed: ObservedT, plan: PlanT, *, now: Instant) -> bool:
        """Carry the plan out; return True when something was written."""
        return await self._actor.act(observed, plan, now=now)


class ReconcileObserver(Protocol):
    """Who is told how the passes went; the metrics implement it."""

    def reconciled(self, key: str, seconds: float, *, failed: bool) -> None:
        """Note the end of a reconcile of an object that is there and is ours."""
        ...

    def conflicted(self, key: str) -> None:
        """Note a pass that met a 409."""
        ...


class SilentObserver:
    """Tells nobody."""

    def reconciled(self, key: str, seconds: float, *, failed: bool) -> None:
        """Do nothing."""

    def conflicted(self, key: str) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the reconcile of a key ended, and what the queue shall do with the key.

    Attributes:
        kind: `settled`: nothing is left to do before `wake_at`. `busy`: it still writes, go on
            when others had their turn. `gone`: the object does not exist. `not_owned`: another
            replica's key. `failed`: with back-off. `frozen`: a plan that must not be carried
            out, with back-off.
        wake_at: Of the last plan.
        retry_after_seconds: What the other side asked for.
        message: The error's text.
    """

    kind: Literal["settled", "busy", "gone", "not_owned", "failed", "frozen"]
    wake_at: Instant | None = None
    retry_after_seconds: float | None = None
    message: str = ""

    @property
    def is_error(self) -> bool:
        """True when the reconcile counts as failed."""
        return self.kind in ("failed", "frozen")


_GONE: Final = Outcome("gone")
_NOT_OWNED: Final = Outcome("not_owned")


class Reconciler(Generic[ObservedT, PlanT]):
    """Drives a shell over the keys of a queue.

    Args:
        shell: The service.
        clock: Source of `now`.
        may_act: True while this replica's Lease for the key is held.
        observer: Told how reconciles end.
    """

    def __init__(
        self,
        shell: Shell[ObservedT, PlanT],
        clock: Clock,
        may_act: Callable[[str], bool],
        *,
        observer: ReconcileObserver | None = None,
    ) -> None:
        self._shell = shell
        self._clock = clock
        self._may_act = may_act
        self._observer = observer or SilentObserver()
        self._frozen: dict[str, str] = {}
        self._unfinished: dict[str, PlanT] = {}

    @property
    def frozen(self) -> dict[str, str]:
        """Keys whose plan must not be carried out, with the invariant that it violates."""
        return dict(self._frozen)

    def observe(self, observer: ReconcileObserver) -> None:
        """Tell `observer` from now on how reconciles end."""
        self._observer = observer

    async def process(
        self,
        key: str,
        on_look: Callable[[str], None] = lambda _: None,
        gives_way: Callable[[], bool] = lambda: False,
    ) -> Outcome:
        """Reconcile one key once; never raises but when cancelled.

        Args:
            key: What to reconcile.
            on_look: Told the key before each pass looks at the caches.
            gives_way: Asked after each pass that wrote; True when a more urgent key waits, which
                the rest of this reconcile shall not delay.
        """
        began = self._clock.monotonic()
        outcome = await self._outcome(key, on_look, gives_way)
        if not outcome.is_error:
            self._frozen.pop(key, None)
        if outcome.kind not in ("gone", "not_owned"):  # else a late timer would begin series anew
            seconds = max(self._clock.monotonic() - began, 0.0)
            self._observer.reconciled(key, seconds, failed=outcome.is_error)
        return outcome

    async def run(self, queue: WorkQueue, workers: int) -> None:
        """Process keys with so many workers until the queue is closed."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(queue))

    async def take(self, queue: WorkQueue, key: str) -> Outcome:
        """Reconcile a key that the queue handed out, and give it back."""
        outcome = _NOT_OWNED  # what a cancelled pass leaves: nothing is planned
        try:
            outcome = await self.process(key, queue.saw, lambda: queue.is_urgent)
        finally:
            self._give_back(queue, key, outcome)
        return outcome

    async def _work(self, queue: WorkQueue) -> None:
        while (key := await queue.get()) is not None:
            await self.take(queue, key)

    def _give_back(self, queue: WorkQueue, key: str, outcome: Outcome) -> None:
        match outcome.kind:
            case "settled":
                queue.done(key, wake_at=outcome.wake_at)
            case "busy":
                queue.done(key, wake_at=self._clock.now())
            case "gone" | "not_owned":
                queue.done(key)
            case "failed" | "frozen":
                queue.retry(key, after_seconds=outcome.retry_after_seconds)

    async def _outcome(
        self, key: str, on_look: Callable[[str], None], gives_way: Callable[[], bool]
    ) -> Outcome:
        try:
            return await self._passes(key, on_look, gives_way)
        except NotFound as error:
            # Something vanished meanwhile: no error (rollout-api 9), mostly an event of its own.
            log.info("object vanished in a reconcile", key=key, error=str(error))
            return Outcome("settled", wake_at=Instant(self._clock.now() + _VANISHED_SECONDS))
        except LostOwnership:
            log.info("lease lost in a reconcile", key=key)
            return _NOT_OWNED
        except InvariantViolation as error:
            return self._freeze(key, str(error))
        except TransientError as error:
            return _failed(key, error, error.retry_after_seconds)
        except RolloutError as error:
            return _failed(key, error)
        except Exception as error:  # the boundary: a bug in one key must not stop the others
            log.exception("reconcile crashed", key=key)
            return Outcome("failed", message=f"{type(error).__name__}: {error}")

    async def _passes(
        self, key: str, on_look: Callable[[str], None], gives_way: Callable[[], bool]
    ) -> Outcome:
        conflicts, last = 0, self._unfinished.pop(key, None)
        for _ in range(PASSES_MAX + CONFLICTS_MAX):
            if not self._may_act(key):
                return _NOT_OWNED
            on_look(key)
            now = self._clock.now()
            observed = await self._shell.gather(key, now)
            if observed is None:
                return _GONE
            plan = self._shell.decide(observed, now=now, last=last)
            violation = self._violation(observed, plan)
            if not self._may_act(key):
                return _NOT_OWNED
            try:
                if violation is not None:
                    await self._tell(observed, violation, now)
                    raise violation
                if not await self._shell.act(observed, plan, now=now):
                    return self._settled(plan)
                last = plan
                if gives_way():
                    break
            except Conflict:
                last = None
                self._observer.conflicted(key)
                conflicts += 1
                if conflicts > CONFLICTS_MAX:
                    raise
        if last is not None:
            self._unfinished[key] = last
        return Outcome("busy")

    def _violation(self, observed: ObservedT, plan: PlanT) -> InvariantViolation | None:
        try:
            self._shell.check(observed, plan)
        except InvariantViolation as violation:
            return violation
        return None

    async def _tell(self, observed: ObservedT, violation: InvariantViolation, now: Instant) -> None:
        plan = self._shell.freeze(observed, str(violation), now=now)
        if plan is not None:
            await self._shell.act(observed, plan, now=now)

    def _settled(self, plan: PlanT) -> Outcome:
        if plan.wake_at is None:
            return Outcome("settled")
        earliest = Instant(self._clock.now() + _PAUSE_SECONDS_MIN)
        return Outcome("settled", wake_at=max(plan.wake_at, earliest))

    def _freeze(self, key: str, message: str) -> Outcome:
        if self._frozen.get(key) != message:
            self._frozen[key] = message
            log.error("invariant violated, key frozen", key=key, invariant=message)
        return Outcome("frozen", message=message)


def _failed(key: str, error: RolloutError, retry_after_seconds: float | None = None) -> Outcome:
    kind = type(error).__name__
    log.warning("reconcile failed", key=key, error=str(error), kind=kind)
    return Outcome("failed", retry_after_seconds=retry_after_seconds, message=f"{kind}: {error}")
