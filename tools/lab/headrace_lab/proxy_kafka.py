"""The fault proxy in front of the broker: knows the frames of Kafka's protocol, passes all on.

The broker has a listener for each service, which it advertises with the proxy's address; so a
client that comes here stays here.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from dataclasses import replace
from typing import Final

from headrace_lab.lab import Lab, direct_port, proxied_port
from headrace_lab.proxy import Exchange, FaultProxy, Phase, Verdict, abort

PRODUCE: Final = 0
KINDS: Final = {
    0: "Produce",
    1: "Fetch",
    2: "ListOffsets",
    3: "Metadata",
    8: "OffsetCommit",
    9: "OffsetFetch",
    10: "FindCoordinator",
    18: "ApiVersions",
    19: "CreateTopics",
    22: "InitProducerId",
}
# From version 9 on lengths are variable; from 13 on topics are ids, which name nothing.
PRODUCE_FLEXIBLE: Final = 9
PRODUCE_BY_ID: Final = 13
FRAME_BYTES_MAX: Final = 128 * 1024 * 1024


class KafkaProxy(FaultProxy):
    """Stands between one service and the broker.

    Attributes:
        bootstrap_servers: What the service gets instead of the broker's address.
    """

    def __init__(self, lab: Lab, service: str) -> None:
        super().__init__(lab.port(proxied_port(service)))
        self._broker = lab.port(direct_port(service))
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.bootstrap_servers = f"127.0.0.1:{self.port}"

    async def open(self) -> None:
        """Nothing is needed before the first client comes."""

    async def listen(self) -> asyncio.AbstractServer:
        """Listen where the broker sends the service's clients."""
        return await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def cut(self) -> None:
        """Abort all connections."""
        for writer in list(self._connections):
            abort(writer.transport)

    async def shut(self) -> None:
        """Wait for the connections' ends."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        self._tasks.add(task)
        self._connections.add(writer)
        try:
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self._broker)
        except OSError:
            abort(writer.transport)
        else:
            await self._relay((reader, writer), (upstream_reader, upstream))
        finally:
            self._connections.discard(writer)
            self._tasks.discard(task)

    async def _relay(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        broker: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Pass frames both ways until one side ends; then cut both."""
        open_exchanges: dict[int, Exchange] = {}
        pumps = [
            asyncio.ensure_future(self._requests(client, broker[1], open_exchanges)),
            asyncio.ensure_future(self._answers(broker[0], client[1], open_exchanges)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            abort(client[1].transport)
            abort(broker[1].transport)

    async def _requests(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        broker: asyncio.StreamWriter,
        open_exchanges: dict[int, Exchange],
    ) -> None:
        reader, writer = client
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _read_frame(reader)
                exchange = decode(frame)
                verdict = await self.judge(exchange, Phase.REQUEST)
                # What a process had not sent when it died never reaches the broker.
                if verdict is Verdict.DROP or writer.transport.is_closing() or reader.at_eof():
                    return
                open_exchanges[_correlation(frame, 4)] = exchange
                await _write_frame(broker, frame)

    async def _answers(
        self,
        broker: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        open_exchanges: dict[int, Exchange],
    ) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _read_frame(broker)
                asked = open_exchanges.pop(_correlation(frame, 0), Exchange("Unknown", "", b""))
                exchange = replace(asked, answer=frame)
                verdict = await self.judge(exchange, Phase.ANSWER)
                self.record(exchange)
                if verdict is Verdict.DROP:
                    return
                await _write_frame(client, frame)


def decode(frame: bytes) -> Exchange:
    """Return what a request asks; topics are read from `Produce` only."""
    api, version = struct.unpack_from(">hh", frame)
    kind = KINDS.get(api, f"Api{api}")
    topics: list[str] = []
    if api == PRODUCE and version < PRODUCE_BY_ID:
        with suppress(struct.error, IndexError, UnicodeDecodeError):
            topics = _Reader(frame).produce_topics(flexible=version >= PRODUCE_FLEXIBLE)
    return Exchange(kind, " ".join(topics), frame)


class _Reader:
    """Reads the fields of a Produce request, from its header on."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        self._at = 8  # after api key, version and correlation id

    def produce_topics(self, *, flexible: bool) -> list[str]:
        self._text(flexible=False)  # client id
        if flexible:
            self._skip_tags()
        self._text(flexible=flexible)  # transactional id
        self._at += 2 + 4  # acks, timeout
        topics = []
        for _ in range(self._length(flexible=flexible)):
            topics.append(self._text(flexible=flexible))
            for _ in range(self._length(flexible=flexible)):
                self._at += 4  # partition
                size = self._length(flexible=flexible)
                self._at += max(size, 0)  # records
                if flexible:
                    self._skip_tags()
            if flexible:
                self._skip_tags()
        return topics

    def _text(self, *, flexible: bool) -> str:
        length = self._varint() - 1 if flexible else self._number(">h", 2)
        begin, self._at = self._at, self._at + max(length, 0)
        return self._frame[begin : self._at].decode()

    def _length(self, *, flexible: bool) -> int:
        return self._varint() - 1 if flexible else self._number(">i", 4)

    def _skip_tags(self) -> None:
        for _ in range(self._varint()):
            self._varint()
            # Not `+=`, which would read the position before the length moves it.
            size = self._varint()
            self._at += size

    def _number(self, layout: str, size: int) -> int:
        (value,) = struct.unpack_from(layout, self._frame, self._at)
        self._at += size
        return int(value)

    def _varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._frame[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7


def _correlation(frame: bytes, at: int) -> int:
    (value,) = struct.unpack_from(">i", frame, at)
    return int(value)


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    if not 0 <= size <= FRAME_BYTES_MAX:
        raise OSError(f"a frame of {size} bytes")
    return await reader.readexactly(size)


async def _write_frame(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(struct.pack(">i", len(frame)) + frame)
    await writer.drain()
