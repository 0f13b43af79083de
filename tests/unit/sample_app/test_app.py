from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

FILE = Path(__file__).parents[3] / "examples" / "sample-app" / "app.py"


@pytest.fixture(scope="module")
def app() -> ModuleType:
    specification = importlib.util.spec_from_file_location("sample_app", FILE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def labels_file(tmp_path: Path) -> Path:
    file = tmp_path / "labels"
    file.write_text('app="shop"\nrole="canary"\n')
    return file


def make(app: ModuleType, version: str, labels_file: Path) -> Any:
    return app.SampleApp(version, "pod-1", app.PodLabels(labels_file))


async def statuses(client: TestClient[Any, Any], count: int) -> list[int]:
    return [(await client.get("/cart")).status for _ in range(count)]


async def test_every_path_says_version_and_pod(app: ModuleType, labels_file: Path) -> None:
    server = TestServer(make(app, "v2", labels_file).application())
    async with TestClient(server) as client:
        response = await client.post("/any/path")

        assert response.headers["x-version"] == "v2"
        assert await response.json() == {"version": "v2", "pod": "pod-1"}


async def test_a_bad_version_fails_three_of_ten_requests(
    app: ModuleType, labels_file: Path
) -> None:
    server = TestServer(make(app, "bad", labels_file).application())
    async with TestClient(server) as client:
        assert (await statuses(client, 20)).count(500) == 6


async def test_a_slow_version_takes_its_time(app: ModuleType, labels_file: Path) -> None:
    server = TestServer(make(app, "slow", labels_file).application())
    loop = asyncio.get_running_loop()
    async with TestClient(server) as client:
        before = loop.time()

        assert await statuses(client, 1) == [200]

        assert loop.time() - before >= 0.3


async def test_responses_are_counted_under_the_role_of_the_moment(
    app: ModuleType, labels_file: Path
) -> None:
    server = TestServer(make(app, "v1", labels_file).application())
    async with TestClient(server) as client:
        await statuses(client, 2)
        promoted = labels_file.with_name("new")
        promoted.write_text('app="shop"\nrole="stable"\n')
        promoted.replace(labels_file)
        await statuses(client, 3)

        metrics = await (await client.get("/metrics")).text()

    assert "# TYPE response_status counter" in metrics
    assert 'response_status{app="shop",role="canary",status="200"} 2.0' in metrics
    assert 'response_status{app="shop",role="stable",status="200"} 3.0' in metrics


async def test_without_labels_app_and_role_are_empty(app: ModuleType, tmp_path: Path) -> None:
    server = TestServer(make(app, "v1", tmp_path / "none").application())
    async with TestClient(server) as client:
        await statuses(client, 1)

        metrics = await (await client.get("/metrics")).text()

    assert 'response_status{app="",role="",status="200"} 1.0' in metrics


async def test_a_draining_pod_is_not_ready_and_closes_connections(
    app: ModuleType, labels_file: Path
) -> None:
    sample_app = make(app, "v1", labels_file)
    async with TestClient(TestServer(sample_app.application())) as client:
        assert (await client.get("/readyz")).status == 200

        sample_app.drain()

        assert (await client.get("/readyz")).status == 503
        response = await client.get("/")
        assert (response.status, response.headers["Connection"]) == (200, "close")
