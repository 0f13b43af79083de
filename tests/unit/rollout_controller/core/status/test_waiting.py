"""Why a Rollout does not move (architecture, section 4)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.headrace_status import Waiting
from headrace.model.meta import format_time
from headrace.model.rollout_status import AnalysisRunReference
from rollout_controller.core import samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.scaling import scale
from rollout_controller.core.status.waiting import EXPECTED_SECONDS, calculate

NOW = format_time(samples.NOW)
READY = (samples.replica_set("stable"), samples.replica_set("new", 1))


def drafted(*steps: dict[str, Any], **more: Any) -> Draft:
    more.setdefault("replica_sets", READY)
    return Draft(samples.rollout({"steps": steps}, **more), samples.NOW)


def waiting(draft: Draft, old: Waiting | None = None) -> Waiting | None:
    return calculate(draft, draft.status, old)


def reason(draft: Draft) -> str | None:
    found = waiting(draft)
    return found.reason if found else None


def routed(**more: Any) -> Draft:
    observed = samples.routed([{"setWeight": 25}], replica_sets=READY, **more)
    draft = Draft(observed, samples.NOW)
    draft.request = observed.headrace.route
    return draft


def test_waits_for_the_router() -> None:
    found = waiting(routed(weight=25, is_acknowledged=False))
    assert found is not None
    assert (found.reason, found.on, found.since) == ("RouteAcknowledgement", "route epoch 1", NOW)


def test_says_what_the_router_could_not_do() -> None:
    draft = routed(weight=25, is_acknowledged=False)
    draft.route_error = "no such TrafficSplit"
    found = waiting(draft)
    assert found is not None
    assert (found.reason, found.unblock) == ("RouteFailed", "no such TrafficSplit")


def test_says_what_failed() -> None:
    draft = drafted()
    draft.fail("AnalysisTemplate 'a' not found", on="analysis run")
    found = waiting(draft)
    assert found is not None
    assert (found.reason, found.unblock) == ("Failure", "AnalysisTemplate 'a' not found")


def test_waits_for_the_person_who_holds_everything() -> None:
    assert reason(drafted(spec={"paused": True})) == "ManualPause"


@pytest.mark.parametrize(
    ("pause", "kind", "wanted", "deadline"),
    [
        ({}, "CanaryPauseStep", "Person", None),
        ({"duration": 60}, "CanaryPauseStep", "Duration", format_time(samples.NOW + 60)),
        ({"duration": 60}, "InconclusiveAnalysisRun", "Person", None),
    ],
)
def test_waits_for_a_person_or_for_time(
    pause: dict[str, Any], kind: str, wanted: str, deadline: str | None
) -> None:
    status = {"pauseConditions": [{"reason": kind, "startTime": NOW}]}
    found = waiting(drafted({"pause": pause}, status=status))
    assert found is not None
    assert (found.reason, found.deadline) == (wanted, deadline)


def test_waits_for_a_verdict() -> None:
    assert reason(drafted({"analysis": {"templates": [{"templateName": "t"}]}})) == "Verdict"


def test_waits_for_pods_that_this_pass_asks_for() -> None:
    draft = drafted({"setWeight": 50})
    assert draft.new is not None
    scale(draft, draft.new, draft.new.replicas + 1)
    found = waiting(draft)
    assert found is not None
    assert (found.reason, found.on) == ("CanaryPods", "app-new")


def test_waits_for_pods() -> None:
    sets = (samples.replica_set("stable"), samples.replica_set("new", 2, available=1))
    found = waiting(drafted({"setWeight": 50}, replica_sets=sets))
    assert found is not None
    assert (found.reason, found.on) == ("CanaryPods", "app-new")
    sets = (samples.replica_set("stable", 4, available=1), samples.replica_set("new", 1))
    assert reason(drafted({"setWeight": 25}, replica_sets=sets)) == "StablePods"


def test_waits_for_pods_that_died_after_the_promotion() -> None:
    promoted = {"stableRS": "new"}
    sets = (samples.replica_set("stable", 0), samples.replica_set("new", available=3))
    found = waiting(drafted(replica_sets=sets, status=promoted))
    assert found is not None
    assert (found.reason, found.on) == ("PromotedPods", "app-new")


def test_waits_for_the_pods_that_an_aborted_update_left() -> None:
    sets = (samples.replica_set("stable", available=1), samples.replica_set("new", 0))
    assert reason(drafted(replica_sets=sets, status={"abort": True})) == "StablePods"


@pytest.mark.parametrize(
    ("threshold", "wanted"),
    [
        ({"type": "Percent", "value": 100}, None),
        ({"type": "Percent", "value": 101}, "ReplicaProgressThreshold"),
        ({"type": "Pods", "value": 1}, None),
        ({"type": "Pods", "value": 2}, "ReplicaProgressThreshold"),
    ],
)
def test_waits_for_a_threshold_that_no_pods_can_reach(
    threshold: dict[str, Any], wanted: str | None
) -> None:
    strategy = {"steps": [{"setWeight": 25}], "replicaProgressThreshold": threshold}
    draft = Draft(samples.rollout(strategy, replica_sets=READY), samples.NOW)
    assert reason(draft) == wanted


@pytest.mark.parametrize("status", [{"stableRS": "new"}, {"abort": True}])
def test_nothing_is_awaited_when_nothing_is_to_come(status: dict[str, Any]) -> None:
    assert reason(drafted(status=status)) is None


def test_changes_only_with_its_reason() -> None:
    draft = drafted(spec={"paused": True})
    first = waiting(draft)
    later = Draft(replace(draft.observed), type(samples.NOW)(samples.NOW + 60))
    assert calculate(later, later.status, first) == first
    other = Waiting(reason="Person", since=format_time(samples.NOW - 60), on="x")
    changed = waiting(draft, other)
    assert changed is not None
    assert changed.since == NOW


def blue_green(strategy: dict[str, Any] | None = None, **more: Any) -> Draft:
    more.setdefault("replica_sets", (samples.replica_set("stable"), samples.replica_set("new")))
    return Draft(samples.blue_green(strategy, **more), samples.NOW)


PAUSED = {"pauseConditions": [{"reason": "BlueGreenPause", "startTime": NOW}]}


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ({"autoPromotionEnabled": False}, "Person"),
        ({"autoPromotionEnabled": False, "autoPromotionSeconds": 60}, "Person"),
        ({"autoPromotionSeconds": 60}, "Duration"),
    ],
)
def test_blue_green_waits_for_a_person_or_a_countdown(
    strategy: dict[str, Any], wanted: str
) -> None:
    found = waiting(blue_green(strategy, status=PAUSED))
    assert found is not None
    assert found.reason == wanted
    end = format_time(samples.NOW + 60)
    assert found.deadline == (end if wanted == "Duration" else None)


def test_blue_green_waits_for_a_verdict() -> None:
    draft = blue_green()
    draft.runs["PrePromotion"] = AnalysisRunReference(name="run", status="Running")
    found = waiting(draft)
    assert found is not None
    assert (found.reason, found.on) == ("Verdict", "run")
    draft.runs["PrePromotion"] = AnalysisRunReference(name="run", status="Successful")
    assert waiting(draft) is None


def test_an_aborted_blue_green_waits_for_stable_to_answer() -> None:
    aborted = {"abort": True}
    assert reason(blue_green(status=aborted, active="new")) == "StablePods"
    assert reason(blue_green(status=aborted)) is None


def seconds_later(draft: Draft, seconds: float) -> Draft:
    later = Draft(draft.observed, type(samples.NOW)(samples.NOW + seconds))
    later.request, later.route_error = draft.request, draft.route_error
    return later


def test_another_text_about_the_same_wait_does_not_begin_it_anew() -> None:
    draft = routed(weight=25, is_acknowledged=False)
    first = waiting(draft)
    later = seconds_later(draft, 40)
    later.route_error = "no such TrafficSplit"
    second = waiting(later, first)
    assert second is not None
    assert (second.reason, second.since, second.stuck) == ("RouteFailed", NOW, None)
    third = waiting(seconds_later(draft, EXPECTED_SECONDS), second)
    assert third is not None
    assert third.stuck == third.expected == format_time(samples.NOW + EXPECTED_SECONDS)
    assert waiting(seconds_later(draft, 90), third) == third


@pytest.mark.parametrize(
    ("draft", "expected"),
    [
        (drafted(spec={"paused": True}), None),
        (
            drafted(
                {"pause": {"duration": 60}},
                status={"pauseConditions": [{"reason": "CanaryPauseStep", "startTime": NOW}]},
            ),
            60 + EXPECTED_SECONDS,
        ),
        (drafted({"analysis": {"templates": [{"templateName": "t"}]}}), EXPECTED_SECONDS),
    ],
)
def test_each_wait_knows_by_when_it_should_have_ended(draft: Draft, expected: float | None) -> None:
    found = waiting(draft)
    assert found is not None
    wanted = None if expected is None else format_time(samples.NOW + expected)
    assert found.expected == wanted


def test_a_run_that_has_begun_may_take_its_time() -> None:
    draft = drafted({"analysis": {"templates": [{"templateName": "t"}]}})
    draft.runs["Step"] = AnalysisRunReference(name="run", status="Running")
    found = waiting(draft)
    assert found is not None
    assert (found.on, found.expected) == ("run", None)
