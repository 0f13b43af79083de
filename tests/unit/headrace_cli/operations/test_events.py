from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import Forbidden
from headrace.kubernetes.resources import EVENTS, ROLLOUTS
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import Request
from headrace_cli.bus_options import BusOptions
from headrace_cli.failures import Failure
from headrace_cli.operations.events import EventQuery, show_events

NO_BUS = BusOptions()


async def remember(world: Any, name: str, ordinal: int, message: str) -> None:
    """Let a Rollout remember a transition."""
    transition = {
        "ordinal": ordinal,
        "at": f"2023-11-14T22:13:{20 + ordinal}Z",
        "type": "headrace.rollout.paused.v1",
        "message": message,
    }
    headrace = {"headrace": {"epoch": 1, "history": [transition]}}
    patch = MergePatch({"status": headrace})
    await world.admin.patch(ROLLOUTS, "demo", name, patch, subresource="status")


async def happen(world: Any, rollout: str, message: str, second: int) -> None:
    """Create a Kubernetes Event."""
    metadata = {"name": f"{rollout}.{second}", "namespace": "demo"}
    involved = {"kind": "Rollout", "name": rollout, "namespace": "demo"}
    event = {
        "metadata": metadata,
        "involvedObject": involved,
        "reason": "RolloutPaused",
        "message": message,
        "lastTimestamp": f"2023-11-14T22:13:{second}Z",
    }
    await world.admin.create(EVENTS, event)


async def test_without_a_bus_the_objects_tell_in_order(world: Any) -> None:
    await world.rollout("web", "Paused")
    await remember(world, "web", 5, "second")
    await happen(world, "web", "first", 22)
    await happen(world, "web", "third", 29)
    await show_events(world.session, EventQuery(name="web"), NO_BUS)
    texts = [line.split("  ")[-1] for line in world.out.getvalue().splitlines()]
    assert [text.rpartition(" ")[2] for text in texts] == ["first", "second", "third"]


async def test_says_when_there_are_none(world: Any) -> None:
    await world.rollout("web", "Paused")
    await show_events(world.session, EventQuery(name="web"), NO_BUS)
    assert (world.out.getvalue(), world.err.getvalue()) == ("", "No events found.\n")


async def test_all_rollouts_of_a_namespace_are_told_apart(world: Any) -> None:
    await world.rollout("web", "Paused")
    await world.rollout("api", "Paused")
    await remember(world, "web", 5, "one")
    await remember(world, "api", 6, "two")
    await show_events(world.session, EventQuery(), NO_BUS)
    assert "demo/web  rollout.paused" in world.out.getvalue()
    assert "demo/api  rollout.paused" in world.out.getvalue()


async def test_a_name_is_looked_for_in_all_namespaces(world: Any) -> None:
    await world.rollout("web", "Paused")
    await world.rollout("api", "Paused")
    await remember(world, "web", 5, "one")
    await remember(world, "api", 5, "other")
    elsewhere = replace(world.session, namespace="elsewhere")
    await show_events(elsewhere, EventQuery(name="web", is_everywhere=True), NO_BUS)
    assert "demo/web  rollout.paused" in world.out.getvalue()
    assert "api" not in world.out.getvalue()


async def test_what_is_older_than_wanted_is_left_out(world: Any) -> None:
    await world.rollout("web", "Paused")
    await remember(world, "web", 5, "old")
    await show_events(world.session, EventQuery(name="web", since=1_800_000_000.0), NO_BUS)
    assert world.out.getvalue() == ""


async def test_follows_what_comes(world: Any) -> None:
    await world.rollout("web", "Paused")
    await remember(world, "web", 5, "before")

    async def story() -> None:
        await world.shows("before")
        await remember(world, "web", 6, "after")
        await world.shows("after")

    query = EventQuery(name="web", is_followed=True)
    await world.while_running(show_events(world.session, query, NO_BUS), story)
    assert world.out.getvalue().count("before") == 1


async def test_prints_json_for_programs(world: Any) -> None:
    await world.rollout("web", "Paused")
    await remember(world, "web", 5, "one")
    await show_events(world.session, EventQuery(name="web", is_json=True), NO_BUS)
    assert '"type":"headrace.rollout.paused.v1"' in world.out.getvalue()


async def test_a_rollout_that_does_not_exist_is_named(world: Any) -> None:
    with pytest.raises(Failure, match='Rollout "nope" in namespace "demo" not found'):
        await show_events(world.session, EventQuery(name="nope"), NO_BUS)


async def test_a_missing_right_is_told(world: Any) -> None:
    def refuse(request: Request) -> None:
        if request.resource == "events":
            raise Forbidden('User "me" cannot list resource "events"')

    world.memory.intercept = refuse
    with pytest.raises(Failure, match='cannot list resource "events"'):
        await show_events(world.session, EventQuery(), NO_BUS)
