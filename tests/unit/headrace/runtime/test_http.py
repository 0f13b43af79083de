from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from headrace.runtime.http import HttpServer, HttpSettings

pytestmark = pytest.mark.spec("cli-and-clients 11")


class World:
    def __init__(self) -> None:
        self.missing: list[str] = []
        self.pieces = ["# TYPE a gauge\na 1\n", "# TYPE b gauge\nb 2\n"]
        self.server = HttpServer(
            HttpSettings(metrics_port=0, health_port=0),
            expose=self.expose,
            content_type="text/plain; version=0.0.4; charset=utf-8",
            missing=lambda: self.missing,
            notes=lambda: ["leases: 0, 2"],
        )

    def expose(self) -> Iterator[str]:
        yield from self.pieces

    async def get(self, path: str, port: int | None = None) -> tuple[int, str]:
        url = f"http://127.0.0.1:{port or self.server.health_port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.server.start()
    yield world
    await world.server.close()


async def test_chooses_free_ports_and_tells_them(world: World) -> None:
    assert world.server.metrics_port > 0
    assert world.server.health_port > 0
    assert world.server.metrics_port != world.server.health_port


async def test_healthz_is_always_ok(world: World) -> None:
    world.missing = ["caches"]
    assert await world.get("/healthz") == (200, "ok")


async def test_readyz_names_what_is_missing(world: World) -> None:
    world.missing = ["caches", "leases"]
    status, text = await world.get("/readyz")
    assert status == 503
    assert text.splitlines()[:3] == ["not ready", "waiting for caches", "waiting for leases"]


async def test_readyz_reports_the_leases_without_needing_them(world: World) -> None:
    assert await world.get("/readyz") == (200, "ready\nleases: 0, 2\n")


async def test_serves_the_metrics_on_their_own_port(world: World) -> None:
    assert await world.get("/metrics", world.server.metrics_port) == (200, "".join(world.pieces))
    assert (await world.get("/metrics"))[0] == 404
    assert (await world.get("/healthz", world.server.metrics_port))[0] == 404


async def test_serves_many_series_in_pieces(world: World) -> None:
    world.pieces = [f"series_{number} {'1' * 1000}\n" for number in range(500)]
    assert await world.get("/metrics", world.server.metrics_port) == (200, "".join(world.pieces))


async def test_one_port_can_serve_all(world: World) -> None:
    port = world.server.health_port
    await world.server.close()
    server = HttpServer(
        HttpSettings(metrics_port=port, health_port=port),
        expose=world.expose,
        content_type="text/plain",
        missing=list,
    )
    await server.start()
    assert (await world.get("/metrics", port))[0] == 200
    assert (await world.get("/healthz", port))[0] == 200
    await server.close()


async def test_a_taken_port_is_an_error_that_names_it(world: World) -> None:
    port = world.server.health_port
    server = HttpServer(
        HttpSettings(metrics_port=0, health_port=port),
        expose=world.expose,
        content_type="text/plain",
        missing=list,
    )
    with pytest.raises(OSError, match=str(port)):
        await server.start()
    await server.close()
