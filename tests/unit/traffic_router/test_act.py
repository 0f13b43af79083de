from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.errors import Conflict
from headrace.events.topics import TopicSettings, topics
from headrace.events.traffic import RouteApplied, RouteDrifted
from headrace.kubernetes.resources import ROLLOUTS, TRAFFIC_SPLITS, Manifest
from headrace.model.quantities import Instant
from headrace.model.route import Weights
from headrace.routes import CreateObject, MergeChange, ObjectRef
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster_memory import MemoryCluster
from headrace.runtime.metrics import Metrics
from headrace.runtime.recorder import Recorder
from headrace.runtime.store import Store
from traffic_router.act import Actor, Voice
from traffic_router.core.observed import Observed, RolloutView, Said
from traffic_router.core.plan import Plan, Purpose, Reason, Write
from traffic_router.gather import rollout_view
from traffic_router.memory import RouteMemory

KEY = "shop/web"
TOPICS = topics(TopicSettings("test"))
SPLITS = TRAFFIC_SPLITS.at_version("v1alpha4")
REF = ObjectRef(SPLITS, "shop", "web")
NEW: Manifest = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"service": "root"}}


class Desk:
    """An actor over memory ports."""

    def __init__(self, queue_size_max: int = 10) -> None:
        self.clock = VirtualClock()
        self.cluster = MemoryCluster(self.clock)
        client = self.cluster.client("router")
        metrics = Metrics(("traffic-router",), self.clock)
        self.broker = MemoryBroker()
        self.bus = MemoryBus(self.broker, "router", queue_size_max=queue_size_max)
        self.memory = RouteMemory()
        recorder = Recorder(lambda _: client, self.clock, metrics)
        voice = Voice(self.bus, TOPICS.traffic, "memory", recorder, metrics)
        self.actor = Actor(lambda _: client, Store(), self.memory, self.clock, voice)

    async def act(self, plan: Plan, rollout: RolloutView | None = None) -> bool:
        observed = Observed(key=KEY, rollout=rollout, server_offset_seconds=0.0)
        return await self.actor.act(observed, plan, now=self.clock.now())

    async def rollout(self) -> RolloutView:
        """Create the Rollout, and return it as the router sees it."""
        manifest = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}}
        return rollout_view(await self.cluster.client("user").create(ROLLOUTS, manifest))


def create(**overrides: Any) -> Write:
    fields: dict[str, Any] = {
        "ref": REF,
        "purpose": Purpose.APPLY,
        "change": CreateObject(NEW),
        "previous": None,
        "desired": NEW,
    }
    return Write(**{**fields, **overrides})


def applied() -> RouteApplied:
    return RouteApplied(
        namespace="shop", rollout="web", uid="5f0c", requested=Weights(canary=0, stable=100)
    )


async def test_an_expired_write_is_not_sent() -> None:
    desk = Desk()
    late = create(not_after=Instant(desk.clock.now() - 1))
    assert await desk.act(Plan(Reason.ROUTE_APPLYING, writes=(late,)))
    assert desk.cluster.requests == type(desk.cluster.requests)()


async def test_a_write_asks_for_another_pass_and_a_fact_does_not() -> None:
    desk = Desk()
    await desk.bus.start()
    plan = Plan(Reason.ROUTE_APPLYING, writes=(create(),))
    assert await desk.act(plan, await desk.rollout())
    said = Said("applied", "5f0c", 1, 0, "written")
    assert not await desk.act(Plan(Reason.ROUTE_APPLIED, facts=(applied(),), said=said))
    assert desk.memory.of(KEY).said == said


async def test_an_answer_that_the_bus_does_not_take_is_not_remembered() -> None:
    desk = Desk(queue_size_max=1)
    said = Said("applied", "5f0c", 1, 0, "written")
    plan = Plan(Reason.ROUTE_APPLIED, facts=(applied(),), said=said)
    await desk.act(plan)
    desk.memory.forget(KEY)
    await desk.act(plan)
    assert desk.memory.of(KEY).said is None


async def test_an_object_that_is_gone_is_a_conflict() -> None:
    desk = Desk()
    patch = create(change=MergeChange({"spec": {"service": "x"}}), previous=NEW)
    with pytest.raises(Conflict):
        await desk.act(Plan(Reason.ROUTE_APPLYING, writes=(patch,)))


async def test_nothing_is_made_for_a_rollout_that_is_gone() -> None:
    # What it owned went with it; a cache that lags behind would have it made again without end.
    desk = Desk()
    gone = await desk.rollout()
    await desk.cluster.client("user").delete(ROLLOUTS, "shop", "web", uid=gone.uid)
    plan = Plan(Reason.ROUTE_APPLYING, writes=(create(),))
    with pytest.raises(Conflict, match="is gone"):
        await desk.act(plan, gone)
    await desk.rollout()
    with pytest.raises(Conflict, match="another one"):
        await desk.act(plan, gone)
    assert not desk.cluster.objects.all(SPLITS)


async def test_drift_is_said_after_its_repair_under_the_version_seen() -> None:
    desk = Desk()
    await desk.bus.start()
    drift = RouteDrifted(
        namespace="shop", rollout="web", uid="5f0c", object=REF.label, resource_version=""
    )
    plan = Plan(Reason.ROUTE_APPLYING, writes=(create(drift=drift),))
    await desk.act(plan, await desk.rollout())
    (record,) = desk.broker.records(TOPICS.traffic.name)
    stored = await desk.cluster.client("user").get(SPLITS, "shop", "web")
    seen = json.loads(record.value)
    assert seen["resourceVersion"] == stored["metadata"]["resourceVersion"]
