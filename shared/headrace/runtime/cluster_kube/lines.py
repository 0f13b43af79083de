"""Lines of a response that does not end: one JSON object each, of any size up to a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

from headrace.errors import Unavailable

LINE_BYTES_MAX: Final = 16 * 2**20
"""Ten times what etcd stores in one object; more is no Kubernetes API."""


class ByteStream(Protocol):
    """What is read: `aiohttp.StreamReader`."""

    async def readany(self) -> bytes:
        """Return what has come, waiting for at least one byte; nothing at the end."""
        ...


async def read_lines(stream: ByteStream, silence_seconds_max: float) -> AsyncIterator[bytes]:
    """Yield complete lines; one that was cut off by the stream's end is dropped.

    Raises:
        TimeoutError: Nothing came for `silence_seconds_max`.
        Unavailable: A line is longer than `LINE_BYTES_MAX`.
    """
    rest = bytearray()
    while True:
        async with asyncio.timeout(silence_seconds_max):
            chunk = await stream.readany()
        if not chunk:
            return
        first, *others = chunk.split(b"\n")
        rest += first
        if len(rest) > LINE_BYTES_MAX:
            raise Unavailable(f"a line of the watch is longer than {LINE_BYTES_MAX} bytes")
        for tail in others:
            if rest:
                yield bytes(rest)
            rest = bytearray(tail)
