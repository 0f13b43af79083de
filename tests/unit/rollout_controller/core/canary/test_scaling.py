"""Sizes of ReplicaSets: order, delays, limits (canary 4.3, 4.5, 4.7-4.9; rollout-api 9)."""

from collections.abc import Sequence
from typing import Any

import pytest

from headrace.model.meta import format_time
from rollout_controller.core import labels, samples
from rollout_controller.core.canary.scaling import reconcile_replica_sets
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Observed, ReplicaSet
from rollout_controller.core.plan import PatchReplicaSet
from rollout_controller.core.scaling import is_halted, is_scaling_event

NOW = samples.NOW
STEPS: list[dict[str, Any]] = [{"setWeight": 25}, {"pause": {}}]
STABLE = samples.replica_set("stable")


def decided(observed: Observed) -> Draft:
    draft = Draft(observed, NOW)
    reconcile_replica_sets(draft)
    return draft


def sizes(draft: Draft) -> dict[str, int]:
    """The sizes that a pass plans, by ReplicaSet."""
    return {
        effect.name.removeprefix("app-"): effect.replicas
        for effect in draft.effects
        if isinstance(effect, PatchReplicaSet) and effect.replicas is not None
    }


def deadlines(draft: Draft) -> dict[str, str | None]:
    """The scale-down deadlines that a pass writes or removes, by ReplicaSet."""
    return {
        effect.name.removeprefix("app-"): effect.annotations[labels.SCALE_DOWN_DEADLINE]
        for effect in draft.effects
        if isinstance(effect, PatchReplicaSet)
        and effect.annotations
        and labels.SCALE_DOWN_DEADLINE in effect.annotations
    }


def routed(sets: Sequence[ReplicaSet], *, weight: int = 0, **more: Any) -> Observed:
    return samples.routed(STEPS, weight=weight, replica_sets=sets, **more)


def old(pod_hash: str, replicas: int = 4, *, revision: int = 1, **more: Any) -> ReplicaSet:
    return samples.replica_set(pod_hash, replicas, revision=revision, **more)


# One change a pass, in order


@pytest.mark.spec("canary 4.3")
def test_the_canary_gets_the_pods_of_its_step() -> None:
    draft = decided(routed((STABLE, samples.replica_set("new", 0))))
    assert sizes(draft) == {"new": 1}
    assert draft.scaled
    (event,) = draft.events
    assert event.message == "Scaled up ReplicaSet app-new (revision 2) from 0 to 1"


def test_stable_comes_first_and_ends_the_pass() -> None:
    small = samples.replica_set("stable", 3)
    draft = decided(routed((small, samples.replica_set("new", 0), old("old"))))
    assert sizes(draft) == {"stable": 4}


def test_a_dynamic_stable_version_keeps_its_pods_until_a_route_is_known() -> None:
    sets = (STABLE, samples.replica_set("new", 1))
    strategy = {"dynamicStableScale": True}
    steps = {"currentStepIndex": 0}
    assert sizes(decided(routed(sets, weight=25, strategy=strategy, status=steps))) == {"stable": 3}
    unrouted = {**steps, "canary": {"weights": None}}
    assert sizes(decided(routed(sets, strategy=strategy, status=unrouted))) == {}


@pytest.mark.spec("canary 5.7")
def test_a_dynamic_stable_version_grows_until_the_canary_service_may_move_on() -> None:
    sets = (old("stable", 1), old("older", 3, revision=2), samples.replica_set("new", 1))
    services = (samples.service("active", "stable"), samples.service("preview", "older"))
    strategy = {"dynamicStableScale": True}
    draft = decided(routed(sets, weight=75, strategy=strategy, services=services))
    assert sizes(draft) == {"stable": 4}


def test_nothing_changes_when_all_sizes_are_right() -> None:
    draft = decided(routed((STABLE, samples.replica_set("new", 1)), weight=25))
    assert draft.effects == []
    assert not draft.scaled


def test_records_the_wanted_size_where_the_size_stays() -> None:
    new = samples.replica_set("new", 1, desired_annotation="3")
    draft = decided(routed((STABLE, new), weight=25))
    assert draft.effects == [PatchReplicaSet("app-new", annotations={labels.DESIRED_REPLICAS: "4"})]


@pytest.mark.spec("canary 4.2")
def test_basic_canaries_trade_pods_within_surge() -> None:
    strategy = {"steps": [{"setWeight": 50}], "maxSurge": 1, "maxUnavailable": 0}
    first = samples.rollout(strategy, replica_sets=(STABLE, samples.replica_set("new", 0)))
    assert sizes(decided(first)) == {"new": 1}
    second = samples.rollout(strategy, replica_sets=(STABLE, samples.replica_set("new", 1)))
    assert sizes(decided(second)) == {"stable": 3}


# Halting (canary 4.9)


@pytest.mark.parametrize(
    ("reason", "halts"), [("InconclusiveAnalysisRun", True), ("CanaryPauseStep", False)]
)
@pytest.mark.spec("canary 4.9")
def test_only_an_inconclusive_analysis_halts(reason: str, halts: bool) -> None:
    pauses = [{"reason": reason, "startTime": format_time(NOW)}]
    observed = routed((STABLE, samples.replica_set("new", 0)), status={"pauseConditions": pauses})
    assert is_halted(Draft(observed, NOW)) is halts
    assert (sizes(decided(observed)) == {}) is halts


@pytest.mark.spec("canary 4.9")
def test_a_person_halts_everything() -> None:
    observed = routed((STABLE, samples.replica_set("new", 0)), spec={"paused": True})
    assert sizes(decided(observed)) == {}


# Scaling events (rollout-api 9)


@pytest.mark.parametrize(
    ("replicas", "annotation", "is_event"),
    [(4, "4", False), (4, "3", True), (0, "3", False), (4, None, False)],
)
@pytest.mark.spec("canary 10.1")
@pytest.mark.spec("rollout-api 9")
def test_a_changed_size_is_an_event_for_what_runs(
    replicas: int, annotation: str | None, is_event: bool
) -> None:
    stable = samples.replica_set("stable", replicas, desired_annotation=annotation)
    observed = routed((stable, samples.replica_set("new", 0)))
    assert is_scaling_event(Draft(observed, NOW)) is is_event


@pytest.mark.spec("canary 10.1")
def test_other_revisions_make_no_event() -> None:
    stale = old("old", desired_annotation="9")
    observed = routed((STABLE, samples.replica_set("new", 0), stale))
    assert not is_scaling_event(Draft(observed, NOW))


# Abort (canary 4.5)


def aborted(new: ReplicaSet, *, delay: int | None = None, stable: ReplicaSet = STABLE) -> Draft:
    strategy = {} if delay is None else {"abortScaleDownDelaySeconds": delay}
    status = {"abort": True}
    return decided(routed((stable, new), status=status, strategy=strategy))


@pytest.mark.parametrize(("delay", "seconds"), [(None, 30), (7, 7)])
@pytest.mark.spec("canary 4.5")
def test_an_aborted_canary_stays_for_a_while(delay: int | None, seconds: int) -> None:
    draft = aborted(samples.replica_set("new", 1), delay=delay)
    assert sizes(draft) == {}
    assert deadlines(draft) == {"new": format_time(NOW + seconds)}
    assert draft.wake_at == NOW + seconds


@pytest.mark.spec("canary 4.5")
def test_the_delay_begins_when_stable_serves_alone() -> None:
    short = samples.replica_set("stable", 4, available=3)
    assert deadlines(aborted(samples.replica_set("new", 1), stable=short)) == {}


@pytest.mark.spec("canary 4.5")
def test_the_aborted_canary_goes_at_its_deadline() -> None:
    waiting = samples.replica_set("new", 1, scale_down_deadline=format_time(NOW + 5))
    draft = aborted(waiting)
    assert sizes(draft) == {}
    assert draft.wake_at == NOW + 5
    over = samples.replica_set("new", 1, scale_down_deadline=format_time(NOW))
    assert sizes(aborted(over)) == {"new": 0}


def test_an_unreadable_deadline_counts_for_nothing() -> None:
    assert sizes(aborted(samples.replica_set("new", 1, scale_down_deadline="soon"))) == {"new": 0}


def test_an_explicit_delay_of_0_keeps_the_pods() -> None:
    # Deviation 6: as documented, other than the reference does it.
    draft = aborted(samples.replica_set("new", 1), delay=0)
    assert (sizes(draft), deadlines(draft)) == ({}, {})


@pytest.mark.spec("canary 4.5")
def test_a_basic_canary_goes_at_once() -> None:
    sets = (samples.replica_set("stable", 3), samples.replica_set("new", 1))
    observed = samples.rollout({"steps": STEPS}, status={"abort": True}, replica_sets=sets)
    assert sizes(decided(observed)) == {"stable": 4}
    full = (STABLE, samples.replica_set("new", 1))
    observed = samples.rollout({"steps": STEPS}, status={"abort": True}, replica_sets=full)
    assert sizes(decided(observed)) == {"new": 0}


@pytest.mark.spec("canary 4.5")
@pytest.mark.spec("canary 10.13")
def test_a_retry_takes_the_deadline_back() -> None:
    waiting = samples.replica_set("new", 1, scale_down_deadline=format_time(NOW + 5))
    assert deadlines(decided(routed((STABLE, waiting), weight=25))) == {"new": None}


def test_stable_never_has_a_deadline() -> None:
    doomed = samples.replica_set("stable", scale_down_deadline=format_time(NOW + 5))
    assert deadlines(decided(routed((doomed, samples.replica_set("new", 1))))) == {"stable": None}


# Share (architecture, section 4)


def test_an_aborted_canary_keeps_the_pods_of_its_share() -> None:
    over = samples.replica_set("new", 2, scale_down_deadline=format_time(NOW))
    observed = routed((STABLE, over), weight=25, is_acknowledged=False, status={"abort": True})
    assert sizes(decided(observed)) == {"new": 1}


def test_a_canary_never_goes_below_its_share_when_a_step_lowers_it() -> None:
    observed = samples.routed(
        [{"setWeight": 50}, {"setWeight": 25}],
        weight=50,
        status={"currentStepIndex": 1},
        replica_sets=(STABLE, samples.replica_set("new", 2)),
    )
    assert sizes(decided(observed)) == {}


# Old revisions (canary 4.7, 4.8)

PROMOTED = {"stableRS": "new", "currentStepIndex": 2}


def promoted(*others: ReplicaSet, **more: Any) -> Draft:
    """A promoted update whose traffic is at the new version by an acknowledged route."""
    status = {**PROMOTED, "canary": None}
    services = (samples.service("active", "new"), samples.service("preview", "new"))
    sets = (samples.replica_set("new"), *others)
    return decided(
        samples.routed(STEPS, status=status, services=services, replica_sets=sets, **more)
    )


@pytest.mark.spec("canary 4.7")
def test_the_old_version_stays_for_its_delay() -> None:
    draft = promoted(old("old"), strategy={"scaleDownDelaySeconds": 5})
    assert sizes(draft) == {}
    assert deadlines(draft) == {"old": format_time(NOW + 5)}
    assert draft.wake_at == NOW + 5
    assert deadlines(promoted(old("old"))) == {"old": format_time(NOW + 30)}


@pytest.mark.spec("canary 4.7")
def test_the_old_version_goes_at_its_deadline() -> None:
    draft = promoted(old("old", scale_down_deadline=format_time(NOW)))
    assert sizes(draft) == {"old": 0}
    assert deadlines(draft) == {"old": None}
    assert sizes(promoted(old("old", scale_down_deadline="soon"))) == {"old": 0}


@pytest.mark.spec("canary 10.1")
def test_the_old_version_is_kept_until_its_deadline() -> None:
    later = format_time(NOW + 9)
    draft = promoted(old("old", scale_down_deadline=later, desired_annotation="3"))
    assert draft.effects == []
    assert draft.wake_at == NOW + 9


@pytest.mark.spec("canary 4.7")
def test_no_delay_scales_down_at_once() -> None:
    assert sizes(promoted(old("old"), strategy={"scaleDownDelaySeconds": 0})) == {"old": 0}


@pytest.mark.parametrize(("limit", "gone"), [(0, "newer"), (1, "older")])
@pytest.mark.spec("canary 4.7")
def test_only_so_many_old_versions_are_kept(limit: int, gone: str) -> None:
    later = format_time(NOW + 9)
    sets = (
        old("older", revision=3, scale_down_deadline=later),
        old("newer", revision=4, scale_down_deadline=later),
    )
    draft = promoted(*sets, strategy={"scaleDownDelayRevisionLimit": limit})
    assert sizes(draft) == {gone: 0}


@pytest.mark.spec("canary 4.8")
def test_an_old_version_that_carries_traffic_stays() -> None:
    over = old("stable", scale_down_deadline=format_time(NOW))
    headrace = samples.routed(STEPS, weight=0, is_acknowledged=False).headrace
    assert headrace.shares == {"stable": 100}
    assert sizes(promoted(over, headrace=headrace)) == {}


@pytest.mark.spec("canary 4.8")
def test_an_old_version_that_a_service_selects_stays() -> None:
    over = old("old", scale_down_deadline=format_time(NOW))
    services = (samples.service("active", "old"), samples.service("preview", "new"))
    observed = samples.routed(
        STEPS,
        status={**PROMOTED, "canary": None},
        services=services,
        replica_sets=(samples.replica_set("new"), over),
    )
    assert sizes(decided(observed)) == {}


@pytest.mark.parametrize(("replicas", "wanted"), [(4, {}), (0, {"old": 0})])
@pytest.mark.spec("canary 4.8")
def test_what_a_service_selects_goes_where_no_pods_are_wanted(
    replicas: int, wanted: dict[str, int]
) -> None:
    services = (samples.service("active", "old"), samples.service("preview", "old"))
    observed = samples.routed(
        STEPS,
        spec={"replicas": replicas},
        status={**PROMOTED, "canary": None},
        services=services,
        strategy={"dynamicStableScale": True},
        replica_sets=(samples.replica_set("new", replicas), old("old", 1)),
    )
    assert sizes(decided(observed)) == wanted


@pytest.mark.spec("canary 4.7")
def test_an_abandoned_version_goes_at_once_in_the_middle_of_an_update() -> None:
    sets = (STABLE, samples.replica_set("new", 1), old("old", 2, revision=2))
    assert sizes(decided(routed(sets, weight=25))) == {"old": 0}


@pytest.mark.spec("canary 4.7")
@pytest.mark.spec("canary 10.14")
def test_pods_that_do_not_work_go_first() -> None:
    sets = (STABLE, samples.replica_set("new", 1), old("old", 3, available=1))
    assert sizes(decided(routed(sets, weight=25))) == {"old": 1}


@pytest.mark.spec("canary 4.7")
def test_old_versions_fill_in_while_pods_are_missing() -> None:
    few = samples.replica_set("stable", 4, available=1)
    sets = (few, samples.replica_set("new", 1, available=0), old("old", 2))
    assert sizes(decided(routed(sets))) == {}


@pytest.mark.spec("canary 4.7")
def test_a_pod_that_is_to_go_is_not_counted_twice() -> None:
    # The status still says what was available before the first of the two was scaled down.
    sets = (
        samples.replica_set("stable", 3),
        samples.replica_set("new", 1, available=0),
        old("older", 1, available=2, revision=3),
    )
    strategy = {"steps": STEPS, "maxUnavailable": 0, "maxSurge": 1}
    assert sizes(decided(samples.rollout(strategy, replica_sets=sets))) == {}


@pytest.mark.spec("canary 4.7")
def test_a_basic_canary_takes_from_the_newest_old_version_first() -> None:
    sets = (
        samples.replica_set("stable", 2),
        samples.replica_set("new", 1),
        old("older", 1, revision=3),
        old("newer", 1, revision=4),
    )
    strategy = {"steps": STEPS, "maxUnavailable": 0, "maxSurge": 1}
    assert sizes(decided(samples.rollout(strategy, replica_sets=sets))) == {"newer": 0}
