"""Commands of the bus while the Rollout changes under them (architecture, "Commands")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from engine_world import ListRecorder, SilentBus, SilentMetrics, World, routed

from headrace.errors import Conflict, Rejected
from headrace.events.commands import Action, Preconditions, RolloutCommanded
from headrace.events.envelope import Event
from headrace.events.topics import Topic
from headrace.kubernetes.resources import ROLLOUTS
from headrace.model.quantities import Instant
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import MemoryClient, Request
from rollout_controller.caches import Facts
from rollout_controller.commands import CommandHandler
from rollout_controller.voice import Voice

PAUSE: dict[str, Any] = {"pause": {}}


class Commanded(World):
    """A Rollout that somebody commands over the bus."""

    def command(self, rollout: Mapping[str, Any], action: Action) -> RolloutCommanded:
        status, uid = rollout["status"], rollout["metadata"]["uid"]
        return RolloutCommanded(
            namespace="default",
            rollout="app",
            uid=uid,
            command="c-1",
            action=action,
            preconditions=Preconditions(
                uid=uid,
                current_pod_hash=status["currentPodHash"],
                epoch=status["headrace"].get("epoch", 0),
                step_index=status["currentStepIndex"],
            ),
            expires_at=Instant(self.clock.now() + 300),
        )

    async def hear(self, command: RolloutCommanded) -> None:
        client = self.cluster.client("commanded")
        handler = CommandHandler(lambda key: client, self.caches, self.facts, self.clock)
        await self.sync()
        await handler.handle(Event.of(command, source="cluster", time=self.clock.now()), command)

    async def pause(self) -> None:
        body = MergePatch({"spec": {"paused": True}})
        await self.user.patch(ROLLOUTS, "default", "app", body)
        await self.settle(2)

    def refuse_status_once(self) -> None:
        """Let the next write of a command's status meet a change of the Rollout."""
        left = [Conflict("the object has been modified")]

        def intercept(request: Request) -> None:
            if request.identity == "commanded" and request.subresource == "status" and left:
                raise left.pop()

        self.cluster.intercept = intercept


async def paused_twice() -> Commanded:
    """A canary at a pause step that a person has paused as well."""
    world = Commanded(routed(steps=[{"setWeight": 25}, PAUSE, {"setWeight": 50}, PAUSE]))
    await world.create()
    await world.settle()
    await world.set_image("app:v2")
    await world.settle()
    await world.pause()
    return world


async def begun() -> tuple[Commanded, RolloutCommanded]:
    """A promotion whose spec is written, and whose status met a conflict."""
    world = await paused_twice()
    command = world.command(await world.get(), Action.PROMOTE)
    world.refuse_status_once()
    with pytest.raises(Conflict):
        await world.hear(command)
    return world, command


async def test_a_promotion_that_meets_a_conflict_is_carried_out_whole() -> None:
    world, command = await begun()
    await world.hear(command)
    await world.settle()
    status = await world.status()
    assert (status["phase"], status["currentStepIndex"]) == ("Paused", 3)
    await world.hear(command)
    await world.settle()
    assert (await world.status())["currentStepIndex"] == 3


async def test_a_promotion_that_was_begun_does_not_skip_what_came_meanwhile() -> None:
    world, command = await begun()
    await world.patch_status({"pauseConditions": None})
    await world.settle()
    await world.hear(command)
    await world.settle()
    status = await world.status()
    assert (status["phase"], status["currentStepIndex"]) == ("Paused", 3)
    answers = [each["type"] for each in status["headrace"]["history"]]
    assert "headrace.command.accepted.v1" in answers


@pytest.mark.parametrize("part", ["", "status"])
async def test_what_the_api_server_refuses_of_a_command_is_its_answer(part: str) -> None:
    world = await paused_twice()
    command = world.command(await world.get(), Action.PROMOTE)

    def refuse(request: Request) -> None:
        is_answer = part == request.subresource == "status" and "pauseConditions" not in str(
            request.body
        )
        if request.identity == "commanded" and request.subresource == part and not is_answer:
            raise Rejected("denied by a webhook")

    world.cluster.intercept = refuse
    if part == "status":  # its spec is written: the status, and then the answer, follow
        with pytest.raises(Conflict):
            await world.hear(command)
    await world.hear(command)
    world.cluster.intercept = None
    await world.settle(2)
    status = await world.status()
    (answer,) = [each for each in status["headrace"]["history"] if each.get("command") == "c-1"]
    assert answer["type"] == "headrace.command.rejected.v1"
    assert answer["message"] == "denied by a webhook"
    assert status["currentStepIndex"] == 1
    await world.hear(command)
    await world.settle(2)
    assert (await world.status())["currentStepIndex"] == 1


async def test_a_command_expires_by_the_clock_of_the_api_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await paused_twice()
    command = world.command(await world.get(), Action.PROMOTE)
    world.clock.advance(600)
    monkeypatch.setattr(MemoryClient, "server_offset_seconds", lambda _: -600.0)
    await world.hear(command)
    await world.settle()
    history = (await world.status())["headrace"]["history"]
    (answer,) = [each for each in history if each.get("command") == "c-1"]
    assert answer["type"] == "headrace.command.accepted.v1"


async def test_a_command_for_an_image_names_one() -> None:
    world = await paused_twice()
    before = (await world.get())["spec"]
    await world.hear(world.command(await world.get(), Action.SET_IMAGE))
    await world.settle(2)
    history = (await world.status())["headrace"]["history"]
    assert (history[-1]["command"], history[-1]["message"]) == ("c-1", "setImage needs an image")
    assert (await world.get())["spec"] == before


async def test_a_command_for_a_rollout_that_goes_meanwhile_is_left() -> None:
    world = await paused_twice()
    command = world.command(await world.get(), Action.PROMOTE)
    await world.sync()
    await world.user.delete(ROLLOUTS, "default", "app")
    client = world.cluster.client("commanded")
    handler = CommandHandler(lambda key: client, world.caches, world.facts, world.clock)
    await handler.handle(Event.of(command, source="cluster", time=world.clock.now()), command)
    writes = [each for each in world.cluster.requests if each.identity == "commanded"]
    assert len(writes) == 1


async def test_the_end_of_a_rollout_whose_memory_cannot_be_read_is_told() -> None:
    bus = SilentBus()
    voice = Voice(bus, Topic("steps"), ListRecorder(), Facts(), SilentMetrics())
    metadata = {"name": "app", "namespace": "default", "uid": "u"}
    rollout = {"metadata": metadata, "status": {"headrace": {"history": "edited"}}}
    voice.publish_deleted(rollout, "cluster", Instant(0.0))
    assert [each.type for each in bus.events] == ["headrace.rollout.deleted.v1"]
