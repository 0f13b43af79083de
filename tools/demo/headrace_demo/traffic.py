"""Simulated users: a steady stream of requests, each routed and answered by itself."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock
from headrace_demo.mesh import Destination, Mesh, Pod
from headrace_demo.workload import GOOD, Workload
from headrace_lab.load_report import NO_VERSION, Report

RATE: Final = 400.0
"""Requests per second: enough that two seconds tell 10 % from 33 %."""

_TICK_SECONDS: Final = 0.05
_KEPT_SECONDS: Final = 60.0

_OK, _ERROR, _NOBODY = 200, 500, 503


class Response(NamedTuple):
    """Who answered a request, and how.

    Attributes:
        version: Of the pod; NO_VERSION when there was none.
        labels: Of the pod when it answered, sorted.
    """

    version: str
    labels: tuple[tuple[str, str], ...]
    status: int


@dataclass(frozen=True, slots=True)
class Tick:
    """What became of the requests of a short time."""

    at: Instant
    responses: Counter[Response]


class Traffic:
    """The requests to the root Service of an application, and what became of them.

    Args:
        mesh: Says where they go.
        root: The Service that users call.
        workload: How versions behave.
        clock: Paces them.
        rng: Draws destination, pod and outcome of each request.
    """

    def __init__(
        self, mesh: Mesh, root: str, workload: Workload, clock: Clock, rng: random.Random
    ) -> None:
        self._mesh = mesh
        self._root = root
        self._workload = workload
        self._clock = clock
        self._rng = rng
        self._ticks: deque[Tick] = deque()
        self._counts: Counter[tuple[str, int]] = Counter()
        self._started_at = clock.now()

    async def run(self) -> None:
        """Send requests until cancelled."""
        sent_until = self._clock.monotonic()
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            count = int((self._clock.monotonic() - sent_until) * RATE)
            sent_until += count / RATE
            self._note(self._answers(await self._mesh.destinations(self._root), count))

    def report(self, since: Instant | None = None) -> Report:
        """Return what became of all requests, or of those since a moment of the last minute."""
        now = self._clock.now()
        if since is None:
            return Report(0.0, now - self._started_at, dict(self._counts))
        counts: Counter[tuple[str, int]] = Counter()
        for tick in self.ticks(since):
            counts.update(_by_version(tick.responses))
        return Report(since - self._started_at, now - since, counts)

    def ticks(self, since: Instant) -> Iterator[Tick]:
        """Yield what was answered after a moment of the last minute, newest first."""
        for tick in reversed(self._ticks):
            if tick.at <= since:
                return
            yield tick

    def _answers(self, destinations: Sequence[Destination], count: int) -> Iterable[Response]:
        weights = [each.weight for each in destinations]
        if not any(weights):
            return [Response(NO_VERSION, (), _NOBODY)] * count
        chosen = self._rng.choices(destinations, weights, k=count)
        return [self._answer(destination.pods) for destination in chosen]

    def _answer(self, pods: Sequence[Pod]) -> Response:
        if not pods:
            return Response(NO_VERSION, (), _NOBODY)
        pod = self._rng.choice(pods)
        fails = self._rng.random() < self._workload.get(pod.version, GOOD)
        return Response(pod.version, tuple(sorted(pod.labels.items())), _ERROR if fails else _OK)

    def _note(self, responses: Iterable[Response]) -> None:
        now = self._clock.now()
        tick = Tick(now, Counter(responses))
        self._ticks.append(tick)
        self._counts.update(_by_version(tick.responses))
        while self._ticks[0].at < now - _KEPT_SECONDS:
            self._ticks.popleft()


def _by_version(responses: Counter[Response]) -> Counter[tuple[str, int]]:
    counts: Counter[tuple[str, int]] = Counter()
    for response, count in responses.items():
        counts[response.version, response.status] += count
    return counts
