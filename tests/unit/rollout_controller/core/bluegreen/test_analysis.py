"""The runs before and after the switch (bluegreen 7)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.analysis import AnalysisTemplateSpec
from headrace.model.meta import format_time
from rollout_controller.core import samples
from rollout_controller.core.bluegreen.analysis import (
    is_post_promotion_passed,
    is_pre_promotion_passed,
    reconcile_analysis,
)
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import RunObject
from rollout_controller.core.plan import CreateRun, TerminateRun

pytestmark = pytest.mark.spec("bluegreen 7")

TIME = format_time(samples.NOW)
READY = (samples.replica_set("stable"), samples.replica_set("new"))
TEMPLATE = AnalysisTemplateSpec.load(
    {"metrics": [{"name": "m", "count": 1, "provider": {"prometheus": {"query": "up"}}}]}
)
ANALYSIS = {"templates": [{"templateName": "ratio"}]}
BEFORE = {"prePromotionAnalysis": ANALYSIS}
AFTER = {"postPromotionAnalysis": ANALYSIS}
FIELDS = {"pre": "prePromotionAnalysisRunStatus", "post": "postPromotionAnalysisRunStatus"}


def decided(
    strategy: dict[str, Any], *runs: RunObject, claimed: dict[str, str] | None = None, **more: Any
) -> Draft:
    """The pass of a Rollout whose status names the run `run` with a phase, by `pre` or `post`."""
    more.setdefault("replica_sets", READY)
    references = {FIELDS[kind]: {"name": "run", "status": p} for kind, p in (claimed or {}).items()}
    status = {"blueGreen": references, **more.pop("status", {})}
    observed = samples.blue_green(strategy, runs=runs, status=status, **more)
    observed = replace(
        observed, references=replace(observed.references, templates={"ratio": TEMPLATE})
    )
    draft = Draft(observed, samples.NOW)
    reconcile_analysis(draft)
    return draft


def created(draft: Draft) -> list[str]:
    return [e.manifest["metadata"]["name"] for e in draft.effects if isinstance(e, CreateRun)]


def terminated(draft: Draft) -> list[str]:
    return [e.name for e in draft.effects if isinstance(e, TerminateRun)]


@pytest.mark.parametrize(
    ("strategy", "active", "name", "kind"),
    [
        (BEFORE, "stable", "app-new-2-pre", "PrePromotion"),
        (AFTER, "new", "app-new-2-post", "PostPromotion"),
    ],
)
def test_a_run_is_named_and_labelled_by_its_side_of_the_switch(
    strategy: dict[str, Any], active: str, name: str, kind: str
) -> None:
    draft = decided(strategy, active=active)
    assert created(draft) == [name]
    (effect,) = draft.effects
    assert isinstance(effect, CreateRun)
    metadata = effect.manifest["metadata"]
    assert metadata["labels"]["rollout-type"] == kind
    assert metadata["annotations"]["headrace.io/cause"] == f"2.{kind.lower()}.0"
    assert [run.name for run in draft.runs.values()] == [name]


@pytest.mark.parametrize(
    ("strategy", "more"),
    [
        (BEFORE, {"active": "new"}),
        (BEFORE, {"active": "", "status": {"stableRS": "gone"}}),
        (BEFORE, {"replica_sets": (READY[0], samples.replica_set("new", 4, available=3))}),
        (BEFORE | {"previewReplicaCount": 2}, {}),
        (BEFORE, {"status": {"stableRS": "new"}}),
        (BEFORE, {"status": {"stableRS": None}}),
        (BEFORE, {"status": {"abort": True}}),
        (BEFORE, {"status": {"promoteFull": True}}),
        (AFTER, {"active": "stable"}),
        (AFTER, {"active": "new", "replica_sets": (READY[0], samples.replica_set("new", 3))}),
        ({"prePromotionAnalysis": {"templates": []}}, {}),
        ({}, {}),
    ],
    ids=[
        "switched already",
        "first deployment",
        "pods are missing",
        "another size than the preview's",
        "stable already",
        "nothing stable yet",
        "aborted",
        "promote full",
        "not switched yet",
        "not whole after the switch",
        "no templates",
        "not configured",
    ],
)
def test_nothing_is_judged(strategy: dict[str, Any], more: dict[str, Any]) -> None:
    assert created(decided(strategy, **more)) == []


def test_a_small_preview_is_judged_at_its_size() -> None:
    sets = (READY[0], samples.replica_set("new", 2))
    assert created(decided(BEFORE | {"previewReplicaCount": 2}, replica_sets=sets))


@pytest.mark.parametrize(
    ("strategy", "side", "active", "text"),
    [
        (BEFORE, "pre", "stable", "Blue/green pre-promotion analysis phase error/failed"),
        (AFTER, "post", "new", "Blue/green post-promotion analysis phase error/failed"),
    ],
)
@pytest.mark.parametrize(
    ("phase", "message", "suffix"), [("Failed", "", ""), ("Error", "x", ": x")]
)
def test_a_failure_aborts(
    strategy: dict[str, Any],
    side: str,
    active: str,
    text: str,
    phase: str,
    message: str,
    suffix: str,
) -> None:
    run = samples.run("run", phase, message=message)
    draft = decided(strategy, run, claimed={side: "Running"}, active=active)
    assert draft.aborted_now
    assert draft.abort_message == text + suffix
    (event,) = draft.events
    assert event.type == "Warning"
    assert event.message.endswith(f"Status New: '{phase}' Previous: 'Running'")


def test_an_inconclusive_run_waits_for_a_person() -> None:
    draft = decided(BEFORE, samples.run("run", "Inconclusive"), claimed={"pre": "Running"})
    assert draft.pauses_added == ["InconclusiveAnalysisRun"]
    assert not draft.aborted_now


PAUSE = {
    "pauseConditions": [{"reason": "InconclusiveAnalysisRun", "startTime": TIME}],
    "controllerPause": True,
}


def test_nothing_is_judged_anew_before_the_person_has_spoken() -> None:
    run = samples.run("run", "Inconclusive")
    draft = decided(BEFORE, run, claimed={"pre": "Inconclusive"}, status=PAUSE)
    assert draft.effects == []
    assert draft.runs["PrePromotion"].status == "Inconclusive"


def test_a_resume_judges_anew() -> None:
    run = samples.run("run", "Inconclusive")
    resumed = {"controllerPause": True}
    draft = decided(BEFORE, run, claimed={"pre": "Inconclusive"}, status=resumed)
    assert created(draft) == ["app-new-2-pre"]


@pytest.mark.parametrize("status", [{"abort": True, "abortedAt": TIME}, {"promoteFull": True}])
def test_what_is_cancelled_stays_in_the_status(status: dict[str, Any]) -> None:
    draft = decided(BEFORE, samples.run("run"), claimed={"pre": "Running"}, status=status)
    assert terminated(draft) == ["run"]
    assert draft.runs["PrePromotion"].status == "Running"


def test_a_run_is_ended_when_the_switch_comes_first() -> None:
    draft = decided(BEFORE, samples.run("run"), claimed={"pre": "Running"}, active="new")
    assert terminated(draft) == ["run"]
    assert draft.runs["PrePromotion"].name == "run"


def test_a_run_that_is_no_longer_asked_for_leaves_the_status() -> None:
    draft = decided({}, samples.run("run"), claimed={"pre": "Running"})
    assert terminated(draft) == ["run"]
    assert draft.runs == {}


@pytest.mark.spec("bluegreen 9")
def test_a_retry_counts_nothing_of_the_attempt_before() -> None:
    retried = {"abortedAt": TIME}
    run = samples.run("run", "Successful")
    draft = decided(BEFORE, run, claimed={"pre": "Successful"}, status=retried)
    assert not is_pre_promotion_passed(draft)
    assert created(draft) == ["app-new-2-pre"]
    draft = decided(AFTER, run, claimed={"post": "Successful"}, status=retried)
    assert not is_post_promotion_passed(draft)
    assert "PostPromotion" not in draft.runs


@pytest.mark.parametrize(
    ("phase", "is_passed"), [("Successful", True), ("Running", False), ("Failed", False)]
)
def test_only_success_passes(phase: str, is_passed: bool) -> None:
    run = samples.run("run", phase)
    draft = decided(BEFORE, run, claimed={"pre": "Running"})
    assert is_pre_promotion_passed(draft) is is_passed
    draft = decided(AFTER, run, claimed={"post": "Running"}, active="new")
    assert is_post_promotion_passed(draft) is is_passed


def test_what_is_not_configured_passes() -> None:
    assert is_pre_promotion_passed(decided({}))
    assert is_post_promotion_passed(decided({}))
