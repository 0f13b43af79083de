"""HTTP to others than the API server: bounded in time and size, errors in words that users know.

The analysis-runner speaks with it to metrics stores, the rollout-controller to the workers of
step plugins.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import aiohttp
from yarl import URL

from headrace.errors import Unavailable

CONNECTIONS_MAX: Final = 200
KEEP_ALIVE_SECONDS: Final = 30.0
_REDIRECTS_MAX: Final = 10
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
"""Source: RFC 9110, 5.1 and 5.5."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request.

    Attributes:
        method: HTTP method.
        url: Absolute, without credentials in it.
        headers: To send, as they are; each name once.
        body: To send; None for nothing.
        timeout_seconds: For everything, > 0.
        is_insecure: The server's certificate is not verified.
        follows_redirects: Go where the server points to; else its 3xx is the answer.
    """

    method: Literal["GET", "POST", "PUT"]
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    timeout_seconds: float = 30.0
    is_insecure: bool = False
    follows_redirects: bool = True


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back, whatever the status code."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpClient:
    """Sends requests over kept connections.

    Args:
        size_max: Bytes that an answer may have, > 0.
        user_agent: How to name ourselves.
        per_host_max: Connections to one host at a time; 0 for no limit of its own.
    """

    def __init__(self, size_max: int, user_agent: str, *, per_host_max: int = 0) -> None:
        self._size_max = size_max
        self._user_agent = user_agent
        self._per_host_max = per_host_max
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer to a request.

        Raises:
            Unavailable: There is none, it is too large, or it takes too long.
        """
        subject = f'{request.method.capitalize()} "{request.url}"'
        if problem := _unsendable(request.headers):
            raise Unavailable(f"{subject}: {problem}")
        try:
            async with asyncio.timeout(request.timeout_seconds):
                return await self._send(request)
        except TimeoutError as error:
            raise Unavailable(f"{subject}: context deadline exceeded") from error
        except aiohttp.ClientError as error:
            raise Unavailable(f"{subject}: {_explain(error)}") from error
        except (ValueError, UnicodeError) as error:
            # Of URLs and headers that cannot be sent; never with their values.
            raise Unavailable(f"{subject}: the request cannot be sent") from error

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _send(self, request: HttpRequest) -> HttpAnswer:
        async with self._open().request(
            request.method,
            URL(request.url),
            headers={"User-Agent": self._user_agent, **_named(request.headers)},
            data=request.body,
            ssl=not request.is_insecure,
            allow_redirects=request.follows_redirects,
            max_redirects=_REDIRECTS_MAX,
        ) as response:
            body = bytearray()
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > self._size_max:
                    raise Unavailable(
                        f"the answer of {request.url} is larger than {self._size_max} bytes"
                    )
            return HttpAnswer(response.status, bytes(body), response.headers.copy())

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=CONNECTIONS_MAX,
                    limit_per_host=self._per_host_max,
                    keepalive_timeout=KEEP_ALIVE_SECONDS,
                ),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=True,  # proxies, as the reference honours them
            )
        return self._session


def _named(headers: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Return headers by name; one that a caller sets itself has the name that defaults have."""
    return {"User-Agent" if n.lower() == "user-agent" else n: value for n, value in headers}


def _unsendable(headers: Iterable[tuple[str, str]]) -> str:
    """Return which header cannot be sent, in the words of Go's client, never with its value."""
    for name, value in headers:
        if not _HEADER_NAME.fullmatch(name):
            return f'net/http: invalid header field name "{name}"'
        if not _HEADER_VALUE.fullmatch(value):
            return f'net/http: invalid header field value for "{name}"'
    return ""


def _explain(error: aiohttp.ClientError) -> str:
    """Return why a request failed, in the words of Go's client where it has some."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {error.host}: no such host"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = (error.os_error.strerror or str(error.os_error)).lower()
        if isinstance(error.os_error, ConnectionRefusedError):
            reason = "connect: connection refused"
        return f"dial tcp {error.host}:{error.port}: {reason}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    if isinstance(error, aiohttp.NonHttpUrlClientError):
        return f'unsupported protocol scheme "{URL(str(error)).scheme}"'
    if isinstance(error, aiohttp.TooManyRedirects):
        return f"stopped after {_REDIRECTS_MAX} redirects"
    return str(error) or type(error).__name__
