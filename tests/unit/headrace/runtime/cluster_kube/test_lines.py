"""Lines out of chunks of any shape."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import Unavailable
from headrace.runtime.cluster_kube import lines
from headrace.runtime.cluster_kube.lines import read_lines


class Chunks:
    """A stream that gives fixed chunks, then ends or stays silent."""

    def __init__(self, chunks: list[bytes], *, ends: bool = True) -> None:
        self._chunks = chunks
        self._ends = ends

    async def readany(self) -> bytes:
        if self._chunks:
            return self._chunks.pop(0)
        if not self._ends:
            await asyncio.Event().wait()
        return b""


async def read(chunks: list[bytes]) -> list[bytes]:
    return [line async for line in read_lines(Chunks(chunks), 1.0)]


@given(
    texts=st.lists(st.binary(min_size=1, max_size=20).filter(lambda text: b"\n" not in text)),
    cuts=st.lists(st.integers(1, 9), max_size=40),
)
def test_lines_do_not_depend_on_how_they_arrive(texts: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(text + b"\n" for text in texts)
    chunks = []
    for cut in cuts:
        chunks.append(stream[:cut])
        stream = stream[cut:]
    found = asyncio.run(read([chunk for chunk in (*chunks, stream) if chunk]))
    assert found == texts


async def test_drops_a_line_that_was_cut_off() -> None:
    assert await read([b"one\ntwo", b"\nthr"]) == [b"one", b"two"]


async def test_refuses_a_line_without_end() -> None:
    chunk = b"x" * (lines.LINE_BYTES_MAX // 4)
    with pytest.raises(Unavailable):
        await read([chunk] * 5)


@pytest.mark.looptime
async def test_does_not_wait_for_ever() -> None:
    found = read_lines(Chunks([b"one\n"], ends=False), 90.0)
    assert await anext(found) == b"one"
    with pytest.raises(TimeoutError):
        await anext(found)
    assert asyncio.get_running_loop().time() == pytest.approx(90.0)
