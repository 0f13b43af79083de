"""Kills a service again and again, at exact points of what it says to the API server and broker.

The proxies hold the message that makes the point, the process dies, and the message goes nowhere
(a request) or has had its effect (an answer). So no hook in the services is needed.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from headrace_lab.errors import LabError
from headrace_lab.proxy import Exchange, FaultProxy, Hold, Match, Phase, matching
from headrace_lab.services import LabService

WRITES: Final = ("POST", "PATCH", "PUT", "DELETE")
PAUSE_SECONDS: Final = (2.0, 4.0)
"""How long a kill by chance waits for its message."""
HIT_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.02


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
        hits: Names of the points that were hit, in order.
    """

    service: LabService
    api: FaultProxy
    bus: FaultProxy
    rng: random.Random
    hits: list[str] = field(default_factory=list)
    _thread: threading.Thread | None = None
    _errors: list[LabError] = field(default_factory=list)

    def begin(self, points: Sequence[KillPoint], by_chance: int) -> None:
        """Kill at all of some points, in their order, then so many times by chance.

        Returns at once; `wait` ends the section.
        """
        holds = [self._hold(point) for point in points[:1]]
        self._thread = threading.Thread(
            target=self._kill_all, args=(points, holds, by_chance), name=f"kill-{self.service.name}"
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

    def _kill_all(self, points: Sequence[KillPoint], holds: Sequence[Hold], by_chance: int) -> None:
        try:
            for number, point in enumerate(points):
                hold = holds[0]
                hold.wait(HIT_SECONDS)
                self._kill(point.name, hold)
                # Before the start, since the first thing that it does may be the point.
                holds = [self._hold(after) for after in points[number + 1 : number + 2]]
                self.service.start()
            for _ in range(by_chance):
                self._kill_by_chance()
                self.service.start()
        except LabError as error:
            self._errors.append(LabError(f"{self.service.name}, hit {self.hits}: {error}"))

    def _kill_by_chance(self) -> None:
        """Kill at the next message of some kind, or after a while when there is none."""
        point = self.rng.choice(BY_CHANCE)
        hold = self._hold(point)
        deadline = time.monotonic() + self.rng.uniform(*PAUSE_SECONDS)
        while not hold.is_reached and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self._kill(point.name if hold.is_reached else "while idle", hold)

    def _kill(self, name: str, hold: Hold) -> None:
        self.service.kill()
        hold.drop()
        self.hits.append(name)

    def _hold(self, point: KillPoint) -> Hold:
        proxy = self.api if point.where == "api" else self.bus
        return proxy.hold(point.match, point.phase)


def _is_write(exchange: Exchange) -> bool:
    return exchange.kind in WRITES and "/leases" not in exchange.target


BY_CHANCE: Final = (
    KillPoint("before a write", "api", _is_write, Phase.REQUEST),
    KillPoint("after a write", "api", _is_write, Phase.ANSWER),
    KillPoint("before an event", "bus", matching(kind="Produce"), Phase.REQUEST),
    KillPoint("after an event", "bus", matching(kind="Produce"), Phase.ANSWER),
)
