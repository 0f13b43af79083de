"""Requests in the background of a test, while it blocks or waits."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from concurrent.futures import Future
from typing import Final, Self

from headrace_lab.load import Load, run
from headrace_lab.load_report import Report, merge

END_SECONDS: Final = 30.0
MESH_SECONDS: Final = 1.0
"""How soon new weights hold, on two cores that have more to do."""

SETTLE_SECONDS_MAX: Final = 20.0


class SteadyLoad:
    """Sends requests from `start` to `stop`, on a thread of its own.

    Whoever uses it may block. Reports are of whole windows of the load.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._windows: list[Report] = []
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to send."""
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(started)), name="load", daemon=True
        )
        self._thread.start()
        started.result(END_SECONDS)

    def stop(self) -> Report:
        """Stop sending and report on everything; twice is as good as once."""
        if self._thread is not None and self._loop is not None and self._stopped is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(END_SECONDS)
            self._thread = None
        return self.report()

    def report(self, since: int = 0) -> Report:
        """Return what the windows have seen, from one of them on."""
        with self._lock:
            return merge(self._windows[since:])

    def measure(self, requests: int, seconds_max: float = 60.0) -> Report:
        """Return a report of at least so many requests to the mesh as it is now.

        They begin when the mesh has taken over what was written last.
        """
        skipped = math.ceil(MESH_SECONDS / self._load.window_seconds)
        with self._lock:
            # The window that is open now has begun before.
            first = len(self._windows) + skipped + 1
        deadline = time.monotonic() + seconds_max
        while (report := self.report(first)).total < requests:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {report.total} of {requests} requests")
            time.sleep(self._load.window_seconds / 2)
        return report

    def settle_on(self, version: str, requests: int) -> None:
        """Return when so many requests in a row, from now on, had this version's answer.

        The mesh follows what was written as soon as the machine lets it.

        Raises:
            TimeoutError: Others still answer after a while.
        """
        with self._lock:
            first = len(self._windows) + 1  # the window that is open now has begun before
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while self._latest_of(version, first) < requests:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not only {version}:\n{self.report(first).to_text()}")
            time.sleep(self._load.window_seconds / 2)

    def _latest_of(self, version: str, first: int) -> int:
        """Return the requests of the latest windows, back to one, in which nobody else answered."""
        total = 0
        with self._lock:
            for window in reversed(self._windows[first:]):
                if window.versions not in ([version], []):
                    break
                total += window.total
        return total

    async def _run(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        started.set_result(None)
        await run(self._load, stop=self._stopped, on_window=self._note)

    def _note(self, window: Report) -> None:
        with self._lock:
            self._windows.append(window)
