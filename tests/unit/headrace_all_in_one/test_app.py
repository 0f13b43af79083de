"""The three components on memory ports."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

from headrace.events.topics import TopicSettings, topics
from headrace.kubernetes.resources import LEASES, ROLLOUTS
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster_memory import MemoryCluster
from headrace.runtime.component import Ports
from headrace.runtime.metrics import Metrics
from headrace.runtime.ownership import Membership, Ownership
from headrace.runtime.recorder import Recorder
from headrace.runtime.service import Part, Service, ownership_part
from headrace_all_in_one.app import NAME, build
from headrace_all_in_one.settings import AllInOneSettings

SETTINGS = AllInOneSettings(identity="here")


def ports_on(cluster: MemoryCluster) -> Ports:
    clock = SystemClock()
    client = cluster.client(NAME)
    ownership = Ownership(client, clock, Membership(NAME, "default", "here"))
    metrics = Metrics(build(SETTINGS).components, clock)
    return Ports(
        cluster=client,
        bus=MemoryBus(MemoryBroker(), NAME),
        topics=topics(TopicSettings("memory")),
        ownership=ownership,
        clock=clock,
        rng=random.Random(1),
        recorder=Recorder(lambda key: ownership.guard(client, key), clock, metrics),
        metrics=metrics,
        source="memory",
    )


def series(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("#"):
            yield line.rpartition(" ")[0]


async def test_three_components_live_in_one_process_under_one_set_of_leases() -> None:
    cluster = MemoryCluster(SystemClock())
    ports = ports_on(cluster)
    components = [make(ports) for make in build(SETTINGS).components.values()]
    service = Service(
        NAME,
        base=(Part("bus", start=ports.bus.start, close=ports.bus.close),),
        parts=(
            *(component.caches for component in components),
            ownership_part(ports.ownership),
            *(part for component in components for part in component.work),
        ),
        grace_seconds=2.0,
    )
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(service.run())
        while service.missing() or len(ports.ownership.shards) < 4:
            await asyncio.sleep(0.02)
        rollout = {"metadata": {"name": "app", "namespace": "default"}, "spec": {}}
        await cluster.client("user").create(ROLLOUTS, rollout)
        while not await _is_seen(cluster):
            await asyncio.sleep(0.02)
        leases = await cluster.client("user").list(LEASES)
        names = sorted(lease["metadata"]["name"] for lease in leases.items)
        exposed = [*series("".join(ports.metrics.expose()))]
        service.stop()
    assert names == [f"headrace-all-in-one-{shard}" for shard in range(4)]
    assert len(exposed) == len(set(exposed)), "two components export the same series"
    watched = [ask.resource for ask in cluster.requests if ask.verb == "watch"]
    assert watched.count(ROLLOUTS.plural) == 1, "the router reads what the controller follows"


async def _is_seen(cluster: MemoryCluster) -> bool:
    rollout = await cluster.client("user").get(ROLLOUTS, "default", "app")
    return "status" in rollout


def test_is_made_of_the_three_services() -> None:
    assert [*build(SETTINGS).components] == [
        "rollout-controller",
        "traffic-router",
        "analysis-runner",
    ]
