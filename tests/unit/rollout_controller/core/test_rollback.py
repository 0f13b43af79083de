"""Whether an update goes back, and how fast it may (canary 3.4)."""

from typing import Any

import pytest

from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from rollout_controller.core import samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.rollback import (
    is_fast_rollback,
    is_rollback,
    is_within_window,
)

pytestmark = pytest.mark.spec("canary 3.4")


def draft(created_seconds_ago: float, *, between: int = 0, **more: Any) -> Draft:
    """The draft of an update whose stable version is 100 s old.

    Args:
        created_seconds_ago: Age of the new ReplicaSet.
        between: How many ReplicaSets are a little older than the stable one; none has pods.
        more: `stable`, `revisions` of the rollback window.
    """
    sets = [
        samples.replica_set("stable", created_at=Instant(samples.NOW - 100)),
        samples.replica_set("new", created_at=Instant(samples.NOW - created_seconds_ago)),
        *(
            samples.replica_set(f"old{n}", 0, created_at=Instant(samples.NOW - 110 - n))
            for n in range(between)
        ),
    ]
    revisions = more.get("revisions")
    spec = {} if revisions is None else {"rollbackWindow": {"revisions": revisions}}
    status = {"stableRS": more.get("stable", "stable")}
    return Draft(samples.rollout({}, spec=spec, status=status, replica_sets=sets), samples.NOW)


def test_an_older_template_is_a_rollback_with_all_steps() -> None:
    assert is_rollback(draft(200))
    assert not is_fast_rollback(draft(200))


def test_a_newer_template_is_an_update() -> None:
    assert not is_rollback(draft(50))


def test_going_back_to_stable_is_fast() -> None:
    assert is_rollback(draft(50, stable="new"))
    assert is_fast_rollback(draft(50, stable="new"))


def test_nothing_is_rolled_back_before_there_is_a_stable_version() -> None:
    assert not is_rollback(draft(200, stable=""))
    assert not is_fast_rollback(draft(200, stable="", revisions=5))


@pytest.mark.parametrize(
    ("between", "revisions", "is_within"),
    [(0, 1, True), (1, 1, False), (1, 2, True), (2, 2, False), (0, 0, False), (0, None, False)],
)
def test_the_window_counts_the_revisions_in_between(
    between: int, revisions: int | None, is_within: bool
) -> None:
    found = draft(200, between=between, revisions=revisions)
    assert is_within_window(found) is is_within
    assert is_fast_rollback(found) is is_within


def test_a_newer_template_is_in_no_window() -> None:
    assert not is_within_window(draft(50, revisions=5))
    assert not is_within_window(draft(100, revisions=5))


def test_what_is_older_than_both_does_not_count() -> None:
    assert is_within_window(draft(105, between=3, revisions=1))


@pytest.mark.spec("canary 3.4", "bluegreen 9")
@pytest.mark.parametrize(("deadline", "is_fast"), [(10, True), (-10, False), (None, False)])
def test_only_blue_green_goes_back_fast_to_pods_that_wait_for_their_end(
    deadline: float | None, is_fast: bool
) -> None:
    new = samples.replica_set(
        "new",
        created_at=samples.NOW - 2000,
        scale_down_deadline=None if deadline is None else format_time(samples.NOW + deadline),
    )
    sets = (samples.replica_set("stable"), new)
    assert is_fast_rollback(Draft(samples.blue_green(replica_sets=sets), samples.NOW)) is is_fast
    assert not is_fast_rollback(Draft(samples.rollout({}, replica_sets=sets), samples.NOW))


@pytest.mark.spec("canary 3.4", "bluegreen 9")
@pytest.mark.parametrize(
    "status",
    [{"abort": True, "abortedAt": "2023-11-14T22:13:20Z"}, {"abortedAt": "2023-11-14T22:13:20Z"}],
)
def test_the_deadline_of_an_abort_makes_nothing_fast(status: dict[str, Any]) -> None:
    deadline = format_time(samples.NOW + 10)
    new = samples.replica_set("new", created_at=samples.NOW - 2000, scale_down_deadline=deadline)
    sets = (samples.replica_set("stable"), new)
    observed = samples.blue_green(status=status, replica_sets=sets)
    assert not is_fast_rollback(Draft(observed, samples.NOW))
