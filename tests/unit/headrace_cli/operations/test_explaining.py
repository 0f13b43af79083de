import json
from typing import Any

import pytest

from headrace.kubernetes.resources import EVENTS, ROLLOUTS
from headrace.runtime.cluster import MergePatch
from headrace_cli.failures import Failure
from headrace_cli.operations.explaining import explain


async def waiting(world: Any) -> None:
    wait = {"reason": "Person", "since": "2023-11-14T22:03:24Z", "on": "CanaryPauseStep"}
    body = MergePatch({"status": {"headrace": {"waiting": wait}}})
    await world.admin.patch(ROLLOUTS, "demo", "web", body, subresource="status")


async def test_says_what_it_waits_for(world: Any) -> None:
    await world.rollout("web", "Paused", "CanaryPauseStep")
    await waiting(world)
    await explain(world.session, "web", is_json=False, no_color=False)
    shown = world.out.getvalue()
    assert "Waits for:       Person: CanaryPauseStep\n" in shown
    assert "You can:         headrace promote web, headrace abort web\n" in shown


@pytest.mark.parametrize(
    ("reason", "on", "ways"),
    [
        ("Duration", "step 2", "headrace promote web, headrace abort web"),
        ("Duration", "BlueGreenPause", "headrace promote --full web, headrace abort web"),
        ("Verdict", "web-1", "headrace abort web"),
        ("PromotedPods", "web-1", "headrace undo web"),
        ("ReplicaProgressThreshold", "x", "headrace promote web, headrace abort web"),
    ],
)
async def test_says_what_a_person_can_do(world: Any, reason: str, on: str, ways: str) -> None:
    await world.rollout("web", "Progressing")
    wait = {"reason": reason, "since": "2023-11-14T22:03:24Z", "on": on}
    body = MergePatch({"status": {"headrace": {"waiting": wait}}})
    await world.admin.patch(ROLLOUTS, "demo", "web", body, subresource="status")
    await explain(world.session, "web", is_json=False, no_color=False)
    assert f"You can:         {ways}\n" in world.out.getvalue()


async def test_an_aborted_update_is_not_aborted_again(world: Any) -> None:
    await world.rollout("web", "Degraded")
    await waiting(world)
    body = MergePatch({"status": {"abort": True}})
    await world.admin.patch(ROLLOUTS, "demo", "web", body, subresource="status")
    await explain(world.session, "web", is_json=False, no_color=False)
    assert "You can:         headrace retry web\n" in world.out.getvalue()


async def test_tells_the_events_where_nothing_is_remembered(world: Any) -> None:
    await world.rollout("web", "Healthy")
    event = {
        "metadata": {"name": "web.1", "namespace": "demo"},
        "involvedObject": {"kind": "Rollout", "name": "web", "namespace": "demo"},
        "reason": "RolloutCompleted",
        "message": "done",
        "lastTimestamp": "2023-11-14T22:03:24Z",
    }
    await world.admin.create(EVENTS, event)
    await explain(world.session, "web", is_json=True, no_color=False)
    document = json.loads(world.out.getvalue())
    assert document["waiting"] is None
    assert [each["data"]["reason"] for each in document["story"]] == ["RolloutCompleted"]


async def test_a_rollout_must_exist(world: Any) -> None:
    with pytest.raises(Failure, match="not found"):
        await explain(world.session, "gone", is_json=False, no_color=False)
