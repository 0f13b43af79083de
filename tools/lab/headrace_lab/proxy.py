"""Fault proxies: between one service and the API server, or one service and the broker.

A test holds a message (a request before it is forwarded, or its answer before it is passed back),
does something to the service, and lets go. So a service can be killed at an exact point of its
work without a hook in its code.

A proxy runs on a thread of its own with its own event loop; whoever uses it may block or await.
"""

from __future__ import annotations

import asyncio
import re
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from headrace_lab.errors import LabError

START_SECONDS: Final = 10.0
EXCHANGES_KEPT: Final = 5000


class Phase(StrEnum):
    """Where a rule acts."""

    REQUEST = "request"
    ANSWER = "answer"


class Verdict(StrEnum):
    """What becomes of a message."""

    FORWARD = "forward"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and its answer when there is one.

    Attributes:
        kind: The HTTP method, or the name of Kafka's request (`Produce`).
        target: The HTTP path with its query, or the topics of a `Produce`, joined by spaces.
        body: The HTTP body, or the whole Kafka request.
        status: The HTTP status; None before the answer, and for Kafka.
        answer: The answer's body; empty for watches.
    """

    kind: str
    target: str
    body: bytes
    status: int | None = None
    answer: bytes = b""


Match = Callable[[Exchange], bool]


def matching(
    *, kind: str | None = None, target: str | None = None, contains: str | bytes = b""
) -> Match:
    """Return a predicate over exchanges.

    Args:
        kind: The exact kind; None matches all.
        target: A regular expression that is searched for in the target.
        contains: What the request's body must contain.
    """
    pattern = re.compile(target) if target is not None else None
    part = contains.encode() if isinstance(contains, str) else contains

    def match(exchange: Exchange) -> bool:
        return (
            (kind is None or exchange.kind == kind)
            and (pattern is None or pattern.search(exchange.target) is not None)
            and part in exchange.body
        )

    return match


class Rule:
    """What shall happen to messages that match; made by a proxy's methods."""

    def __init__(self, match: Match, phase: Phase, times: int | None) -> None:
        self._match = match
        self._phase = phase
        self._times = times
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """Let the rule match no further message."""
        with self._lock:
            self._times = 0

    def takes(self, exchange: Exchange, phase: Phase) -> bool:
        """Say whether the rule applies to a message now, and count it if so."""
        if phase is not self._phase or not self._match(exchange):
            return False
        with self._lock:
            if self._times is None:
                return True
            if self._times == 0:
                return False
            self._times -= 1
            return True

    async def apply(self, exchange: Exchange) -> Verdict:
        """Return what becomes of the message, after whatever time the rule takes."""
        raise NotImplementedError


class Drop(Rule):
    """Cuts the connection instead of passing the message."""

    async def apply(self, exchange: Exchange) -> Verdict:
        """Drop it."""
        return Verdict.DROP


class Delay(Rule):
    """Passes the message later."""

    def __init__(self, match: Match, phase: Phase, times: int | None, seconds: float) -> None:
        super().__init__(match, phase, times)
        self._seconds = seconds

    async def apply(self, exchange: Exchange) -> Verdict:
        """Wait, then forward."""
        await asyncio.sleep(self._seconds)
        return Verdict.FORWARD


class Hold(Rule):
    """Keeps the first message that matches until it is released or dropped."""

    def __init__(self, match: Match, phase: Phase) -> None:
        super().__init__(match, phase, times=1)
        self._held: Future[Exchange] = Future()
        self._verdict: Future[Verdict] = Future()

    @property
    def is_reached(self) -> bool:
        """Whether a message has been held."""
        return self._held.done()

    def wait(self, timeout_seconds: float) -> Exchange:
        """Block until a message is held, and return it.

        Raises:
            LabError: None came in time.
        """
        try:
            return self._held.result(timeout_seconds)
        except TimeoutError as error:
            raise LabError(f"no message to hold came in {timeout_seconds:.0f} s") from error

    async def reached(self, timeout_seconds: float) -> Exchange:
        """Await that a message is held, and return it.

        Raises:
            LabError: None came in time.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await asyncio.shield(asyncio.wrap_future(self._held))
        except TimeoutError as error:
            raise LabError(f"no message to hold came in {timeout_seconds:.0f} s") from error

    def release(self) -> None:
        """Pass the message on, if both sides are still there; hold nothing from now on."""
        self._decide(Verdict.FORWARD)

    def drop(self) -> None:
        """Cut the connection instead of passing the message; hold nothing from now on."""
        self._decide(Verdict.DROP)

    async def apply(self, exchange: Exchange) -> Verdict:
        """Tell that the message is held, and wait for the verdict."""
        self._held.set_result(exchange)
        return await asyncio.shield(asyncio.wrap_future(self._verdict))

    def _decide(self, verdict: Verdict) -> None:
        self.cancel()
        if not self._verdict.done():
            self._verdict.set_result(verdict)


class FaultProxy(ABC):
    """A server on loopback that passes messages on, but for what its rules say.

    Attributes:
        port: Where it listens.
        passable: For the subclasses: awaited before anything is passed.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._rules: list[Rule] = []
        self._exchanges: deque[Exchange] = deque(maxlen=EXCHANGES_KEPT)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.AbstractServer | None = None
        self._stopped: asyncio.Event | None = None
        self.passable = asyncio.Event()
        self.passable.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to listen; returns when it does."""
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started)), name=f"proxy-{self.port}", daemon=True
        )
        self._thread.start()
        started.result(START_SECONDS)

    def close(self) -> None:
        """Cut everything and end; twice is as good as once."""
        if self._thread is None:
            return
        for rule in self._snapshot():
            if isinstance(rule, Hold):
                rule.drop()
        loop, stopped = self._loop, self._stopped
        if loop is not None and stopped is not None:
            loop.call_soon_threadsafe(stopped.set)
        self._thread.join(START_SECONDS)
        self._thread = None

    # Rules

    def hold(self, match: Match, phase: Phase = Phase.REQUEST) -> Hold:
        """Hold the first message that matches from now on."""
        hold = Hold(match, phase)
        self._add(hold)
        return hold

    def drop(self, match: Match, phase: Phase = Phase.REQUEST, times: int | None = None) -> Rule:
        """Cut the connection when a message matches, so many times or until cancelled."""
        rule = Drop(match, phase, times)
        self._add(rule)
        return rule

    def delay(
        self,
        match: Match,
        seconds: float,
        phase: Phase = Phase.REQUEST,
        times: int | None = None,
    ) -> Rule:
        """Pass messages that match later, so many times or until cancelled."""
        rule = Delay(match, phase, times, seconds)
        self._add(rule)
        return rule

    def partition(self) -> None:
        """Cut all connections and refuse new ones until `heal`."""
        self._call(self._partition())

    def stall(self) -> None:
        """Pass nothing until `heal`, and leave all connections open, as a silent network does."""
        self._call(self._set_passable(passable=False))

    def heal(self) -> None:
        """Accept connections again, and let everything pass."""
        self._call(self._set_passable(passable=True))
        self._call(self._listen())

    # What passed

    def exchanges(self, match: Match | None = None) -> list[Exchange]:
        """Return the last exchanges that ended and match, oldest first."""
        with self._lock:
            kept = list(self._exchanges)
        return [exchange for exchange in kept if match is None or match(exchange)]

    def count(self, match: Match | None = None) -> int:
        """Return how many of the last exchanges match."""
        return len(self.exchanges(match))

    # For the subclasses

    async def judge(self, exchange: Exchange, phase: Phase) -> Verdict:
        """Apply the first rule that takes the message, once anything passes at all."""
        await self.passable.wait()
        for rule in self._snapshot():
            if rule.takes(exchange, phase):
                return await rule.apply(exchange)
        return Verdict.FORWARD

    def record(self, exchange: Exchange) -> None:
        """Remember an exchange that ended."""
        with self._lock:
            self._exchanges.append(exchange)

    @abstractmethod
    async def open(self) -> None:
        """Make what serving needs, on the proxy's loop."""

    @abstractmethod
    async def listen(self) -> asyncio.AbstractServer:
        """Begin to listen on the port."""

    @abstractmethod
    def cut(self) -> None:
        """Abort all connections of clients."""

    @abstractmethod
    async def shut(self) -> None:
        """Close what `open` made."""

    # Inside

    async def _run(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        try:
            await self.open()
            await self._listen()
        except OSError as error:
            started.set_exception(LabError(f"the proxy on port {self.port}: {error}"))
            return
        started.set_result(None)
        await self._stopped.wait()
        await self._partition()
        await self.shut()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await self.listen()

    async def _set_passable(self, *, passable: bool) -> None:
        if passable:
            self.passable.set()
        else:
            self.passable.clear()

    async def _partition(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def _call(self, coroutine: object) -> None:
        assert self._loop is not None, "the proxy is started"
        assert asyncio.iscoroutine(coroutine)
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_SECONDS)

    def _add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def _snapshot(self) -> list[Rule]:
        with self._lock:
            return list(self._rules)


def abort(transport: asyncio.BaseTransport | None) -> None:
    """Cut a connection at once, as a crash would."""
    if isinstance(transport, asyncio.WriteTransport):
        with suppress(OSError):
            transport.abort()
