"""Whether an update goes back (canary 3.4)."""

from headrace.model.quantities import Instant
from rollout_controller.core import samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.rollback import is_fast_rollback, is_rollback


def draft(created_seconds_ago: float, *, stable: str = "stable") -> Draft:
    new = samples.replica_set("new", created_at=Instant(samples.NOW - created_seconds_ago))
    sets = (samples.replica_set("stable", created_at=Instant(samples.NOW - 100)), new)
    observed = samples.rollout({}, status={"stableRS": stable}, replica_sets=sets)
    return Draft(observed, samples.NOW)


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
