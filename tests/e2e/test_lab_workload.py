"""The lab's pods, mesh and load: real processes behind real Services, without Headrace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from headrace_lab.kube import NAMESPACES, PODS, SERVICES, Kube, Object, Resource
from headrace_lab.lab import Lab
from headrace_lab.load import Load, run
from headrace_lab.load_report import Report
from headrace_lab.processes import owned_by

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

PARTS = ["kubernetes", "pods", "traffic", "prometheus"]
EXAMPLES = Path(__file__).parents[2] / "examples"
REPLICA_SETS = Resource("apps", "v1", "replicasets")
JOBS = Resource("batch", "v1", "jobs")
HTTP_ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes")
MESH_SECONDS = 0.5
"""How soon new weights must hold."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    # The first start on a machine builds Kubernetes, hence the timeout.
    lab = Lab.start(tmp_path_factory.mktemp("lab"), parts=PARTS)
    yield lab
    lab.stop()
    assert owned_by(str(lab.directory)) == []


@pytest.fixture
async def kube(lab: Lab) -> AsyncIterator[Kube]:
    async with Kube.from_kubeconfig(lab.kubeconfig("admin")) as client:
        yield client


@pytest.fixture
async def namespace(kube: Kube, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A namespace of the test's own, so that no Service or metric of another test is in it."""
    name = request.node.name.split("[")[0].replace("_", "-")[5:55].rstrip("-")
    suffix = request.node.callspec.id if hasattr(request.node, "callspec") else ""
    name = f"{name}-{suffix}".rstrip("-")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await kube.apply(NAMESPACES, "", body)
    yield name
    await kube.request("DELETE", NAMESPACES.path(name=name))


def pod_template(version: str, labels: dict[str, str]) -> Object:
    """The pods of the examples, as the version and with labels added."""
    manifest = yaml.safe_load((EXAMPLES / "canary-with-metrics" / "rollout.yaml").read_text())
    template: Object = manifest["spec"]["template"]
    template["metadata"]["labels"] |= labels
    template["spec"]["containers"][0]["image"] = f"headrace/sample-app:{version}"
    return template


def replica_set(version: str, replicas: int, **labels: str) -> Object:
    own = {"version": version}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": version},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": own},
            "template": pod_template(version, own | labels),
        },
    }


def service(name: str, **selector: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "selector": {"app": "sample-app", **selector},
            "ports": [{"port": 80, "targetPort": "http"}],
        },
    }


def traffic_split(api_version: str, stable: int, canary: int) -> Object:
    weight = str if api_version == "v1alpha1" else int
    return {
        "apiVersion": f"split.smi-spec.io/{api_version}",
        "kind": "TrafficSplit",
        "metadata": {"name": "split"},
        "spec": {
            "service": "root",
            "backends": [
                {"service": "canary", "weight": weight(canary)},
                {"service": "stable", "weight": weight(stable)},
            ],
        },
    }


async def until(is_reached: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await is_reached():
            await asyncio.sleep(0.02)


async def pods_of(kube: Kube, namespace: str, version: str) -> list[Object]:
    params = {"labelSelector": f"version={version}"}
    items: list[Object] = (await kube.list(PODS, namespace, params=params))["items"]
    return items


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


async def wait_ready(kube: Kube, namespace: str, version: str, count: int) -> list[Object]:
    async def are_ready() -> bool:
        pods = await pods_of(kube, namespace, version)
        return len(pods) == count and all(map(is_ready, pods))

    await until(are_ready)
    return await pods_of(kube, namespace, version)


async def deploy_two_versions(kube: Kube, namespace: str) -> None:
    for manifest in (
        service("root"),
        service("stable", version="v1"),
        service("canary", version="v2"),
    ):
        await kube.apply(SERVICES, namespace, manifest)
    for version in ("v1", "v2"):
        await kube.apply(REPLICA_SETS, namespace, replica_set(version, 2))
    for version in ("v1", "v2"):
        await wait_ready(kube, namespace, version, 2)


async def send(lab: Lab, host: str, *, seconds: float = 4.0, rate: float = 500) -> Report:
    return await run(Load(f"{lab.envoy_url}/", host, rate), seconds=seconds)


async def wait_share(lab: Lab, host: str, version: str, share: float) -> None:
    """Wait until requests are divided about so; what follows counts exactly."""

    async def is_near() -> bool:
        report = await send(lab, host, seconds=0.3, rate=300)
        return abs(report.share(version).value - share) < 0.15

    await until(is_near)


async def query(lab: Lab, expression: str) -> list[float]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{lab.prometheus_url}/api/v1/query", params={"query": expression}) as answer,
    ):
        result = (await answer.json())["data"]["result"]
    return [float(sample["value"][1]) for sample in result]


async def test_pods_of_the_sample_application_answer_through_their_service(
    lab: Lab, kube: Kube, namespace: str
) -> None:
    loop = asyncio.get_running_loop()
    await kube.apply(SERVICES, namespace, service("root"))
    before = loop.time()
    await kube.apply(REPLICA_SETS, namespace, replica_set("v7", 1))
    (pod,) = await wait_ready(kube, namespace, "v7", 1)
    seconds = loop.time() - before

    await wait_share(lab, f"root.{namespace}", "v7", 1.0)

    assert seconds < 5
    assert pod["status"]["podIP"].startswith("127.")
    assert pod["status"]["phase"] == "Running"


@pytest.mark.parametrize("api_version", ["v1alpha1", "v1alpha3"])
async def test_a_traffic_split_divides_true_requests(
    lab: Lab, kube: Kube, namespace: str, api_version: str
) -> None:
    splits = Resource("split.smi-spec.io", api_version, "trafficsplits")
    host = f"root.{namespace}"
    await deploy_two_versions(kube, namespace)
    await kube.apply(splits, namespace, traffic_split(api_version, 90, 10))
    await wait_share(lab, host, "v2", 0.1)

    first = await send(lab, host)
    await kube.apply(splits, namespace, traffic_split(api_version, 67, 33))
    await asyncio.sleep(MESH_SECONDS)
    second = await send(lab, host)

    assert 0.10 in first.share("v2").interval
    assert 0.33 in second.share("v2").interval
    assert first.failed_without_version == second.failed_without_version == 0


async def test_an_http_route_of_a_service_divides_true_requests_and_is_accepted(
    lab: Lab, kube: Kube, namespace: str
) -> None:
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "route"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "root", "port": 80}],
            "rules": [
                {
                    "backendRefs": [
                        {"name": "stable", "port": 80, "weight": 67},
                        {"name": "canary", "port": 80, "weight": 33},
                    ]
                }
            ],
        },
    }
    await deploy_two_versions(kube, namespace)
    await kube.apply(HTTP_ROUTES, namespace, route)

    async def is_accepted() -> bool:
        found = await kube.get(HTTP_ROUTES, namespace, "route")
        return [
            condition["status"]
            for parent in found.get("status", {}).get("parents", [])
            for condition in parent["conditions"]
            if condition["type"] == "Accepted"
            and condition["observedGeneration"] == found["metadata"]["generation"]
        ] == ["True"]

    await until(is_accepted)
    await wait_share(lab, f"root.{namespace}", "v2", 0.33)

    report = await send(lab, f"root.{namespace}")

    assert 0.33 in report.share("v2").interval


async def test_no_request_fails_while_pods_come_and_go(
    lab: Lab, kube: Kube, namespace: str
) -> None:
    host = f"root.{namespace}"
    await deploy_two_versions(kube, namespace)
    await wait_share(lab, host, "v2", 0.5)
    stop = asyncio.Event()
    load = asyncio.create_task(run(Load(f"{lab.envoy_url}/", host, 300), stop=stop))

    await kube.apply(REPLICA_SETS, namespace, replica_set("v2", 4))
    await wait_ready(kube, namespace, "v2", 4)
    await kube.apply(REPLICA_SETS, namespace, replica_set("v1", 0))
    await wait_ready(kube, namespace, "v1", 0)
    (doomed, *_) = await pods_of(kube, namespace, "v2")
    await kube.request("DELETE", PODS.path(namespace, doomed["metadata"]["name"]))
    await wait_ready(kube, namespace, "v2", 4)
    stop.set()
    report = await load

    assert report.failed_without_version == 0
    assert set(report.statuses("v1")) | set(report.statuses("v2")) == {200}


async def test_prometheus_sees_the_canarys_errors_until_it_is_stable(
    lab: Lab, kube: Kube, namespace: str
) -> None:
    template = yaml.safe_load(
        (EXAMPLES / "canary-with-metrics" / "analysis-template.yaml").read_text()
    )
    ratio = template["spec"]["metrics"][0]["provider"]["prometheus"]["query"]
    ratio = ratio.replace("{{args.app}}", "sample-app")
    await kube.apply(SERVICES, namespace, service("root"))
    await kube.apply(REPLICA_SETS, namespace, replica_set("bad", 1, role="canary"))
    (pod,) = await wait_ready(kube, namespace, "bad", 1)
    await wait_share(lab, f"root.{namespace}", "bad", 1.0)
    stop = asyncio.Event()
    load = asyncio.create_task(run(Load(f"{lab.envoy_url}/", f"root.{namespace}", 50), stop=stop))

    async def is_measured() -> bool:
        return any(0.6 < value < 0.8 for value in await query(lab, ratio))

    await until(is_measured)
    patch = {"metadata": {"labels": {"role": "stable"}}}
    path = PODS.path(namespace, pod["metadata"]["name"])
    await kube.request("PATCH", path, patch, content_type="application/merge-patch+json")
    stable_rate = f'rate(response_status{{namespace="{namespace}",role="stable"}}[5s]) > 0'

    async def is_stable() -> bool:
        return bool(await query(lab, stable_rate))

    await until(is_stable)
    stop.set()
    await load


async def test_jobs_end_as_their_commands_do(kube: Kube, namespace: str) -> None:
    for name, command in {"good": ["sleep", "1"], "failing": ["sh", "-c", "exit 1"]}.items():
        container = {"name": "main", "image": "busybox", "command": command}
        spec = {"restartPolicy": "Never", "containers": [container]}
        body = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"spec": spec}},
        }
        await kube.apply(JOBS, namespace, body)

    async def have_ended() -> bool:
        conditions = {
            name: {
                item["type"]
                for item in (await kube.get(JOBS, namespace, name))["status"].get("conditions", [])
            }
            for name in ("good", "failing")
        }
        return "Complete" in conditions["good"] and "Failed" in conditions["failing"]

    await until(have_ended)


async def test_pods_outlive_a_stand_in_that_is_killed(lab: Lab, kube: Kube, namespace: str) -> None:
    await kube.apply(REPLICA_SETS, namespace, replica_set("v1", 2))
    before = await wait_ready(kube, namespace, "v1", 2)
    kubelet = lab.part("kubelet")
    kubelet.kill()
    doomed = before[0]["metadata"]["name"]
    await kube.request("DELETE", PODS.path(namespace, doomed))

    await asyncio.to_thread(kubelet.start)
    await asyncio.to_thread(kubelet.wait_ready)

    async def is_replaced() -> bool:
        names = {pod["metadata"]["name"] for pod in await pods_of(kube, namespace, "v1")}
        return doomed not in names

    await until(is_replaced)
    after = await wait_ready(kube, namespace, "v1", 2)
    (survivor,) = (pod for pod in after if pod["metadata"]["uid"] == before[1]["metadata"]["uid"])
    assert survivor["status"]["containerStatuses"][0]["restartCount"] == 0
    assert survivor["status"]["podIP"] == before[1]["status"]["podIP"]


async def test_pods_and_mesh_go_on_after_all_watches_expired(
    lab: Lab, kube: Kube, namespace: str
) -> None:
    await deploy_two_versions(kube, namespace)
    restarted = {"apiserver", "controller-manager"}
    names = [status.name for status in lab.status() if status.name not in restarted]
    before = {name: lab.part(name).process for name in names}

    await asyncio.to_thread(lab.expire_watches)
    splits = Resource("split.smi-spec.io", "v1alpha1", "trafficsplits")

    async def is_written() -> bool:
        try:
            await kube.apply(splits, namespace, traffic_split("v1alpha1", 0, 100))
            await kube.apply(REPLICA_SETS, namespace, replica_set("v2", 3))
        except aiohttp.ClientError:
            return False
        return True

    await until(is_written)
    await wait_ready(kube, namespace, "v2", 3)
    await wait_share(lab, f"root.{namespace}", "v2", 1.0)
    assert {"kubelet", "mesh", "envoy"} <= set(names)
    assert {name: lab.part(name).process for name in names} == before
    assert all(status.ready for status in lab.status())


async def test_namespaces_are_kept_apart(lab: Lab, kube: Kube, namespace: str) -> None:
    other = f"{namespace}-2"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}}
    await kube.apply(NAMESPACES, "", body)
    for name, version in ((namespace, "v1"), (other, "v2")):
        await kube.apply(SERVICES, name, service("root"))
        await kube.apply(REPLICA_SETS, name, replica_set(version, 1))
    await wait_share(lab, f"root.{namespace}", "v1", 1.0)
    await wait_share(lab, f"root.{other}", "v2", 1.0)

    first = await send(lab, f"root.{namespace}", seconds=1.0)
    second = await send(lab, f"root.{other}", seconds=1.0)

    assert (first.versions, second.versions) == (["v1"], ["v2"])
