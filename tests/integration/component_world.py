"""The rollout-controller with all its parts on memory ports, in the time of the event loop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engine_world import canary
from prometheus_client.parser import text_string_to_metric_families

from headrace.events.topics import TopicSettings, topics
from headrace.kubernetes.resources import ROLLOUTS
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import LoopClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster
from headrace.runtime.component import Ports
from headrace.runtime.metrics import Metrics
from headrace.runtime.ownership import Membership, Ownership
from headrace.runtime.recorder import Recorder
from headrace.runtime.service import Part, Service, ownership_part
from rollout_controller.controller import RolloutController
from rollout_controller.settings import ControllerSettings

HOME = "headrace"
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class World:
    """One controller, and a person who uses it."""

    def __init__(self, **settings: Any) -> None:
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
        component = RolloutController(
            self.ports, ControllerSettings(bus="memory", identity="x", **settings)
        )
        self.service = Service(
            "rollout-controller",
            parts=(
                Part("bus", start=bus.start, close=bus.close),
                component.caches,
                ownership_part(ownership),
                *component.work,
            ),
        )

    async def create(self, name: str, **labels: str) -> None:
        spec = canary(steps=[{"setWeight": 25}, {"pause": {"duration": 5}}])
        metadata = {"name": name, "namespace": "default", "labels": labels}
        manifest = {"metadata": metadata, "spec": spec}
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

    def asked_for(self, resource: str) -> set[str]:
        """Return how the controller read or wrote a kind."""
        return {
            request.verb
            for request in self.cluster.requests
            if request.identity == "rollout-controller" and request.resource == resource
        }

    def of(self, name: str) -> set[str]:
        """Return the names of the metrics that tell about an object."""
        pair = ("name", name)
        return {metric for metric, labels in self.scrape() if pair in labels}


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[World]:
    world = World(**settings)
    async with asyncio.TaskGroup() as group:
        moving = group.create_task(world.cluster.run())
        serving = group.create_task(world.service.run())
        try:
            yield world
        finally:
            world.service.stop()
            await serving
            moving.cancel()
