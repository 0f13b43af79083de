"""The life of a service process: start in order, run, end in the opposite order.

The composition root lists the parts; this module starts them one after the other (each when the
one before is ready), answers what is missing until then, and ends them in reverse on a signal or
when one fails: queues stop and running reconciles finish, then the Leases are released, then the
bus is flushed, then connections close. So nothing is written after its Lease was given away.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
import uvloop

from headrace.backoff import Backoff
from headrace.errors import RolloutError, TransientError
from headrace.runtime.ownership import Ownership
from headrace.runtime.reconciler import PlanT, Reconciler
from headrace.runtime.reflector import Reflector
from headrace.runtime.workqueue import WorkQueue

log = structlog.get_logger(__name__)

_CHECK_AGAIN: Final = Backoff(first_seconds=0.5, seconds_max=10.0)
_CLOSE_RATIO: Final = 0.25
"""Part of the grace period that is kept for closing, whatever stopping took."""

_PARTS: Final = "the parts of the service"

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

Hook = Callable[[], Awaitable[None]]
Check = Callable[[], Awaitable[str]]
"""Returns what is missing, in words, or an empty text; is asked again until then."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a service that lives as long as the service.

    Attributes:
        name: For logs and `/readyz`.
        start: Awaited first; an error ends the service.
        run: Lives until cancelled or stopped; an error or an early end ends the service.
        ready: Returns when the next part may start.
        stop: Asks `run` to finish what it has begun; returns when it has.
        close: Awaited last, when `run` has ended.
    """

    name: str
    start: Hook | None = None
    run: Callable[[], Coroutine[Any, Any, None]] | None = None
    ready: Hook | None = None
    stop: Hook | None = None
    close: Hook | None = None


class PartEnded(Exception):
    """A part ended by itself though the service was to go on."""


class Service:
    """Runs parts until a signal, or until one of them fails.

    Args:
        name: As `rollout-controller`.
        base: What is there before the checks: HTTP endpoints, connections.
        parts: The work; started when the checks have passed. A function is called then, for parts
            that need what the checks found.
        checks: Must all pass first. One that is not passed is asked again and shown in `/readyz`.
        grace_seconds: For the orderly end.
    """

    def __init__(
        self,
        name: str,
        *,
        base: Sequence[Part] = (),
        parts: Sequence[Part] | Callable[[], Sequence[Part]] = (),
        checks: Sequence[Check] = (),
        grace_seconds: float = 20.0,
    ) -> None:
        self._name = name
        self._base = tuple(base)
        self._parts = parts if callable(parts) else tuple(parts)
        self._checks = tuple(checks)
        self._grace_seconds = grace_seconds
        self._stopping = asyncio.Event()
        self._deadline = 0.0
        self._failure: BaseException | None = None
        known = self._base if callable(self._parts) else (*self._base, *self._parts)
        self._waiting_for = [part.name for part in known]
        if callable(self._parts):
            self._waiting_for.append(_PARTS)
        self._missing = ""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._patience: asyncio.Timeout | None = None

    def missing(self) -> list[str]:
        """Return what is missing for being ready, in words; empty when ready."""
        if self._stopping.is_set():
            return ["the end of the shutdown"]
        return [self._missing, *self._waiting_for] if self._missing else list(self._waiting_for)

    def stop(self) -> None:
        """Begin the orderly end; called again, end without patience."""
        if not self._stopping.is_set():
            log.info("service stopping", service=self._name)
            self._begin_end()
            return
        self._deadline = asyncio.get_running_loop().time()
        if self._patience is not None:
            self._patience.reschedule(self._deadline)

    async def run(self) -> None:
        """Live until `stop` or a signal. Raises what made a part fail."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            async with AsyncExitStack() as stack:
                await self._live(stack)
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        log.info("service stopped", service=self._name)
        if self._failure is not None:
            raise self._failure

    async def _live(self, stack: AsyncExitStack) -> None:
        try:
            for part in self._base:
                await self._begin(part, stack)
            await self._until_stopped(self._pass_checks())
            for part in self._made_parts():
                if self._stopping.is_set():
                    return
                await self._begin(part, stack)
            if not self._stopping.is_set():
                log.info("service ready", service=self._name)
            await self._stopping.wait()
        finally:
            self._begin_end()

    def _made_parts(self) -> Sequence[Part]:
        if not callable(self._parts):
            return self._parts
        parts = self._parts()
        self._waiting_for.remove(_PARTS)
        self._waiting_for.extend(part.name for part in parts)
        return parts

    def _begin_end(self) -> None:
        if not self._stopping.is_set():
            self._deadline = asyncio.get_running_loop().time() + self._grace_seconds
            self._stopping.set()

    async def _begin(self, part: Part, stack: AsyncExitStack) -> None:
        stack.push_async_callback(self._end, part)
        if part.start is not None:
            await self._until_stopped(part.start())
        if part.run is not None and not self._stopping.is_set():
            task = asyncio.create_task(part.run(), name=part.name)
            task.add_done_callback(self._note_end)
            self._tasks[part.name] = task
        if part.ready is not None:
            await self._until_stopped(part.ready())
        self._waiting_for.remove(part.name)

    async def _end(self, part: Part) -> None:
        task = self._tasks.pop(part.name, None)
        if part.stop is not None and task is not None and not task.done():
            reserve = self._grace_seconds * _CLOSE_RATIO
            await self._within(part, "stop", part.stop(), self._deadline - reserve)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        if part.close is not None:
            await self._within(part, "close", part.close(), self._deadline)

    async def _within(self, part: Part, verb: str, hook: Awaitable[None], deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline) as self._patience:
                await hook
        except TimeoutError:
            log.warning("part not ended in time", part=part.name, hook=verb)
        finally:
            self._patience = None

    async def _until_stopped(self, work: Awaitable[None]) -> None:
        """Await `work`, but not longer than until the service stops."""
        task = asyncio.ensure_future(work)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            stopping.cancel()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(task, stopping, return_exceptions=True)

    async def _pass_checks(self) -> None:
        for check in self._checks:
            failures = 0
            while missing := await _ask(check):
                if missing != self._missing:
                    log.error("service cannot start yet", service=self._name, missing=missing)
                self._missing = missing
                failures += 1
                await asyncio.sleep(_CHECK_AGAIN.delay_seconds(failures))
            self._missing = ""

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is None and self._stopping.is_set():
            return
        failure = error or PartEnded(f"{task.get_name()} ended by itself")
        log.error("part failed", part=task.get_name(), error=_text(failure), exc_info=error)
        if self._failure is None:
            self._failure = failure
        self._begin_end()


def queue_part(
    name: str, reconciler: Reconciler[Any, PlanT], queue: WorkQueue, workers: int
) -> Part:
    """Return the part that reconciles the keys of a queue."""

    async def stop() -> None:
        queue.close()
        await queue.drained()

    return Part(name, run=lambda: reconciler.run(queue, workers), stop=stop)


def ownership_part(ownership: Ownership) -> Part:
    """Return the part that keeps the Leases and releases them at the end."""
    return Part("leases", start=ownership.check, run=ownership.run, close=ownership.release)


def caches_part(reflectors: Sequence[Reflector]) -> Part:
    """Return the part that fills the caches; ready when all are warm."""

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for reflector in reflectors:
                group.create_task(reflector.run())

    async def ready() -> None:
        for reflector in reflectors:
            await reflector.wait_synced()

    return Part("caches", run=run, ready=ready)


def run_process(main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run a service's coroutine on a new event loop; return the exit status, 0 or 1.

    Errors that Headrace or the system raises are told in one line; others are bugs and leave
    with their traceback.
    """
    status = 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(main())
        except* (RolloutError, PartEnded, OSError) as errors:
            log.critical("service failed", error=_text(errors))
            status = 1
        except* KeyboardInterrupt:
            status = 1
    return status


async def _ask(check: Check) -> str:
    try:
        return await check()
    except TransientError as error:
        return f"an answer to {getattr(check, '__name__', 'a check')}: {error}"


def _text(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_text(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"
