"""The two Services of blue-green (bluegreen 1, 2)."""

from typing import Any

import pytest

from rollout_controller.core import samples
from rollout_controller.core.bluegreen.services import (
    active_hash,
    point_active,
    preview_hash,
    reconcile_preview,
)
from rollout_controller.core.draft import Draft
from rollout_controller.core.plan import SwitchService

pytestmark = pytest.mark.spec("bluegreen 2")


def drafted(**more: Any) -> Draft:
    return Draft(samples.blue_green(**more), samples.NOW)


@pytest.mark.spec("bluegreen 1")
def test_the_preview_follows_at_once_though_no_pod_is_there() -> None:
    draft = drafted(preview="stable")
    reconcile_preview(draft)
    assert draft.effects == [SwitchService("preview", "new")]
    assert (preview_hash(draft), active_hash(draft)) == ("new", "stable")
    (event,) = draft.events
    assert event.message == "Switched selector for service 'preview' from 'stable' to 'new'"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"preview": "stable", "spec": {"paused": True}},
        {"preview": "stable", "replica_sets": (samples.replica_set("stable"),)},
        {"preview": "stable", "services": (samples.service("active", "stable"),)},
    ],
    ids=["there already", "halted", "no new version", "no such Service"],
)
def test_the_preview_stays(more: dict[str, Any]) -> None:
    draft = drafted(**more)
    reconcile_preview(draft)
    assert draft.effects == []


def test_a_service_that_nobody_manages_is_adopted() -> None:
    services = (samples.service("preview", "new", managed_by=""),)
    draft = drafted(services=services)
    reconcile_preview(draft)
    assert draft.effects == [SwitchService("preview", "new", managed_by="app")]


@pytest.mark.parametrize(
    ("available", "replicas", "target", "is_switched"),
    [
        (4, 4, "new", True),
        (1, 4, "new", True),
        (0, 4, "new", False),
        (0, 0, "new", True),
        (4, 4, "gone", False),
        (4, 4, "", False),
    ],
    ids=["all", "one", "nobody", "nobody is wanted", "no ReplicaSet", "no hash"],
)
def test_all_traffic_moves_only_to_somebody_who_answers(
    available: int, replicas: int, target: str, is_switched: bool
) -> None:
    sets = (samples.replica_set("stable"), samples.replica_set("new", 4, available=available))
    draft = drafted(replica_sets=sets, spec={"replicas": replicas})
    point_active(draft, target)
    assert (draft.effects != []) is is_switched
    assert active_hash(draft) == (target if is_switched else "stable")


def test_the_active_service_is_adopted_where_it_is() -> None:
    services = (samples.service("active", "stable", managed_by=""),)
    draft = drafted(
        services=services, replica_sets=(samples.replica_set("stable", 4, available=0),)
    )
    point_active(draft, "stable")
    assert draft.effects == [SwitchService("active", "stable", managed_by="app")]
