"""The fault proxy in front of the API server: TLS on both sides, HTTP/1.1."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web
from yarl import URL

from headrace_lab import ports
from headrace_lab.credentials import Credentials
from headrace_lab.lab import Lab
from headrace_lab.proxy import Exchange, FaultProxy, Phase, Verdict, abort

# Headers of one connection, not of the message (RFC 9110, 7.6.1), and what is computed anew.
CONNECTION_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
SHUTDOWN_SECONDS: Final = 0.5


class ApiProxy(FaultProxy):
    """Stands between one identity and the API server.

    Attributes:
        kubeconfig: What the service gets instead of its own kubeconfig.
    """

    def __init__(self, lab: Lab, identity: str) -> None:
        super().__init__(ports.choose(["proxy"], {})["proxy"])
        self._credentials = Credentials(lab.directory)
        self._upstream = lab.api_server_url
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.Server | None = None
        self.url = f"https://127.0.0.1:{self.port}"
        name = f"{identity}-{self.port}.kubeconfig"
        self.kubeconfig: Path = lab.directory / "kubeconfigs" / name
        self._credentials.write_kubeconfig(identity, self.url, self.kubeconfig)

    async def open(self) -> None:
        """Make the client side."""
        context = ssl.create_default_context(cafile=str(self._credentials.authority))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        self._runner = web.Server(self._handle, access_log=None, handler_cancellation=True)

    async def listen(self) -> asyncio.AbstractServer:
        """Listen with the lab's certificate."""
        assert self._runner is not None, "open() ran before"
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        credentials = self._credentials
        context.load_cert_chain(credentials.server_certificate, credentials.server_key)
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._runner, "127.0.0.1", self.port, ssl=context)

    def cut(self) -> None:
        """Abort all connections."""
        if self._runner is not None:
            for connection in self._runner.connections:
                abort(connection.transport)

    async def shut(self) -> None:
        """Close both sides."""
        if self._runner is not None:
            await self._runner.shutdown(SHUTDOWN_SECONDS)
        if self._session is not None:
            await self._session.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        exchange = Exchange(request.method, request.raw_path, body)
        verdict = await self.judge(exchange, Phase.REQUEST)
        transport = request.transport
        # What a process had not sent when it died never reaches the server.
        if verdict is Verdict.DROP or transport is None or transport.is_closing():
            return _cut(request)
        try:
            return await self._forward(request, exchange)
        except (aiohttp.ClientError, OSError):
            return _cut(request)

    async def _forward(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        assert self._session is not None, "open() ran before"
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in CONNECTION_HEADERS
        ]
        async with self._session.request(
            request.method,
            URL(self._upstream + request.raw_path, encoded=True),
            headers=headers,
            data=exchange.body or None,
            allow_redirects=False,
        ) as upstream:
            if _is_stream(exchange):
                try:
                    return await self._stream(request, exchange, upstream)
                finally:
                    # A polite end of TLS would outlast the proxy's loop.
                    abort(upstream.connection.transport if upstream.connection else None)
            answered = replace(exchange, status=upstream.status, answer=await upstream.read())
            self.record(answered)
            if await self.judge(answered, Phase.ANSWER) is Verdict.DROP:
                return _cut(request)
            response = web.Response(status=upstream.status, body=answered.answer)
            _copy_headers(upstream, response)
            return response

    async def _stream(
        self, request: web.BaseRequest, exchange: Exchange, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        opened = replace(exchange, status=upstream.status)
        self.record(opened)
        if await self.judge(opened, Phase.ANSWER) is Verdict.DROP:
            return _cut(request)
        response = web.StreamResponse(status=upstream.status)
        _copy_headers(upstream, response)
        await response.prepare(request)
        async for chunk in upstream.content.iter_any():
            await self.passable.wait()
            await response.write(chunk)
        await response.write_eof()
        return response


def _is_stream(exchange: Exchange) -> bool:
    query = URL(exchange.target, encoded=True).query
    return query.get("watch", "false").lower() in ("true", "1") or "follow" in query


def _copy_headers(upstream: aiohttp.ClientResponse, response: web.StreamResponse) -> None:
    for name, value in upstream.headers.items():
        if name.lower() not in CONNECTION_HEADERS:
            response.headers.add(name, value)


def _cut(request: web.BaseRequest) -> web.StreamResponse:
    abort(request.transport)
    # Nobody reads it: the connection is gone.
    return web.Response(status=502)
