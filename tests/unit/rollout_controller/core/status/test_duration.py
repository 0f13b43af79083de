"""How long an update took (rollout-api 8)."""

from typing import Any

import pytest

from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace.model.rollout_status import DurationStatus, RolloutStatus
from rollout_controller.core import samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.status.duration import calculate, ended

pytestmark = pytest.mark.spec("rollout-api 8")

NOW = samples.NOW
STARTED = {"rolloutStartedAt": format_time(NOW - 60)}
FINISHED = STARTED | {"finishedAt": format_time(NOW - 30), "completionStatus": "Promoted"}


def record(
    duration: dict[str, Any] | None,
    *,
    spec_changed: bool = False,
    completion: str = "",
    after: dict[str, Any] | None = None,
    pause: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    new: Any = None,
    **status: Any,
) -> DurationStatus | None:
    sets = (samples.replica_set("stable"), new or samples.replica_set("new"))
    observed = samples.rollout(
        {"steps": [{"pause": pause or {}}]},
        spec=spec,
        status={"duration": duration, **status},
        replica_sets=sets,
    )
    draft = Draft(observed, NOW)
    claimed = RolloutStatus.load(observed.status.dump() | (after or {}))
    return calculate(draft, claimed, spec_changed=spec_changed, completion=completion)


def test_an_update_starts_a_record() -> None:
    assert record(None, spec_changed=True) == DurationStatus(rollout_started_at=NOW)
    assert record(FINISHED, spec_changed=True) == DurationStatus(rollout_started_at=NOW)


def test_without_an_update_there_is_none() -> None:
    assert record(None) is None
    found = record(FINISHED)
    assert found is not None
    assert found.finished_at == NOW - 30


def test_editing_the_steps_of_an_idle_rollout_starts_none() -> None:
    found = record(FINISHED, spec_changed=True, stableRS="new")
    assert found is not None
    assert found.rollout_started_at == NOW - 60


def test_a_retry_starts_a_record() -> None:
    found = record(FINISHED, abortedAt=format_time(NOW - 10))
    assert found == DurationStatus(rollout_started_at=NOW)


@pytest.mark.parametrize("completion", ["Promoted", "FastPromoted"])
def test_ends_when_the_new_version_is_stable_and_there(completion: str) -> None:
    promoted = {"stableRS": "new"}
    found = record(STARTED, completion=completion, after=promoted)
    assert found is not None
    assert (found.completion_status, found.finished_at) == (completion, NOW)
    few = samples.replica_set("new", 4, available=3)
    waiting = record(STARTED, completion=completion, after=promoted, new=few)
    assert waiting is not None
    assert (waiting.completion_status, waiting.finished_at) == (completion, None)


def test_an_abort_ends_it() -> None:
    found = record(STARTED, abort=True)
    assert found is not None
    assert (found.completion_status, found.finished_at) == ("Aborted", NOW)


def test_a_newer_update_supersedes_it_and_starts_its_own() -> None:
    assert record(STARTED, spec_changed=True) == DurationStatus(rollout_started_at=NOW)


@pytest.mark.parametrize(
    ("status", "created_seconds_ago", "kind"),
    [({"stableRS": "new"}, 0, "FastRolledBack"), ({}, 5000, "RolledBack")],
)
def test_going_back_continues_it(
    status: dict[str, Any], created_seconds_ago: int, kind: str
) -> None:
    new = samples.replica_set("new", created_at=Instant(NOW - created_seconds_ago))
    found = record(STARTED, spec_changed=True, new=new, **status)
    assert found is not None
    assert (found.rollout_started_at, found.completion_status) == (NOW - 60, kind)
    assert found.finished_at is None


def paused(reason: str = "CanaryPauseStep") -> dict[str, Any]:
    return {"pauseConditions": [{"reason": reason, "startTime": format_time(NOW)}]}


@pytest.mark.parametrize(
    ("given", "is_manual"),
    [
        ({"after": paused()}, True),
        ({"after": paused(), "pause": {"duration": "1m"}}, False),
        ({"after": paused("InconclusiveAnalysisRun"), "pause": {"duration": "1m"}}, True),
        ({"spec": {"paused": True}}, True),
        ({}, False),
    ],
    ids=["a person", "a duration", "inconclusive", "manually", "not paused"],
)
def test_the_time_that_people_take_is_counted_apart(given: dict[str, Any], is_manual: bool) -> None:
    found = record(STARTED, **given)
    assert found is not None
    assert (found.manual_pause_started_at == NOW) is is_manual


OPEN = STARTED | {
    "manualPauseStartedAt": format_time(NOW - 20),
    "totalManualPauseDurationSeconds": 5,
}


def test_the_end_of_a_pause_adds_its_seconds() -> None:
    found = record(OPEN)
    assert found is not None
    assert found.total_manual_pause_duration_seconds == 25
    assert found.manual_pause_started_at is None


def test_a_pause_that_goes_on_is_not_counted_twice() -> None:
    assert record(OPEN, after=paused()) == DurationStatus.load(OPEN)


def test_the_end_of_the_update_ends_the_pause() -> None:
    found = record(OPEN, abort=True)
    assert found is not None
    assert found.total_manual_pause_duration_seconds == 25
    assert found.manual_pause_started_at is None


@pytest.mark.spec("rollout-api 8")
@pytest.mark.parametrize(
    ("strategy", "is_manual"),
    [({"autoPromotionEnabled": False}, True), ({"autoPromotionSeconds": 60}, False)],
)
def test_a_blue_green_pause_is_manual_where_nothing_promotes_by_itself(
    strategy: dict[str, Any], is_manual: bool
) -> None:
    pauses = [{"reason": "BlueGreenPause", "startTime": format_time(NOW)}]
    status = {"duration": STARTED, "pauseConditions": pauses}
    draft = Draft(samples.blue_green(strategy, status=status), NOW)
    found = calculate(draft, draft.status, spec_changed=False, completion="")
    assert found is not None
    assert (found.manual_pause_started_at is not None) is is_manual


def over(old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[tuple[str, float, int]]:
    """Return status, seconds and seconds of pauses of what has ended between two records."""
    before, after = (DurationStatus.load(each) if each else None for each in (old, new))
    return [
        (
            each.completion_status,
            (each.finished_at or 0.0) - (each.rollout_started_at or 0.0),
            each.total_manual_pause_duration_seconds,
        )
        for each in ended(before, after)
    ]


def test_an_end_is_counted_once() -> None:
    assert over(STARTED, FINISHED) == [("Promoted", 30, 0)]
    assert over(None, FINISHED) == [("Promoted", 30, 0)]
    assert over(FINISHED, FINISHED) == []
    assert over(STARTED, STARTED | {"completionStatus": "RolledBack"}) == []
    assert over(None, STARTED) == over(FINISHED, None) == []


def test_a_superseded_update_is_counted_although_its_record_is_gone() -> None:
    begun = {"rolloutStartedAt": format_time(NOW)}
    assert over(OPEN, begun) == [("Superseded", 60, 25)]
    assert over(FINISHED, begun) == []
    back = begun | {"finishedAt": format_time(NOW + 2), "completionStatus": "FastRolledBack"}
    assert over(STARTED, back) == [("Superseded", 60, 0), ("FastRolledBack", 2, 0)]
