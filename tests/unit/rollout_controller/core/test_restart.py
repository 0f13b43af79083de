"""Restart of all pods by eviction (rollout-api 10)."""

from collections.abc import Sequence
from typing import Any

import pytest

from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from rollout_controller.core import samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Pod
from rollout_controller.core.plan import EvictPods
from rollout_controller.core.restart import reconcile_restart

pytestmark = pytest.mark.spec("rollout-api 10")

NOW = samples.NOW
DUE = format_time(NOW - 100)


def draft(pods: Sequence[Pod], *, restart_at: str | None = DUE, **more: Any) -> Draft:
    strategy = {"maxUnavailable": more.pop("max_unavailable", 1)}
    spec = {"restartAt": restart_at, "minReadySeconds": more.pop("min_ready_seconds", 0)}
    sets = (samples.replica_set("stable"), samples.replica_set("new", 0))
    return Draft(
        samples.rollout(strategy, spec=spec, pods=tuple(pods), replica_sets=sets, **more),
        NOW,
    )


def old_pods(count: int = 4) -> list[Pod]:
    return [samples.pod(f"p{number}") for number in range(count)]


def evicted(drafted: Draft) -> list[str]:
    """Return who goes where no disruption budget spares anybody."""
    effects = [effect for effect in drafted.effects if isinstance(effect, EvictPods)]
    return [name for effect in effects for name in effect.names[: effect.limit]]


def test_nothing_happens_unasked() -> None:
    drafted = draft(old_pods(), restart_at=None)
    reconcile_restart(drafted)
    assert drafted.effects == []


def test_nothing_happens_twice() -> None:
    drafted = draft(old_pods(), status={"restartedAt": DUE})
    reconcile_restart(drafted)
    assert drafted.effects == []


def test_waits_for_its_time() -> None:
    later = draft(old_pods(), restart_at=format_time(NOW + 60))
    reconcile_restart(later)
    assert later.effects == []
    assert later.wake_at == NOW + 60
    assert later.restarted_at is None


@pytest.mark.parametrize(("max_unavailable", "count"), [(0, 1), (1, 1), (2, 2), ("100%", 4)])
def test_evicts_as_many_as_may_be_missing(max_unavailable: int | str, count: int) -> None:
    drafted = draft(old_pods(), max_unavailable=max_unavailable)
    reconcile_restart(drafted)
    assert evicted(drafted) == [f"p{number}" for number in range(count)]
    assert drafted.wake_at == NOW + 30


def test_waits_while_pods_are_missing() -> None:
    pods = old_pods(3)
    drafted = draft(pods)
    reconcile_restart(drafted)
    assert drafted.effects == []
    assert drafted.wake_at == NOW + 30
    assert drafted.restarted_at is None


def test_a_pod_counts_when_it_was_ready_for_long_enough() -> None:
    pods = [*old_pods(3), samples.pod("young", created_at=NOW, ready_at=Instant(NOW - 10))]
    early = draft(pods, min_ready_seconds=20)
    reconcile_restart(early)
    assert early.effects == []
    assert early.wake_at == NOW + 10
    late = draft(pods, min_ready_seconds=10)
    reconcile_restart(late)
    assert evicted(late) == ["p0"]
    unready = draft([*old_pods(3), samples.pod("unready", ready_at=None)])
    reconcile_restart(unready)
    assert unready.effects == []


def test_a_ready_pod_counts_by_a_clock_that_is_behind() -> None:
    ahead = [*old_pods(3), samples.pod("ahead", created_at=NOW, ready_at=Instant(NOW + 80))]
    at_once = draft(ahead)
    reconcile_restart(at_once)
    assert evicted(at_once) == ["p0"]
    soon = draft(ahead, min_ready_seconds=20)
    reconcile_restart(soon)
    assert soon.effects == []
    assert soon.wake_at == NOW + 20


def test_pods_that_are_going_are_not_counted_and_not_evicted() -> None:
    pods = [samples.pod("going", is_terminating=True), *old_pods(4)]
    drafted = draft(pods)
    reconcile_restart(drafted)
    assert evicted(drafted) == ["p0"]


def test_young_pods_stay() -> None:
    young = [samples.pod(f"y{n}", created_at=Instant(NOW - 50)) for n in range(4)]
    drafted = draft([*young[:3], *old_pods(1)])
    reconcile_restart(drafted)
    assert evicted(drafted) == ["p0"]


def test_is_done_when_no_old_pod_is_left() -> None:
    young = [samples.pod(f"y{n}", created_at=Instant(NOW - 50)) for n in range(4)]
    drafted = draft(young)
    reconcile_restart(drafted)
    assert drafted.effects == []
    assert drafted.restarted_at == NOW - 100


@pytest.mark.spec("bluegreen 10.9")
@pytest.mark.parametrize(("unavailable", "count"), [(None, 1), (0, 1), ("50%", 2), (9, 4)])
def test_blue_green_restarts_a_quarter_at_a_time_by_default(
    unavailable: int | str | None, count: int
) -> None:
    strategy = {} if unavailable is None else {"maxUnavailable": unavailable}
    sets = (samples.replica_set("stable"), samples.replica_set("new", 0))
    observed = samples.blue_green(
        strategy, spec={"restartAt": DUE}, pods=tuple(old_pods()), replica_sets=sets
    )
    drafted = Draft(observed, NOW)
    reconcile_restart(drafted)
    assert len(evicted(drafted)) == count
