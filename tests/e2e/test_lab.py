"""The lab itself: what it starts answers, what it is told to break breaks, and it ends clean."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from headrace_lab.errors import ApiError, PartFailed
from headrace_lab.lab import Lab
from headrace_lab.processes import owned_by
from headrace_lab.proxy import Phase, matching
from headrace_lab.proxy_http import ApiProxy
from headrace_lab.proxy_kafka import KafkaProxy

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

PARTS = ["kubernetes", "kafka", "prometheus"]
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    # The first start on a machine builds Kubernetes, hence the timeout.
    lab = Lab.start(tmp_path_factory.mktemp("lab"), parts=PARTS)
    yield lab
    lab.stop()


def config_map(name: str, value: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"value": value},
    }


@asynccontextmanager
async def session(lab: Lab, identity: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that authenticates by what an identity's kubeconfig says."""
    config = json.loads(lab.kubeconfig(identity).read_text())
    token = config["users"][0]["user"]["token"]
    context = ssl.create_default_context(
        cafile=config["clusters"][0]["cluster"]["certificate-authority"]
    )
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        headers={"Authorization": f"Bearer {token}"},
    ) as client:
        yield client


async def create_topic(bootstrap_servers: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])
    finally:
        await admin.close()


@asynccontextmanager
async def producer(bootstrap_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    made = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def test_every_part_is_ready(lab: Lab) -> None:
    assert {status.name: status.ready for status in lab.status()} == {
        "etcd": True,
        "apiserver": True,
        "controller-manager": True,
        "kafka": True,
        "prometheus": True,
    }


def test_starting_again_changes_nothing(lab: Lab) -> None:
    before = [status.pid for status in lab.status()]

    again = Lab.start(lab.directory, parts=PARTS)

    assert [status.pid for status in again.status()] == before


def test_traffic_splits_are_served_in_all_versions_and_not_converted(lab: Lab) -> None:
    group = lab.api().get("/apis/split.smi-spec.io")
    written = {
        "apiVersion": "split.smi-spec.io/v1alpha1",
        "kind": "TrafficSplit",
        "metadata": {"name": "plain"},
        "spec": {"service": "root", "backends": [{"service": "a", "weight": "950m"}]},
    }
    lab.api().apply(written)

    path = "/apis/split.smi-spec.io/v1alpha4/namespaces/default/trafficsplits/plain"
    assert lab.api().get(path)["spec"] == written["spec"]
    assert [version["version"] for version in group["versions"]] == [
        "v1alpha4",
        "v1alpha3",
        "v1alpha2",
        "v1alpha1",
    ]


def test_gateway_api_routes_are_served(lab: Lab) -> None:
    answer = lab.api().get("/apis/gateway.networking.k8s.io/v1/httproutes")

    assert answer["kind"] == "HTTPRouteList"


def test_the_controllers_create_pods(lab: Lab) -> None:
    labels = {"app": "controllers"}
    lab.api().apply(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "controllers"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "main", "image": "none"}]},
                },
            },
        }
    )

    path = "/apis/apps/v1/namespaces/default/replicasets/controllers?watch=true&timeoutSeconds=20"
    assert any(event["object"]["status"].get("replicas") == 2 for event in watch_events(lab, path))


def watch_events(lab: Lab, path: str) -> Iterator[dict[str, dict[str, dict[str, object]]]]:
    # A field selector instead of a path, since one object cannot be watched by its path.
    collection, _, query = path.partition("?")
    folder, _, name = collection.rpartition("/")
    credentials = json.loads(lab.kubeconfig().read_text())
    request = urllib.request.Request(
        f"{lab.api_server_url}{folder}?{query}&fieldSelector=metadata.name={name}",
        headers={"Authorization": f"Bearer {credentials['users'][0]['user']['token']}"},
    )
    context = ssl.create_default_context(
        cafile=credentials["clusters"][0]["cluster"]["certificate-authority"]
    )
    with urllib.request.urlopen(request, context=context, timeout=30) as answer:
        for line in answer:
            yield json.loads(line)


def test_each_identity_has_its_own_rights(lab: Lab) -> None:
    lab.api("viewer").get(CONFIG_MAPS)
    with pytest.raises(ApiError) as refused:
        lab.api("viewer").apply(config_map("forbidden", ""))
    who = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "SelfSubjectReview",
    }
    answer = lab.api("traffic-router").request(
        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", who
    )

    assert refused.value.status == 403
    user = answer["status"]["userInfo"]
    assert user["username"] == "system:serviceaccount:headrace:traffic-router"
    assert "system:serviceaccounts:headrace" in user["groups"]


async def test_kafka_passes_records_to_its_own_console_consumer(lab: Lab) -> None:
    await create_topic(lab.bootstrap_servers, "console")
    async with producer(lab.bootstrap_servers) as sender:
        headers = [("ce_type", b"headrace.x:y,z"), ("empty", b"")]
        await sender.send_and_wait("console", b'{"a":\n1}', key=b"ns/one", headers=headers)
        await sender.send_and_wait("console", None, key="ü".encode(), partition=2)

    records = await asyncio.to_thread(lab.console_consumer, "console", records_max=2)

    first, second = sorted(records, key=lambda record: record.key or "")
    assert (first.key, first.value) == ("ns/one", '{"a":\n1}')
    assert first.headers == {"ce_type": "headrace.x:y,z", "empty": ""}
    assert (second.key, second.value, second.partition) == ("ü", None, 2)


def test_prometheus_answers_queries(lab: Lab) -> None:
    url = f"{lab.prometheus_url}/api/v1/query?query=1%2B1"
    with urllib.request.urlopen(url, timeout=5) as answer:
        result = json.load(answer)

    assert result["data"]["result"][1] == "2"


def test_a_killed_broker_comes_back_with_its_data(lab: Lab) -> None:
    broker = lab.part("kafka")

    async def send(value: bytes) -> None:
        async with producer(lab.bootstrap_servers) as sender:
            await sender.send_and_wait("killed", value, key=b"k")

    asyncio.run(create_topic(lab.bootstrap_servers, "killed"))
    asyncio.run(send(b"before"))
    broker.kill()
    assert not broker.is_running
    broker.start()
    broker.wait_ready()
    asyncio.run(send(b"after"))

    records = lab.console_consumer("killed", records_max=2)
    assert [record.value for record in records] == ["before", "after"]


def test_a_suspended_part_answers_again_after_it_is_resumed(lab: Lab) -> None:
    server = lab.part("prometheus")

    server.suspend()
    assert server.is_running
    assert not server.is_ready()
    server.resume()
    server.wait_ready(10)


async def test_an_expired_watch_answers_410(lab: Lab) -> None:
    lab.api().apply(config_map("expiring", "1"))
    version = lab.api().get(CONFIG_MAPS)["metadata"]["resourceVersion"]

    await asyncio.to_thread(lab.expire_watches)

    async with session(lab, "admin") as client:
        url = f"{lab.api_server_url}{CONFIG_MAPS}?watch=true&resourceVersion={version}"
        async with client.get(url) as answer:
            event = json.loads(await answer.content.readline())
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


def test_the_audit_log_names_who_did_what(lab: Lab) -> None:
    log = lab.set_audit(enabled=True)
    lab.api("person").apply(config_map("audited", "1"))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lab.set_audit(enabled=False)

    found = {
        (line["user"]["username"], line["verb"], line["objectRef"]["resource"])
        for line in lines
        if "objectRef" in line
    }
    assert ("person", "patch", "configmaps") in found


async def test_a_held_request_reaches_the_server_only_after_its_release(lab: Lab) -> None:
    with ApiProxy(lab, "admin") as proxy:
        async with session(lab, "admin") as client:
            hold = proxy.hold(matching(kind="POST", target="configmaps", contains='"held"'))
            url = proxy.url + CONFIG_MAPS
            sent = asyncio.create_task(client.post(url, json=config_map("held", "1")))
            await hold.reached(10)
            with pytest.raises(ApiError) as missing:
                lab.api().get(f"{CONFIG_MAPS}/held")
            hold.release()
            answer = await sent

            assert missing.value.status == 404
            assert answer.status == 201
            assert lab.api().get(f"{CONFIG_MAPS}/held")["data"] == {"value": "1"}
            assert proxy.count(matching(kind="POST", target="configmaps$")) == 1


async def test_a_held_answer_is_of_a_request_that_was_done(lab: Lab) -> None:
    with ApiProxy(lab, "admin") as proxy:
        async with session(lab, "admin") as client:
            hold = proxy.hold(matching(kind="POST", contains='"answered"'), Phase.ANSWER)
            url = proxy.url + CONFIG_MAPS
            sent = asyncio.create_task(client.post(url, json=config_map("answered", "1")))
            held = await hold.reached(10)
            assert held.status == 201
            assert lab.api().get(f"{CONFIG_MAPS}/answered")["data"] == {"value": "1"}
            hold.drop()

            with pytest.raises(aiohttp.ClientError):
                await sent


async def test_a_held_request_of_a_client_that_is_gone_is_not_forwarded(lab: Lab) -> None:
    with ApiProxy(lab, "admin") as proxy:
        hold = proxy.hold(matching(kind="POST", contains='"orphan"'))
        async with session(lab, "admin") as client:
            url = proxy.url + CONFIG_MAPS
            sent = asyncio.create_task(client.post(url, json=config_map("orphan", "1")))
            await hold.reached(10)
            sent.cancel()
        hold.release()
        async with session(lab, "admin") as client, client.get(proxy.url + CONFIG_MAPS) as answer:
            names = [item["metadata"]["name"] for item in (await answer.json())["items"]]

    assert "orphan" not in names


async def test_watches_pass_the_proxy_as_they_come(lab: Lab) -> None:
    with ApiProxy(lab, "admin") as proxy:
        async with session(lab, "admin") as client:
            url = f"{proxy.url}{CONFIG_MAPS}?watch=true&fieldSelector=metadata.name%3Dstreamed"
            async with client.get(url) as answer:
                lab.api().apply(config_map("streamed", "1"))
                line = await asyncio.wait_for(answer.content.readline(), 10)

    assert json.loads(line)["object"]["metadata"]["name"] == "streamed"


async def test_a_partition_cuts_watches_and_refuses_until_it_heals(lab: Lab) -> None:
    with ApiProxy(lab, "admin") as proxy:
        async with session(lab, "admin") as client:
            async with client.get(f"{proxy.url}{CONFIG_MAPS}?watch=true") as answer:
                proxy.partition()
                with pytest.raises(aiohttp.ClientError):
                    await answer.content.read()
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.get(f"{proxy.url}/version")
            proxy.heal()
            async with client.get(f"{proxy.url}/version") as answer:
                assert answer.status == 200


async def test_a_produce_request_is_held_by_its_topic_and_content(lab: Lab) -> None:
    await create_topic(lab.bootstrap_servers, "proxied")
    with KafkaProxy(lab, "traffic-router") as proxy:
        async with producer(proxy.bootstrap_servers) as sender:
            await sender.send_and_wait("proxied", b"other", key=b"k")
            hold = proxy.hold(
                matching(kind="Produce", target="^proxied$", contains="route.applied"),
                Phase.ANSWER,
            )
            sent = asyncio.create_task(
                sender.send_and_wait("proxied", b"1", headers=[("ce_type", b"route.applied")])
            )
            await hold.reached(10)
            assert not sent.done()
            hold.release()
            await asyncio.wait_for(sent, 10)

            # A client that came through the proxy stays there: no connection of its own.
            assert proxy.count(matching(kind="Produce", target="^proxied$")) >= 2


async def test_a_dropped_answer_of_the_broker_is_asked_for_again(lab: Lab) -> None:
    await create_topic(lab.bootstrap_servers, "dropped")
    with KafkaProxy(lab, "analysis-runner") as proxy:
        async with producer(proxy.bootstrap_servers) as sender:
            proxy.drop(matching(kind="Produce"), Phase.ANSWER, times=1)
            await sender.send_and_wait("dropped", b"once", key=b"k", partition=0)
            await sender.send_and_wait("dropped", b"last", key=b"k", partition=0)

    records = await asyncio.to_thread(lab.console_consumer, "dropped", records_max=2)
    assert [record.value for record in records] == ["once", "last"]


def test_a_stopped_lab_leaves_nothing_running(tmp_path: Path) -> None:
    lab = Lab.start(tmp_path / "short", parts=["etcd", "prometheus"])
    processes = [lab.part(name).process for name in ("etcd", "prometheus")]

    lab.stop()

    assert not any(process.is_alive() for process in processes if process is not None)
    assert owned_by(str(lab.directory)) == []
    assert sorted(path.name for path in lab.directory.iterdir()) == ["logs"]
    lab.stop()


def test_a_lab_that_was_stopped_with_its_data_goes_on_with_them(tmp_path: Path) -> None:
    lab = Lab.start(tmp_path / "kept", parts=["etcd"])
    revision = lab.advance_etcd()

    lab.stop(keep_data=True)
    lab = Lab.start(tmp_path / "kept", parts=["etcd"])

    try:
        assert [status.name for status in lab.status()] == ["etcd"]
        assert lab.advance_etcd() == revision + 1
    finally:
        lab.stop()


def test_a_part_that_cannot_start_says_why(tmp_path: Path) -> None:
    lab = Lab.start(tmp_path / "blocked", parts=["prometheus"])
    part = lab.part("prometheus")
    part.kill()
    try:
        with socket.socket() as occupant:
            occupant.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            occupant.bind(("127.0.0.1", lab.port("prometheus")))
            occupant.listen()
            part.start()
            with pytest.raises(PartFailed, match="address already in use"):
                part.wait_ready(20)
    finally:
        lab.stop()


def test_what_runs_beside_the_lab_ends_with_it(tmp_path: Path) -> None:
    lab = Lab.start(tmp_path / "beside", parts=["etcd"])
    process = lab.run("sleeper", ["/bin/sh", "-c", "sleep 60 & wait"])

    lab.stop()

    assert not process.is_alive()
    assert owned_by(str(lab.directory)) == []


async def test_a_stalled_proxy_answers_nothing_until_it_heals(lab: Lab) -> None:
    with ApiProxy(lab, "admin") as proxy:
        async with session(lab, "admin") as client:
            proxy.stall()
            sent = asyncio.create_task(client.get(f"{proxy.url}/version"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(sent), 0.3)
            proxy.heal()
            assert (await asyncio.wait_for(sent, 10)).status == 200


def test_a_command_runs_with_a_lab_for_the_time(tmp_path: Path) -> None:
    lab = [sys.executable, "-m", "headrace_lab", "run"]
    lab += ["--dir", str(tmp_path), "--parts", "etcd", "--"]
    script = "from headrace_lab.lab import Lab; print(Lab.attach().part('etcd').is_ready())"

    answer = subprocess.run([*lab, sys.executable, "-c", script], capture_output=True, check=False)

    assert (answer.returncode, answer.stdout) == (0, b"True\n")
    assert owned_by(str(tmp_path)) == []
    assert subprocess.run([*lab, "/bin/false"], capture_output=True, check=False).returncode == 1
