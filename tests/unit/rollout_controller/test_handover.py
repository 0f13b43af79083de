"""Plans with effects wait for the live Rollout where its shard has just come here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.errors import Conflict
from headrace.kubernetes.resources import ROLLOUTS, Manifest
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryCluster
from rollout_controller.core import samples
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import AnnotateRollout, Claim, Plan
from rollout_controller.handover import Handover

WITH_EFFECT = Plan(effects=(AnnotateRollout({"a": "b"}),))


class Acts:
    """Takes down what is carried out."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []

    async def act(self, observed: Observed, plan: Plan, *, now: float) -> bool:
        self.plans.append(plan)
        return True


class World:
    """A stored Rollout, a snapshot of it, and the handover of its shard."""

    def __init__(self, stored: Manifest, cluster: MemoryCluster) -> None:
        self.cluster = cluster
        self.client = cluster.client("controller")
        self.actor = Acts()
        metadata = stored["metadata"]
        self.observed = replace(
            samples.rollout({}),
            namespace="default",
            name="app",
            resource_version=metadata["resourceVersion"],
        )
        self.handover = Handover(
            self.actor,
            lambda key: self.client,
            lambda key: 0,
            lambda: ["default/app"],
        )

    @classmethod
    async def make(cls) -> World:
        cluster = MemoryCluster(VirtualClock())
        rollout = {"metadata": {"name": "app", "namespace": "default"}, "spec": {}}
        return cls(await cluster.client("user").create(ROLLOUTS, rollout), cluster)

    async def change(self) -> None:
        """What the last holder wrote, and this replica has not seen yet."""
        body = MergePatch({"metadata": {"annotations": {"changed": "yes"}}})
        await self.client.patch(ROLLOUTS, "default", "app", body)

    async def act(self, plan: Plan) -> bool:
        return await self.handover.act(self.observed, plan, now=samples.NOW)

    @property
    def reads(self) -> int:
        return sum(request.verb == "get" for request in self.cluster.requests)


async def test_an_effect_is_not_carried_out_by_an_old_rollout() -> None:
    world = await World.make()
    world.handover.gained(frozenset({0}))
    await world.change()
    with pytest.raises(Conflict, match="newer than what was cached"):
        await world.act(WITH_EFFECT)
    assert world.actor.plans == []
    assert await world.act(WITH_EFFECT), "what was read live is not doubted again"
    assert world.reads == 1


async def test_a_rollout_that_is_as_it_was_cached_is_read_once() -> None:
    world = await World.make()
    world.handover.gained(frozenset({0}))
    assert await world.act(WITH_EFFECT)
    assert await world.act(WITH_EFFECT)
    assert (len(world.actor.plans), world.reads) == (2, 1)


async def test_a_status_that_is_stored_over_its_version_needs_no_read() -> None:
    world = await World.make()
    world.handover.gained(frozenset({0}))
    observed = world.observed
    assert await world.act(Plan(claim=Claim(observed.status, observed.headrace)))
    assert await world.act(WITH_EFFECT)
    assert world.reads == 0


async def test_a_shard_that_is_held_or_lost_is_not_doubted() -> None:
    world = await World.make()
    await world.act(WITH_EFFECT)
    world.handover.gained(frozenset({0}))
    world.handover.lost(frozenset({0}))
    await world.act(WITH_EFFECT)
    assert world.reads == 0
