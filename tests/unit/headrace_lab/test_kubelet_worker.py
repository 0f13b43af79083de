from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from headrace_lab.kube import DELETED, MODIFIED, Kube
from headrace_lab.kubelet import Kubelet
from headrace_lab.kubelet_node import Addresses, Node, Targets

SERVE = ["python", "-m", "http.server", "8080", "--bind", "$(POD_IP)"]


class PodServer:
    """An API server for one pod: it takes the status as it comes and remembers the requests."""

    def __init__(self, pod: dict[str, Any]) -> None:
        self.pod = pod
        self.requests: list[str] = []
        self.on_change: Callable[[str, dict[str, Any]], None] = lambda *_: None
        self._changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        subresource = request.path.rpartition("/")[2]
        self.requests.append(f"{request.method} {subresource}")
        body = orjson.loads(await request.read())
        match request.method, subresource:
            case "POST", "binding":
                self.change(spec=self.pod["spec"] | {"nodeName": body["target"]["name"]})
            case "PATCH", "status":
                self.change(status=body["status"])
            case "DELETE", _:
                assert body["gracePeriodSeconds"] == 0
                self.on_change(DELETED, self.pod)
        self._changed.set()
        return web.json_response(self.pod)

    def change(self, **parts: Any) -> None:
        metadata = self.pod["metadata"] | parts.pop("metadata", {})
        version = str(int(self.pod["metadata"]["resourceVersion"]) + 1)
        self.pod = {**self.pod, **parts, "metadata": metadata | {"resourceVersion": version}}
        self.on_change(MODIFIED, self.pod)

    async def wait_for(self, is_reached: Callable[[dict[str, Any]], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_reached(self.pod):
                await self._changed.wait()
                self._changed.clear()

    async def wait_for_request(self, request: str) -> None:
        await self.wait_for(lambda _: request in self.requests)


@pytest.fixture
async def play(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    stack: list[Any] = []

    async def start(pod: dict[str, Any]) -> PodServer:
        pods = PodServer(pod)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", pods.handle)
        server = TestServer(application)
        await server.start_server()
        kube = await Kube(str(server.make_url("/"))).__aenter__()
        probes = aiohttp.ClientSession()
        node = Node(
            kube=kube,
            probes=probes,
            run=tmp_path,
            addresses=Addresses(IPv4Network("127.21.7.0/24")),
            targets=Targets(tmp_path / "targets.json"),
            images={"sample-app": tmp_path},
        )
        kubelet = Kubelet(node)
        pods.on_change = kubelet.on_change
        kubelet.on_change("ADDED", pod)
        stack.append((kubelet, kube, probes, server))
        return pods

    yield start
    for kubelet, kube, probes, server in stack:
        await kubelet.stop()
        await kube.__aexit__()
        await probes.close()
        await server.close()


def make_pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "pod",
            "namespace": "default",
            "uid": "1",
            "resourceVersion": "1",
            "labels": {"role": "canary"},
        },
        "spec": {"containers": [{"name": "main", "image": "nginx:1"} | (container or {})], **spec},
    }


def make_serving_pod() -> dict[str, Any]:
    return make_pod(
        {
            "image": "x/sample-app:v1",
            "command": SERVE,
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
            "volumeMounts": [{"name": "info", "mountPath": "/etc/podinfo"}],
        },
        volumes=[
            {
                "name": "info",
                "downwardAPI": {
                    "items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
                },
            }
        ],
    )


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def waiting_reason(pod: dict[str, Any]) -> str | None:
    for status in pod.get("status", {}).get("containerStatuses", []):
        reason: str | None = status["state"].get("waiting", {}).get("reason")
        return reason
    return None


def terminate(pods: PodServer, grace_seconds: int = 30) -> None:
    pods.change(
        metadata={
            "deletionTimestamp": "2026-01-01T00:00:00Z",
            "deletionGracePeriodSeconds": grace_seconds,
        }
    )


async def test_a_pod_without_process_costs_two_requests_to_be_ready(play: Any) -> None:
    pods = await play(make_pod())

    await pods.wait_for(is_ready)

    assert pods.requests == ["POST binding", "PATCH status"]


async def test_a_deleted_pod_is_taken_away_at_once(play: Any) -> None:
    pods = await play(make_pod())
    await pods.wait_for(is_ready)

    terminate(pods)
    await pods.wait_for_request("DELETE pod")

    assert pods.requests[2:] == ["DELETE pod"]


async def test_a_pod_that_was_ready_before_a_restart_costs_nothing(play: Any) -> None:
    first = await play(make_pod())
    await first.wait_for(is_ready)

    second = await play(first.pod)
    terminate(second)
    await second.wait_for_request("DELETE pod")

    assert second.requests == ["DELETE pod"]


async def test_the_readiness_delay_is_kept(play: Any) -> None:
    pods = await play(make_pod({"readinessProbe": {"initialDelaySeconds": 1}}))
    await pods.wait_for(lambda pod: pod.get("status", {}).get("phase") == "Running")

    assert not is_ready(pods.pod)
    await pods.wait_for(is_ready)


async def test_the_pre_stop_hook_delays_the_end_within_the_grace(play: Any) -> None:
    loop = asyncio.get_running_loop()
    pods = await play(make_pod({"lifecycle": {"preStop": {"exec": {"command": ["sleep", "60"]}}}}))
    await pods.wait_for(is_ready)
    before = loop.time()

    terminate(pods, grace_seconds=1)
    await pods.wait_for_request("DELETE pod")

    assert loop.time() - before >= 0.9


async def test_a_readiness_gate_is_awaited(play: Any) -> None:
    pods = await play(make_pod(readinessGates=[{"conditionType": "live"}]))
    await pods.wait_for(lambda pod: pod.get("status", {}).get("phase") == "Running")
    assert not is_ready(pods.pod)

    conditions = [*pods.pod["status"]["conditions"], {"type": "live", "status": "True"}]
    pods.change(status=pods.pod["status"] | {"conditions": conditions})

    await pods.wait_for(is_ready)


async def test_an_image_that_is_missing_is_backed_off(play: Any) -> None:
    pods = await play(make_pod({"image": "nginx:does-not-exist"}))

    await pods.wait_for(lambda pod: waiting_reason(pod) == "ErrImagePull")
    await pods.wait_for(lambda pod: waiting_reason(pod) == "ImagePullBackOff")


async def test_a_failing_command_ends_in_a_crash_loop(play: Any) -> None:
    pods = await play(make_pod({"command": ["sh", "-c", "exit 3"]}))

    await pods.wait_for(lambda pod: waiting_reason(pod) == "CrashLoopBackOff")

    status = pods.pod["status"]["containerStatuses"][0]
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert status["restartCount"] == 1


async def test_a_jobs_pod_ends_with_its_exit_code(play: Any) -> None:
    pods = await play(make_pod({"command": ["sh", "-c", "exit 4"]}, restartPolicy="Never"))

    await pods.wait_for(lambda pod: pod.get("status", {}).get("phase") == "Failed")

    terminated = pods.pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert terminated["exitCode"] == 4


async def test_a_pod_with_a_finalizer_says_how_it_ended(play: Any) -> None:
    pod = make_pod({"command": ["sleep", "600"]}, restartPolicy="Never")
    pod["metadata"]["finalizers"] = ["batch.kubernetes.io/job-tracking"]
    pods = await play(pod)
    await pods.wait_for(is_ready)

    terminate(pods)
    await pods.wait_for_request("DELETE pod")

    assert pods.pod["status"]["phase"] == "Failed"


async def test_an_unschedulable_pod_is_not_bound(play: Any) -> None:
    pods = await play(make_pod(nodeSelector={"disk": "ssd"}))

    await pods.wait_for_request("PATCH status")

    assert pods.requests == ["PATCH status"]
    assert pods.pod["status"]["conditions"][0]["reason"] == "Unschedulable"


async def test_a_process_is_ready_when_it_answers_and_gone_with_its_pod(
    play: Any, tmp_path: Path
) -> None:
    pods = await play(make_serving_pod())
    await pods.wait_for(is_ready)
    url = f"http://{pods.pod['status']['podIP']}:8080/"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            assert response.status == 200

        terminate(pods)
        await pods.wait_for_request("DELETE pod")

        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(url)
    assert not (tmp_path / "1").exists()


async def test_a_label_that_changes_reaches_the_process_without_restart(
    play: Any, tmp_path: Path
) -> None:
    pods = await play(make_serving_pod())
    await pods.wait_for(is_ready)
    file = tmp_path / "1" / "volumes" / "info" / "labels"
    before = file.read_text()

    pods.change(metadata={"labels": {"role": "stable"}})

    assert (before, file.read_text()) == ('role="canary"', 'role="stable"')
    assert pods.pod["status"]["containerStatuses"][0]["restartCount"] == 0
