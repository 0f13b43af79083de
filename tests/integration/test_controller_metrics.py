"""What the rollout-controller exports, scraped while Rollouts come, work and go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from engine_world import canary
from prometheus_client.parser import text_string_to_metric_families

from headrace.events.topics import TopicSettings, topics
from headrace.kubernetes.resources import (
    ANALYSIS_TEMPLATES,
    CLUSTER_ANALYSIS_TEMPLATES,
    ROLLOUTS,
    Manifest,
)
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import LoopClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster
from headrace.runtime.component import Ports
from headrace.runtime.metrics import FORGET_SECONDS, Metrics
from headrace.runtime.ownership import Membership, Ownership
from headrace.runtime.recorder import Recorder
from headrace.runtime.service import Part, Service, ownership_part
from rollout_controller.controller import RolloutController
from rollout_controller.settings import ControllerSettings

pytestmark = [pytest.mark.looptime, pytest.mark.spec("cli-and-clients 8")]

HOME = "headrace"
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class World:
    def __init__(self) -> None:
        self.clock = LoopClock()
        self.cluster = MemoryCluster(self.clock)
        self.person = self.cluster.client("person")
        self.metrics = Metrics(["rollout-controller"], self.clock)
        client = self.cluster.client("rollout-controller")
        ownership = Ownership(client, self.clock, Membership("c", HOME, "c-0"))
        bus = MemoryBus(MemoryBroker(), "c")
        record = Recorder(lambda key: ownership.guard(client, key), self.clock, self.metrics)
        self.ports = Ports(
            cluster=client,
            bus=bus,
            topics=topics(TopicSettings("test")),
            ownership=ownership,
            clock=self.clock,
            rng=random.Random(1),
            recorder=record,
            metrics=self.metrics,
            source="cluster",
        )
        component = RolloutController(self.ports, ControllerSettings(bus="memory", identity="x"))
        self.service = Service(
            "rollout-controller",
            parts=(
                Part("bus", start=bus.start, close=bus.close),
                component.caches,
                ownership_part(ownership),
                *component.work,
            ),
        )

    async def create(self, name: str) -> None:
        spec = canary(steps=[{"setWeight": 25}, {"pause": {"duration": 5}}])
        manifest = {"metadata": {"name": name, "namespace": "default"}, "spec": spec}
        await self.person.create(ROLLOUTS, manifest)

    async def release(self, name: str, image: str) -> None:
        container = {"name": "app", "image": image}
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await self.person.patch(ROLLOUTS, "default", name, MergePatch(body))

    def scrape(self) -> Series:
        families = text_string_to_metric_families("".join(self.metrics.expose()))
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def of(self, name: str) -> set[str]:
        """Return the names of the metrics that tell about an object."""
        pair = ("name", name)
        return {metric for metric, labels in self.scrape() if pair in labels}


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    async with asyncio.TaskGroup() as group:
        moving = group.create_task(world.cluster.run())
        serving = group.create_task(world.service.run())
        try:
            yield world
        finally:
            world.service.stop()
            await serving
            moving.cancel()


def template(name: str, namespace: str | None) -> Manifest:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    metrics = [
        {"name": "ratio", "provider": {"prometheus": {"query": "x"}}},
        {"name": "calls", "provider": {"job": {"spec": {}}}},
    ]
    return {"metadata": metadata, "spec": {"metrics": metrics}}


async def test_a_rollout_has_the_series_of_the_contract() -> None:
    async with running() as world:
        await world.create("app")
        await asyncio.sleep(30)
        await world.release("app", "app:v2")
        await asyncio.sleep(30)
        series = world.scrape()
    app = (("name", "app"), ("namespace", "default"))

    def value(name: str, **labels: str) -> float:
        return series[name, tuple(sorted((*app, *labels.items())))]

    assert value("rollout_info", strategy="canary", traffic_router="", phase="Completed") == 1
    for phase in ("Completed", "Progressing", "Paused", "Timeout", "Error", "Abort"):
        assert value("rollout_phase", strategy="canary", phase=phase) == (phase == "Completed")
    assert value("rollout_info_replicas_available") == 4
    assert value("rollout_info_replicas_unavailable") == 0
    assert value("rollout_info_replicas_desired") == 4
    assert value("rollout_info_replicas_updated") == 4
    assert value("rollout_reconcile_bucket", le="+Inf") == value("rollout_reconcile_count") > 0
    assert value("rollout_events_total", type="Normal", reason="RolloutCompleted") == 2
    assert value("rollout_events_total", type="Normal", reason="RolloutPaused") == 1
    for name in ("rollout", "rollout_progression", "rollout_manual_pause"):
        assert series[f"{name}_duration_seconds_count", (("status", "Promoted"),)] == 2


async def test_templates_have_their_series() -> None:
    async with running() as world:
        await world.person.create(ANALYSIS_TEMPLATES, template("good", "default"))
        await world.person.create(CLUSTER_ANALYSIS_TEMPLATES, template("all", None))
        await asyncio.sleep(1)
        series = world.scrape()
    for name, namespace in (("good", "default"), ("all", "")):
        base = {"name": name, "namespace": namespace}
        assert series["analysis_template_info", tuple(sorted(base.items()))] == 1
        for metric, kind in (("ratio", "Prometheus"), ("calls", "Job")):
            labels = {**base, "metric": metric, "type": kind}
            assert series["analysis_template_metric_info", tuple(sorted(labels.items()))] == 1


async def test_gauges_go_with_their_object_and_counters_a_little_later() -> None:
    async with running() as world:
        await world.create("app")
        await asyncio.sleep(30)
        assert world.of("app") >= {"rollout_info", "rollout_reconcile_count"}
        await world.person.delete(ROLLOUTS, "default", "app")
        await asyncio.sleep(1)
        kept = world.of("app")
        assert not {name for name in kept if name.startswith(("rollout_info", "rollout_phase"))}
        assert "rollout_events_total" in kept
        await asyncio.sleep(FORGET_SECONDS)
        assert world.of("app") == set()


async def test_the_series_are_bounded_by_the_objects_that_live() -> None:
    """However many came and went: as many as after the first of them."""
    async with running() as world:
        sizes = []
        for number in range(4):
            await world.create(f"app-{number}")
            await asyncio.sleep(20)
            await world.release(f"app-{number}", "app:v2")
            await asyncio.sleep(20)
            await world.person.delete(ROLLOUTS, "default", f"app-{number}")
            await asyncio.sleep(FORGET_SECONDS + 5)
            sizes.append(len(world.scrape()))
    assert sizes[1:] == [sizes[1]] * 3
