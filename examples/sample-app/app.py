"""The sample application: one HTTP server whose version decides how it behaves.

Every path answers `{"version", "pod"}` with header `x-version`; `/metrics` has the Prometheus
counter `response_status{status,app,role}`, `/readyz` is the readiness probe. Version `bad` answers
three of ten requests with a 500, `slow` adds 300 ms, every other version is good.

Environment: SAMPLE_VERSION, POD_NAME, POD_IP (address to listen on), PORT, PODINFO_DIR (folder of
the downward-API file `labels`), DRAIN_SECONDS (time between SIGTERM and the end of listening).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import UntypedMetricFamily
from prometheus_client.registry import Collector

BAD_PATTERN = (False, False, True, False, False, True, False, False, True, False)
SLOW_SECONDS = 0.3
IN_FLIGHT_SECONDS_MAX = 10.0


class PodLabels:
    """The pod's own labels, read again whenever the downward-API file was replaced.

    A canary pod that is promoted gets another `role` while it runs; so labels may not be cached
    for longer than the file stays the same.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._labels: dict[str, str] = {}

    def get(self, name: str) -> str:
        """The label's value, empty if the pod does not have it."""
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return ""
        if (seen := (status.st_ino, status.st_mtime_ns)) != self._seen:
            self._labels = dict(parse_labels(self._file.read_text()))
            self._seen = seen
        return self._labels.get(name, "")


def parse_labels(text: str) -> Iterator[tuple[str, str]]:
    """Parse the `name="value"` lines of a downward-API file."""
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator:
            yield name, json.loads(value)


class ResponseStatus(Collector):
    """The counter `response_status`, by the role that the pod has when it responds."""

    def __init__(self, labels: PodLabels) -> None:
        self._labels = labels
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def count(self, status: int) -> None:
        """Count one response."""
        self._counts[str(status), self._labels.get("app"), self._labels.get("role")] += 1

    def collect(self) -> Iterator[UntypedMetricFamily]:
        """Yield the counter; the client's own Counter would add `_total` to the name."""
        family = UntypedMetricFamily(
            "response_status", "Responses by status.", labels=("status", "app", "role")
        )
        for labels, value in self._counts.items():
            family.add_metric(labels, value)
        yield family


class SampleApp:
    """The handlers and the little state behind them."""

    def __init__(self, version: str, pod: str, labels: PodLabels) -> None:
        self._version = version
        self._body = json.dumps({"version": version, "pod": pod}).encode()
        self._outcomes = itertools.cycle(BAD_PATTERN if version == "bad" else (False,))
        self._responses = ResponseStatus(labels)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._responses)
        self._draining = False

    def application(self) -> web.Application:
        """The aiohttp application."""
        application = web.Application()
        application.router.add_get("/metrics", self.metrics)
        application.router.add_get("/readyz", self.ready)
        application.router.add_route("*", "/{path:.*}", self.answer)
        return application

    def drain(self) -> None:
        """Fail the readiness probe and ask every client for a new connection elsewhere."""
        self._draining = True

    async def answer(self, _request: web.Request) -> web.Response:
        """Answer a user's request."""
        if self._version == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        status = 500 if next(self._outcomes) else 200
        self._responses.count(status)
        response = web.Response(
            status=status,
            body=self._body,
            content_type="application/json",
            headers={"x-version": self._version},
        )
        if self._draining:
            response.force_close()
        return response

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer Prometheus."""
        text = generate_latest(self._registry).replace(b" untyped\n", b" counter\n")
        return web.Response(body=text, content_type="text/plain", charset="utf-8")

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer the readiness probe."""
        return web.Response(status=503 if self._draining else 200)


async def serve() -> None:
    """Serve until SIGTERM, then drain: in-flight requests are finished, no new ones are wanted."""
    stop = asyncio.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop.set)
    labels = PodLabels(Path(os.environ.get("PODINFO_DIR", "/etc/podinfo")) / "labels")
    sample_app = SampleApp(
        version=os.environ.get("SAMPLE_VERSION", "v1"),
        pod=os.environ.get("POD_NAME", ""),
        labels=labels,
    )
    runner = web.AppRunner(
        sample_app.application(), access_log=None, shutdown_timeout=IN_FLIGHT_SECONDS_MAX
    )
    await runner.setup()
    address = os.environ.get("POD_IP", "0.0.0.0")  # noqa: S104  # a pod listens on its only address
    await web.TCPSite(runner, address, int(os.environ.get("PORT", "8080"))).start()
    await stop.wait()
    sample_app.drain()
    await asyncio.sleep(float(os.environ.get("DRAIN_SECONDS", "1")))
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
