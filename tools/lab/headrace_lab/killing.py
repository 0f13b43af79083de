"""Kills a service again and again, at exact points of what it says to the API server and broker.

The proxies hold the message that makes the point, the process dies, and the message goes nowhere
(a request) or has had its effect (an answer). So no hook in the services is needed.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from headrace_lab.errors import LabError
from headrace_lab.proxy import Exchange, FaultProxy, Hold, Match, Phase, matching
from headrace_lab.services import LabService

WRITES: Final = ("POST", "PATCH", "PUT", "DELETE")
PASSED_MAX: Final = 3
"""Messages that a kill by chance lets pass at most before it takes one."""
HIT_SECONDS: Final = 90.0
"""How long a named point is waited for."""
POLL_SECONDS: Final = 0.01
READY_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class KillPoint:
    """Where a service is killed.

    Attributes:
        name: For the report; a named point must be hit.
        where: On the way to the API server or to the broker.
        match: The message that makes the point.
        phase: Before the message is passed on, or after it has been done.
    """

    name: str
    where: Literal["api", "bus"]
    match: Match
    phase: Phase


@dataclass(slots=True)
class Killer:
    """Kills one service, and starts it again each time.

    Attributes:
        service: Already started, with the addresses of the proxies.
        api: Between the service and the API server.
        bus: Between the service and the broker.
        rng: Decides about points that have no name.
        idle_seconds: How long after a service is ready a kill by chance waits for a message; then
            it is killed while it does nothing. Longer than it takes to get the Leases.
        hits: Names of the points that were hit, in order.
    """

    service: LabService
    api: FaultProxy
    bus: FaultProxy
    rng: random.Random
    idle_seconds: float
    hits: list[str] = field(default_factory=list)
    _thread: threading.Thread | None = None
    _errors: list[LabError] = field(default_factory=list)

    def begin(self, points: Sequence[KillPoint], by_chance: int) -> None:
        """Kill at all of some points, whenever each comes, and so many times by chance.

        Returns at once; `wait` ends the section.
        """
        pending = {point: self._hold(point) for point in points}
        self._thread = threading.Thread(
            target=self._kill_all, args=(pending, by_chance), name=f"kill-{self.service.name}"
        )
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Return when the section's kills are done.

        Raises:
            LabError: A named point was not hit.
        """
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive():
                raise LabError(f"{self.service.name} was killed only at {self.hits}")
        if self._errors:
            raise self._errors[0]

    def _kill_all(self, pending: dict[KillPoint, Hold], by_chance: int) -> None:
        try:
            while pending or by_chance:
                if by_chance:
                    by_chance -= 1
                    self._kill_by_chance(pending)
                else:
                    self._kill_at_any(pending)
                self.service.start()
        except LabError as error:
            self._errors.append(LabError(f"{self.service.name}, hit {self.hits}: {error}"))

    def _kill_by_chance(self, pending: dict[KillPoint, Hold]) -> None:
        """Kill at a message of some kind, or after a while; named points come first."""
        point = self._point_by_chance(pending)
        hold = self._hold(point)
        self._wait_while_idle(lambda: hold.is_reached or bool(_reached(pending)))
        while _reached(pending):
            self._kill_at_any(pending)
            self.service.start()
            self._wait_while_idle(lambda: hold.is_reached or bool(_reached(pending)))
        self._kill(point.name if hold.is_reached else "while idle", [hold])

    def _wait_while_idle(self, is_over: Callable[[], bool]) -> None:
        """Wait, but not for long once the service could have done something."""
        ready_at: float | None = None
        while not is_over():
            now = time.monotonic()
            if ready_at is None and self.service.is_ready():
                ready_at = now
            if ready_at is not None and now >= ready_at + self.idle_seconds:
                return
            time.sleep(POLL_SECONDS if ready_at is not None else READY_POLL_SECONDS)

    def _kill_at_any(self, pending: dict[KillPoint, Hold]) -> None:
        """Kill at the named points that are reached, or at the first that is."""
        deadline = time.monotonic() + HIT_SECONDS
        while not (points := _reached(pending)):
            if time.monotonic() >= deadline:
                raise LabError(f"never came to {', '.join(point.name for point in pending)}")
            time.sleep(POLL_SECONDS)
        holds = [pending.pop(point) for point in points]
        self._kill(", ".join(point.name for point in points), holds)

    def _kill(self, name: str, holds: Sequence[Hold]) -> None:
        self.service.kill()
        for hold in holds:
            hold.drop()
        self.hits.append(name)

    def _hold(self, point: KillPoint) -> Hold:
        proxy = self.api if point.where == "api" else self.bus
        return proxy.hold(point.match, point.phase)

    def _point_by_chance(self, pending: Collection[KillPoint]) -> KillPoint:
        """Return a point at one of the next messages that are no named point's."""
        chosen = self.rng.choice(BY_CHANCE)
        left = self.rng.randint(0, PASSED_MAX)

        def match(exchange: Exchange) -> bool:
            nonlocal left
            if not chosen.match(exchange) or any(point.match(exchange) for point in pending):
                return False
            left -= 1
            return left < 0

        return replace(chosen, match=match)


def _reached(pending: dict[KillPoint, Hold]) -> list[KillPoint]:
    return [point for point, hold in pending.items() if hold.is_reached]


def _is_write(exchange: Exchange) -> bool:
    return exchange.kind in WRITES and "/leases" not in exchange.target


BY_CHANCE: Final = (
    KillPoint("before a write", "api", _is_write, Phase.REQUEST),
    KillPoint("after a write", "api", _is_write, Phase.ANSWER),
    KillPoint("before an event", "bus", matching(kind="Produce"), Phase.REQUEST),
    KillPoint("after an event", "bus", matching(kind="Produce"), Phase.ANSWER),
)
