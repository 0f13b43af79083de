"""The rollout-controller as a whole: whom it serves, and what it says of who is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from component_world import World, running

from headrace.kubernetes.resources import DEPLOYMENTS, EVENTS, ROLLOUTS
from headrace.runtime.cluster import MergePatch
from rollout_controller.core import labels

pytestmark = pytest.mark.looptime

INSTANCE = "argo-rollouts.argoproj.io/controller-instance-id"


async def served(world: World) -> set[str]:
    """Return the names of the Rollouts that have a status."""
    found = (await world.person.list(ROLLOUTS)).items
    return {each["metadata"]["name"] for each in found if each.get("status")}


async def events(world: World, name: str) -> list[tuple[str, str, str]]:
    found = (await world.person.list(EVENTS)).items
    return [
        (each["reason"], each["message"], each["type"])
        for each in found
        if each["involvedObject"]["name"] == name
    ]


@pytest.mark.spec("cli-and-clients 11")
@pytest.mark.spec("rollout-api 7.1")
@pytest.mark.parametrize(("instance_id", "wanted"), [("", "free"), ("a", "mine"), ("c", "")])
async def test_serves_the_objects_of_its_instance_id_alone(instance_id: str, wanted: str) -> None:
    async with running(instance_id=instance_id) as world:
        await world.create("free")
        await world.create("mine", **{INSTANCE: "a"})
        await world.create("others", **{INSTANCE: "b"})
        await asyncio.sleep(10)
        assert await served(world) == ({wanted} if wanted else set())


@pytest.mark.spec("cli-and-clients 9")
async def test_a_rollout_that_is_deleted_gets_a_last_event() -> None:
    async with running() as world:
        await world.create("app")
        await asyncio.sleep(10)
        await world.person.delete(ROLLOUTS, "default", "app")
        await asyncio.sleep(1)
        last = ("RolloutDeleted", "Rollout app/default is deleted.", "Normal")
        assert (await events(world, "app"))[-1] == last
        await asyncio.sleep(60)
        assert (await events(world, "app")).count(last) == 1


@pytest.mark.spec("rollout-api 2.3")
async def test_workloads_are_followed_only_while_somebody_refers_to_them() -> None:
    def spec(image: str) -> dict[str, Any]:
        container = {"name": "app", "image": image}
        template = {"metadata": {"labels": {"app": "app"}}, "spec": {"containers": [container]}}
        return {"replicas": 0, "selector": {"matchLabels": {"app": "app"}}, "template": template}

    async with running() as world:
        metadata = {"name": "base", "namespace": "default"}
        await world.person.create(DEPLOYMENTS, {"metadata": metadata, "spec": spec("app:v1")})
        await world.create("app")
        await asyncio.sleep(5)
        assert not world.asked_for("deployments")
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "base"}
        body = MergePatch({"spec": {"workloadRef": reference, "template": None}})
        await world.person.patch(ROLLOUTS, "default", "app", body)
        await asyncio.sleep(30)
        rollout = await world.person.get(ROLLOUTS, "default", "app")
        assert rollout["metadata"]["annotations"][labels.WORKLOAD_GENERATION] == "1"
        assert world.asked_for("deployments") >= {"list", "watch"}
        await world.person.patch(
            DEPLOYMENTS, "default", "base", MergePatch({"spec": spec("app:v2")})
        )
        await asyncio.sleep(1)
        rollout = await world.person.get(ROLLOUTS, "default", "app")
        assert rollout["status"]["workloadObservedGeneration"] == "2"
        await world.person.delete(ROLLOUTS, "default", "app")
        await asyncio.sleep(5)
        world.cluster.requests.clear()
        await world.person.patch(
            DEPLOYMENTS, "default", "base", MergePatch({"spec": spec("app:v3")})
        )
        await asyncio.sleep(60)
        assert not world.asked_for("deployments")
