"""The HTTP endpoints of a service: `/healthz`, `/readyz`, `/metrics`.

Health and metrics have a port each, as in Argo Rollouts (cli-and-clients 11); with the same
number for both, one server answers all. Nothing here is a public API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

log = structlog.get_logger(__name__)

_TEXT: Final = "text/plain"
_PIECE_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where to listen.

    Attributes:
        bind_address: Address of this machine.
        metrics_port: 0 lets the system choose.
        health_port: 0 lets the system choose.
    """

    bind_address: str = "127.0.0.1"
    metrics_port: int = 8090
    health_port: int = 8080


class HttpServer:
    """Serves the endpoints from `start` to `close`.

    Args:
        settings: Where to listen.
        expose: Yields the text of the metrics in pieces.
        content_type: Of that text.
        missing: Returns what is missing for being ready, in words; nothing when ready.
        notes: Returns lines that `/readyz` shows besides (the Leases that are held).
    """

    def __init__(
        self,
        settings: HttpSettings,
        *,
        expose: Callable[[], Iterable[str]],
        content_type: str,
        missing: Callable[[], Sequence[str]],
        notes: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        self._settings = settings
        self._expose = expose
        self._content_type = content_type
        self._missing = missing
        self._notes = notes
        self._runners: list[web.AppRunner] = []
        self.metrics_port = 0
        self.health_port = 0

    async def start(self) -> None:
        """Listen. Raises OSError when a port is taken; the message names the address."""
        metrics = [web.get("/metrics", self._serve_metrics)]
        health = [
            web.get("/healthz", self._serve_health),
            web.get("/readyz", self._serve_readiness),
        ]
        settings = self._settings
        if settings.metrics_port == settings.health_port != 0:
            self.metrics_port = await self._listen([*metrics, *health], settings.metrics_port)
            self.health_port = self.metrics_port
        else:
            self.metrics_port = await self._listen(metrics, settings.metrics_port)
            self.health_port = await self._listen(health, settings.health_port)
        log.info(
            "http listening",
            address=settings.bind_address,
            metrics_port=self.metrics_port,
            health_port=self.health_port,
        )

    async def close(self) -> None:
        """Stop listening."""
        while self._runners:
            await self._runners.pop().cleanup()

    async def _listen(self, routes: Sequence[web.RouteDef], port: int) -> int:
        application = web.Application()
        application.add_routes(routes)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, self._settings.bind_address, port).start()
        chosen: int = runner.addresses[0][1]
        return chosen

    async def _serve_metrics(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": self._content_type})
        await response.prepare(request)
        piece = ""
        for text in self._expose():
            piece += text
            if len(piece) >= _PIECE_BYTES:
                await response.write(piece.encode())
                piece = ""
            await asyncio.sleep(0)  # tens of thousands of series: let reconciles run between
        await response.write(piece.encode())
        await response.write_eof()
        return response

    async def _serve_health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok", content_type=_TEXT)

    async def _serve_readiness(self, request: web.Request) -> web.Response:
        missing = self._missing()
        first = "ready" if not missing else "not ready"
        lines = [first, *(f"waiting for {what}" for what in missing), *self._notes()]
        return web.Response(
            text="\n".join(lines) + "\n", status=503 if missing else 200, content_type=_TEXT
        )
