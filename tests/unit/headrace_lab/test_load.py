from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import cycle

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from headrace_lab.load import Load, run
from headrace_lab.load_report import Report


@pytest.fixture
async def url() -> AsyncIterator[str]:
    outcomes = cycle([("v1", 200), ("v1", 200), ("v2", 200), ("v2", 500), ("", 503)])

    async def answer(request: web.Request) -> web.Response:
        assert request.host == "root.shop"
        version, status = next(outcomes)
        return web.Response(status=status, headers={"x-version": version} if version else {})

    application = web.Application()
    application.router.add_get("/", answer)
    server = TestServer(application)
    await server.start_server()
    yield str(server.make_url("/"))
    await server.close()


async def test_counts_answers_by_version_and_status(url: str) -> None:
    report = await run(Load(url, "root.shop", rate=500), seconds=0.5)

    assert report.share("v1").value == pytest.approx(0.5, abs=0.02)
    assert set(report.statuses("v2")) == {200, 500}
    assert report.failed_without_version == report.statuses("")[503]


async def test_keeps_the_rate(url: str) -> None:
    report = await run(Load(url, "root.shop", rate=100), seconds=1.0)

    assert 50 <= report.total <= 105


async def test_goes_on_until_it_is_stopped_and_tells_each_window(url: str) -> None:
    windows: list[Report] = []
    stop = asyncio.Event()

    def on_window(window: Report) -> None:
        windows.append(window)
        if len(windows) == 3:
            stop.set()

    load = Load(url, "root.shop", rate=200, window_seconds=0.1)
    async with asyncio.timeout(10):
        report = await run(load, stop=stop, on_window=on_window)

    assert [window.started_at for window in windows] == sorted(w.started_at for w in windows)
    assert report.total == sum(window.total for window in windows)


async def test_requests_without_an_answer_are_counted() -> None:
    report = await run(Load("http://127.21.0.1:1/", rate=50), seconds=0.2)

    assert report.total > 0
    assert report.failed_without_version == report.total
