"""Analysis runs of a canary: which exist, and what their verdicts mean (canary 7)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.analysis import AnalysisTemplateSpec
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from rollout_controller.core import labels, samples
from rollout_controller.core.canary.analysis import reconcile_analysis
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Observed, References, RunObject
from rollout_controller.core.plan import CreateRun, DeleteRun, TerminateRun

pytestmark = pytest.mark.spec("canary 7")

ANALYSIS = {"templates": [{"templateName": "ratio"}]}
TEMPLATE = AnalysisTemplateSpec.load(
    {"metrics": [{"name": "ratio", "provider": {"prometheus": {"query": "up"}}}]}
)
STEP: dict[str, Any] = {"steps": [{"analysis": ANALYSIS}, {"setWeight": 10}]}
BACKGROUND: dict[str, Any] = {"analysis": ANALYSIS, "steps": [{"setWeight": 10}, {"pause": {}}]}


def observe(
    strategy: dict[str, Any], *runs: RunObject, claimed: str | None = None, **more: Any
) -> Observed:
    """A Rollout whose status names the run `run` with the phase `claimed`."""
    kind = "Background" if "analysis" in strategy else "Step"
    status = more.pop("status", {})
    if claimed is not None:
        reference = {"name": "run", "status": claimed}
        status = {"canary": {f"current{kind}AnalysisRunStatus": reference}, **status}
    references = more.pop("references", References(templates={"ratio": TEMPLATE}))
    return samples.rollout(strategy, status=status, runs=runs, references=references, **more)


def decided(observed: Observed) -> Draft:
    draft = Draft(observed, samples.NOW)
    reconcile_analysis(draft)
    return draft


def created(draft: Draft) -> list[dict[str, Any]]:
    return [effect.manifest for effect in draft.effects if isinstance(effect, CreateRun)]


def terminated(draft: Draft) -> list[str]:
    return [effect.name for effect in draft.effects if isinstance(effect, TerminateRun)]


def deleted(draft: Draft) -> list[str]:
    return [effect.name for effect in draft.effects if isinstance(effect, DeleteRun)]


def step_run(phase: str = "Running", **changes: Any) -> RunObject:
    return samples.run("run", phase, step_index="0", **changes)


# Creation


def test_a_step_run_is_named_and_labelled_by_its_step() -> None:
    draft = decided(observe(STEP))
    (manifest,) = created(draft)
    metadata = manifest["metadata"]
    assert metadata["name"] == "app-new-2-0"
    assert metadata["labels"] == {
        "rollout-type": "Step",
        "rollouts-pod-template-hash": "new",
        "step-index": "0",
        "app": "app",
    }
    assert metadata["annotations"] == {
        labels.REVISION: "2",
        labels.CAUSE: "2.0.0",
        "headrace.io/key": "default/app",
    }
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Rollout", "uid-app", True)
    assert [metric["name"] for metric in manifest["spec"]["metrics"]] == ["ratio"]
    assert "Step" in draft.runs
    assert (draft.runs["Step"].name, draft.runs["Step"].status) == ("app-new-2-0", "")


def test_a_background_run_has_no_step() -> None:
    (manifest,) = created(decided(observe(BACKGROUND)))
    metadata = manifest["metadata"]
    assert metadata["name"] == "app-new-2"
    assert metadata["labels"]["rollout-type"] == "Background"
    assert "step-index" not in metadata["labels"]
    assert metadata["annotations"][labels.CAUSE] == "2.background.0"


@pytest.mark.spec("rollout-api 7.1")
def test_the_users_metadata_is_overridden_by_the_selector_only() -> None:
    own = {
        "labels": {"app": "mine", "team": "a", "rollout-type": "mine"},
        "annotations": {"n": "1"},
    }
    strategy = {"steps": [{"analysis": ANALYSIS | {"analysisRunMetadata": own}}]}
    observed = observe(strategy, labels={labels.INSTANCE_ID: "blue"})
    (manifest,) = created(decided(observed))
    found = manifest["metadata"]["labels"]
    assert (found["app"], found["team"], found["rollout-type"]) == ("app", "a", "mine")
    assert found[labels.INSTANCE_ID] == "blue"
    assert manifest["metadata"]["annotations"]["n"] == "1"


def unclaimed(strategy: dict[str, Any], phase: str = "Running", **changes: Any) -> RunObject:
    """The run that a pass creates, whose claim was lost."""
    (manifest,) = created(decided(observe(strategy)))
    return samples.run(manifest["metadata"]["name"], phase, manifest=manifest, **changes)


def test_a_run_that_this_very_cause_created_is_adopted() -> None:
    draft = decided(observe(STEP, unclaimed(STEP, "Successful")))
    assert created(draft) == []
    assert "Step" in draft.runs
    assert draft.runs["Step"].status == "Successful"


@pytest.mark.parametrize("strategy", [STEP, BACKGROUND])
def test_a_run_that_is_adopted_goes_on(strategy: dict[str, Any]) -> None:
    assert decided(observe(strategy, unclaimed(strategy))).effects == []


@pytest.mark.parametrize("going", [{"is_deleting": True}, {"is_terminating": True}])
def test_a_run_that_is_going_away_is_not_adopted(going: dict[str, bool]) -> None:
    assert len(created(decided(observe(STEP, unclaimed(STEP, "Successful", **going))))) == 1


def test_of_another_attempt_only_one_that_goes_on_is_adopted() -> None:
    later = observe(STEP)
    headrace = later.headrace.model_copy(update={"attempt": 1})
    for phase, made in (("Running", 0), ("", 0), ("Successful", 1), ("Failed", 1)):
        observed = replace(later, headrace=headrace, runs=(unclaimed(STEP, phase),))
        assert len(created(decided(observed))) == made


def test_the_background_waits_for_its_step() -> None:
    late = BACKGROUND | {"analysis": ANALYSIS | {"startingStep": 1}}
    assert created(decided(observe(late))) == []
    assert len(created(decided(observe(late, status={"currentStepIndex": 1})))) == 1


def test_a_template_that_is_gone_is_a_failure_to_try_again() -> None:
    draft = decided(observe(STEP, references=References()))
    assert draft.effects == []
    assert draft.failure == "AnalysisTemplate 'ratio' not found"
    assert draft.wake_at is not None


def test_an_analysis_without_templates_is_none() -> None:
    draft = decided(observe({"steps": [{"analysis": {}}]}))
    assert draft.effects == []


# Verdicts


@pytest.mark.parametrize(("phase", "type_"), [("Running", "Normal"), ("Failed", "Warning")])
def test_a_new_phase_is_told_once(phase: str, type_: str) -> None:
    told = decided(observe(STEP, step_run(phase), claimed=""))
    (event,) = told.events
    assert (event.reason, event.type) == (f"AnalysisRun{phase}", type_)
    assert event.message == (
        f"Step Analysis Run 'run' Status New: '{phase}' Previous: 'NoPreviousStatus'"
    )
    assert decided(observe(STEP, step_run(phase), claimed=phase)).events == []


def test_the_previous_phase_is_named() -> None:
    run = samples.run("run", "Failed")
    (event,) = decided(observe(BACKGROUND, run, claimed="Running")).events
    assert event.message == "Background Analysis Run 'run' Status New: 'Failed' Previous: 'Running'"


@pytest.mark.parametrize("phase", ["Failed", "Error"])
@pytest.mark.parametrize(
    ("strategy", "run", "title"),
    [(STEP, step_run(), "Step-based"), (BACKGROUND, samples.run("run"), "Background")],
)
def test_a_bad_verdict_aborts(
    strategy: dict[str, Any], run: RunObject, title: str, phase: str
) -> None:
    bad = replace(run, phase=phase, message="too many errors")
    draft = decided(observe(strategy, bad, claimed="Running"))
    assert draft.is_aborted
    assert draft.abort_message == f"{title} analysis phase error/failed: too many errors"


def test_a_verdict_without_message_has_no_colon() -> None:
    draft = decided(observe(STEP, step_run("Failed"), claimed="Running"))
    assert draft.abort_message == "Step-based analysis phase error/failed"


def test_an_unclear_verdict_pauses() -> None:
    draft = decided(observe(STEP, step_run("Inconclusive"), claimed="Running"))
    assert not draft.is_aborted
    assert [pause.reason for pause in draft.pause_conditions()] == ["InconclusiveAnalysisRun"]


def test_a_good_verdict_stays() -> None:
    draft = decided(observe(BACKGROUND, samples.run("run", "Successful"), claimed="Successful"))
    assert draft.effects == []
    assert "Background" in draft.runs


# Pauses, resume and retry


def pauses(reason: str) -> dict[str, Any]:
    condition = {"reason": reason, "startTime": format_time(samples.NOW)}
    return {"pauseConditions": [condition], "controllerPause": True}


@pytest.mark.spec("canary 10.19")
def test_a_step_run_is_not_judged_while_paused() -> None:
    status = pauses("CanaryPauseStep")
    draft = decided(observe(STEP, step_run("Failed"), claimed="Running", status=status))
    assert not draft.is_aborted
    assert "Step" in draft.runs


@pytest.mark.spec("canary 10.19")
def test_a_background_run_is_judged_during_a_pause_step() -> None:
    status = pauses("CanaryPauseStep")
    run = samples.run("run", "Failed")
    assert decided(observe(BACKGROUND, run, claimed="Running", status=status)).is_aborted


def test_nothing_is_judged_while_a_person_looks_at_an_unclear_verdict() -> None:
    status = pauses("InconclusiveAnalysisRun")
    run = samples.run("run", "Failed")
    draft = decided(observe(BACKGROUND, run, claimed="Inconclusive", status=status))
    assert not draft.is_aborted
    assert created(draft) == []


def test_resuming_after_an_unclear_verdict_measures_again() -> None:
    status = {"controllerPause": True}
    draft = decided(observe(STEP, step_run("Inconclusive"), claimed="Inconclusive", status=status))
    (manifest,) = created(draft)
    assert manifest["metadata"]["annotations"][labels.CAUSE] == "2.0.1"


def test_a_retry_measures_again() -> None:
    status = {"abortedAt": format_time(samples.NOW)}
    draft = decided(observe(STEP, step_run("Failed"), claimed="Failed", status=status))
    (manifest,) = created(draft)
    assert manifest["metadata"]["annotations"][labels.CAUSE] == "2.0.1"
    assert not draft.is_aborted


# The end of runs


def test_a_run_of_another_step_is_ended() -> None:
    status = {"currentStepIndex": 1}
    draft = decided(observe(STEP, step_run(), claimed="Running", status=status))
    assert terminated(draft) == ["run"]
    assert "Step" not in draft.runs


@pytest.mark.parametrize(
    "status",
    [
        {"stableRS": "new"},
        {"abort": True},
        {"promoteFull": True},
        {"stableRS": None},
    ],
    ids=["promoted", "aborted", "promote full", "first deployment"],
)
def test_nothing_is_measured_when_nothing_can_follow(status: dict[str, Any]) -> None:
    draft = decided(observe(BACKGROUND, samples.run("run"), claimed="Running", status=status))
    assert terminated(draft) == ["run"]
    assert created(draft) == []
    assert "Background" not in draft.runs


def test_a_run_is_ended_once_and_never_when_it_is_over() -> None:
    over = samples.run("over", "Successful")
    ending = samples.run("ending", is_terminating=True)
    assert terminated(decided(observe({"steps": []}, over, ending))) == []


# The history (analysis 8)


def aged(name: str, phase: str, seconds_ago: int, **changes: Any) -> RunObject:
    return samples.run(name, phase, created_at=Instant(samples.NOW - seconds_ago), **changes)


def test_the_newest_runs_of_each_outcome_are_kept() -> None:
    runs = [aged(f"good-{age}", "Successful", age) for age in range(7)]
    runs += [aged(f"bad-{age}", "Failed", age) for age in range(7)]
    assert deleted(decided(observe({"steps": []}, *runs))) == [
        "good-5",
        "bad-5",
        "good-6",
        "bad-6",
    ]


def test_the_limits_are_the_users() -> None:
    limits = {"successfulRunHistoryLimit": 0, "unsuccessfulRunHistoryLimit": 1}
    runs = [
        aged("good", "Successful", 1),
        aged("error", "Error", 2),
        aged("odd", "Inconclusive", 3),
    ]
    observed = observe({"steps": []}, *runs, spec={"analysis": limits})
    assert deleted(decided(observed)) == ["good", "odd"]


def test_runs_of_revisions_that_are_gone_go_too() -> None:
    gone = aged("gone", "Successful", 1, pod_hash="old")
    running = aged("running", "Running", 1, pod_hash="old")
    assert deleted(decided(observe({"steps": []}, gone, running))) == ["gone"]


def test_the_current_run_is_kept_whatever_the_limit() -> None:
    limits = {"successfulRunHistoryLimit": 0}
    run = samples.run("run", "Successful")
    observed = observe(BACKGROUND, run, claimed="Successful", spec={"analysis": limits})
    assert deleted(decided(observed)) == []
