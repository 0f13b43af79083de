"""The load generator: true requests at a steady rate, and a report of who answered them.

As a program: `python -m headrace_lab.load --url http://127.0.0.1:8000 --host app.default`.
As a library: `report = await run(load, seconds=10)`; with `on_window` it tells every second what
happened in it, and with `stop` it goes on until someone sets that event.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import orjson
import uvloop

from headrace_lab.load_report import NO_ANSWER, NO_VERSION, Report, merge

_BEHIND_SECONDS_MAX = 0.1
_REQUEST_SECONDS_MAX = 10.0

OnWindow = Callable[[Report], None]
"""Called on the event loop with the report of each window that ended."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        url: Where to send it.
        host: The Host header, by which the mesh tells Services apart; empty for the URL's own.
        rate: Requests per second, above 0; fewer if `concurrency` does not suffice.
        concurrency: Requests in flight at most.
        window_seconds: How often `on_window` is called.
        headers: Sent with each of them.
    """

    url: str
    host: str = ""
    rate: float = 200.0
    concurrency: int = 32
    window_seconds: float = 1.0
    headers: tuple[tuple[str, str], ...] = ()


async def run(
    load: Load,
    *,
    seconds: float | None = None,
    stop: asyncio.Event | None = None,
    on_window: OnWindow | None = None,
) -> Report:
    """Send requests until the time is over or `stop` is set, and report on all of them."""
    stop = stop if stop is not None else asyncio.Event()
    connector = aiohttp.TCPConnector(limit=load.concurrency, keepalive_timeout=60)
    timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS_MAX)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        sender = _Sender(load, session, on_window)
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(sender.send_many()) for _ in range(load.concurrency)]
            windows = group.create_task(sender.close_windows())
            try:
                async with asyncio.timeout(seconds):
                    await stop.wait()
            except TimeoutError:
                pass
            sender.is_stopping = True
            await asyncio.wait(workers)
            windows.cancel()
    sender.close_window()
    return merge(sender.windows)


class _Sender:
    """The state that the workers of one run share."""

    def __init__(
        self, load: Load, session: aiohttp.ClientSession, on_window: OnWindow | None
    ) -> None:
        self.is_stopping = False
        self.windows: list[Report] = []
        self._load = load
        self._session = session
        self._on_window = on_window
        self._loop = asyncio.get_running_loop()
        self._headers = {**dict(load.headers), **({"Host": load.host} if load.host else {})}
        self._started = self._window_started = self._slot = self._loop.time()
        self._counts: Counter[tuple[str, int]] = Counter()
        self._latencies: list[float] = []

    async def send_many(self) -> None:
        while not self.is_stopping:
            pause = self._next_slot() - self._loop.time()
            if pause > 0:
                await asyncio.sleep(pause)
            if not self.is_stopping:
                await self._send()

    async def close_windows(self) -> None:
        while True:
            await asyncio.sleep(self._load.window_seconds)
            self.close_window()

    def close_window(self) -> None:
        now = self._loop.time()
        report = Report(
            started_at=self._window_started - self._started,
            seconds=now - self._window_started,
            counts=self._counts,
            latencies=tuple(self._latencies),
        )
        self.windows.append(report)
        self._window_started, self._counts, self._latencies = now, Counter(), []
        if self._on_window is not None:
            self._on_window(report)

    def _next_slot(self) -> float:
        """The time of the next request. What was missed long ago is not made up for."""
        slot = self._slot + 1 / self._load.rate
        self._slot = max(slot, self._loop.time() - _BEHIND_SECONDS_MAX)
        return self._slot

    async def _send(self) -> None:
        sent = self._loop.time()
        try:
            async with self._session.get(self._load.url, headers=self._headers) as response:
                await response.read()
                outcome = response.headers.get("x-version", NO_VERSION), response.status
        except (aiohttp.ClientError, TimeoutError):
            outcome = NO_VERSION, NO_ANSWER
        self._counts[outcome] += 1
        self._latencies.append(self._loop.time() - sent)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="headrace_lab.load", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--host", default="", help="Host header: SERVICE.NAMESPACE")
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def main() -> None:
    """Entry point of `python -m headrace_lab.load`."""
    options = parse_arguments()
    load = Load(options.url, options.host, options.rate, options.concurrency)
    report = uvloop.run(run(load, seconds=options.seconds))
    text = orjson.dumps(report.to_json()).decode() if options.json else report.to_text()
    print(text)  # noqa: T201  # the report is the program's output


if __name__ == "__main__":
    main()
