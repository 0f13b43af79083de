"""The experiment step, sentence by sentence of canary 8, 5.5 and experiment 9."""

from collections.abc import Mapping
from typing import Any

import pytest

from rollout_controller.core import labels, samples
from rollout_controller.core.canary.experiment import FAILED, destinations, reconcile_experiments
from rollout_controller.core.decide import decide
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ExperimentObject, Observed
from rollout_controller.core.plan import CreateExperiment, DeleteExperiment, TerminateExperiment

pytestmark = pytest.mark.spec("canary 8")

NOW = samples.NOW
BASE = {"name": "base", "specRef": "stable", "weight": 5}
OTHER = {"name": "new", "specRef": "canary"}
STEP: dict[str, Any] = {"experiment": {"templates": [BASE, OTHER]}}
WEIGHT = {"setWeight": 20}


def observe(
    *experiments: ExperimentObject,
    step: Mapping[str, Any] = STEP,
    steps: tuple[Mapping[str, Any], ...] | None = None,
    current: str = "",
    status: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Observed:
    """Return an update at its first step, which is the experiment."""
    canary = {"canary": {"currentExperiment": current}} if current else {}
    return samples.rollout(
        {"steps": list(steps or (step, WEIGHT))},
        status={**canary, **(status or {})},
        replica_sets=(samples.replica_set("stable"), samples.replica_set("new", 1)),
        experiments=experiments,
        **changes,
    )


def reconciled(*args: Any, **changes: Any) -> Draft:
    draft = Draft(observe(*args, **changes), NOW)
    reconcile_experiments(draft)
    return draft


def made(experiment: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    (create,) = reconciled(step={"experiment": experiment}, **changes).effects
    assert isinstance(create, CreateExperiment)
    return create.manifest


# Creation


def test_an_experiment_has_name_labels_and_annotations_of_its_step() -> None:
    draft = reconciled(labels={"team": "a", labels.INSTANCE_ID: "blue"})
    (create,) = draft.effects
    assert isinstance(create, CreateExperiment)
    metadata = create.manifest["metadata"]
    assert draft.experiment == metadata["name"] == "app-new-2-0"
    assert metadata["labels"] == {
        "team": "a",
        labels.INSTANCE_ID: "blue",
        labels.HASH: "new",
        labels.STEP_INDEX: "0",
    }
    assert metadata["annotations"] == {
        labels.REVISION: "2",
        labels.CAUSE: "2.0.0",
        "headrace.io/key": "default/app",
    }
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Rollout", "uid-app", True)


def test_members_of_the_step_are_members_of_the_spec() -> None:
    bare = made({"templates": [OTHER]})["spec"]
    assert set(bare) == {"templates"}
    forwarded = {
        "duration": "5m",
        "scaleDownDelaySeconds": 0,
        "dryRun": [{"metricName": "m"}],
        "analysisRunMetadata": {"labels": {"a": "b"}},
    }
    spec = made({"templates": [OTHER], **forwarded}, spec={"progressDeadlineSeconds": 9})["spec"]
    del spec["templates"]
    assert spec == {**forwarded, "progressDeadlineSeconds": 9}


@pytest.mark.parametrize(("role", "pod_hash"), [("canary", "new"), ("stable", "stable")])
def test_a_template_is_a_copy_of_the_replica_set(role: str, pod_hash: str) -> None:
    (template,) = made({"templates": [{"name": "x", "specRef": role}]})["spec"]["templates"]
    rs = samples.replica_set(pod_hash)
    spec = rs.manifest["spec"]
    assert template == {"name": "x", "selector": spec["selector"], "template": spec["template"]}


def test_members_of_a_template_come_over_those_of_the_replica_set() -> None:
    given = {
        "name": "x",
        "specRef": "canary",
        "replicas": 3,
        "metadata": {"labels": {"role": "x"}, "annotations": {"why": "y"}},
        "selector": {"matchLabels": {"app": "x"}},
    }
    (template,) = made({"templates": [given]})["spec"]["templates"]
    assert template["replicas"] == 3
    assert template["selector"] == {"matchLabels": {"app": "x", "role": "x"}}
    assert template["template"]["metadata"] == {
        "labels": {"app": "app", "role": "x"},
        "annotations": {"why": "y"},
    }
    stored = samples.replica_set("new").manifest["spec"]["template"]["metadata"]
    assert stored == {"labels": {"app": "app"}}


@pytest.mark.spec("experiment 9")
@pytest.mark.parametrize(
    ("members", "service"),
    [
        ({}, None),
        ({"weight": 5}, {}),
        ({"weight": 0}, {}),
        ({"service": {}}, {}),
        ({"service": {"name": "mine"}}, {"name": "mine"}),
        ({"service": {"name": "mine"}, "weight": 5}, {"name": "mine"}),
    ],
)
def test_a_weight_or_a_word_makes_a_service(members: dict[str, Any], service: Any) -> None:
    (template,) = made({"templates": [{**OTHER, **members}]})["spec"]["templates"]
    assert template.get("service") == service


def test_arguments_of_an_analysis_are_resolved() -> None:
    analysis = {
        "name": "x",
        "templateName": "t",
        "clusterScope": True,
        "requiredForCompletion": True,
        "args": [
            {"name": "new", "valueFrom": {"podTemplateHashValue": "Latest"}},
            {"name": "old", "valueFrom": {"podTemplateHashValue": "Stable"}},
            {"name": "v", "value": "{{templates.base.podTemplateHash}}"},
        ],
    }
    (told,) = made({"templates": [OTHER], "analyses": [analysis]})["spec"]["analyses"]
    assert told == {
        **analysis,
        "args": [
            {"name": "new", "value": "new"},
            {"name": "old", "value": "stable"},
            {"name": "v", "value": "{{templates.base.podTemplateHash}}"},
        ],
    }


def test_a_template_of_no_known_version_is_told_as_the_wait() -> None:
    draft = reconciled(step={"experiment": {"templates": [{"name": "x", "specRef": "other"}]}})
    assert draft.effects == []
    assert draft.failure == "Invalid template step SpecRef: must be canary or stable"


def test_without_a_stable_version_the_step_waits() -> None:
    assert reconciled(status={"stableRS": None}).effects == []


# Outcome

CURRENT = "app-new-2-0"


def current(phase: str, **changes: Any) -> ExperimentObject:
    return samples.experiment(CURRENT, phase, **changes)


@pytest.mark.parametrize("phase", ["", "Pending", "Running"])
def test_one_that_goes_on_is_the_current_one(phase: str) -> None:
    draft = reconciled(current(phase), current=CURRENT)
    assert (draft.experiment, draft.effects) == (CURRENT, [])
    assert not draft.is_experiment_done


def test_success_completes_the_step_and_drops_it() -> None:
    draft = reconciled(current("Successful"), current=CURRENT)
    assert draft.is_experiment_done
    assert (draft.experiment, draft.effects) == ("", [])
    plan = decide(observe(current("Successful"), current=CURRENT), now=NOW)
    assert plan.claim is not None
    assert plan.claim.status.current_step_index == 1
    assert plan.claim.status.canary.current_experiment == ""


def test_inconclusive_pauses() -> None:
    draft = reconciled(current("Inconclusive"), current=CURRENT)
    assert draft.pauses_added == ["InconclusiveExperiment"]
    assert draft.experiment == CURRENT


@pytest.mark.spec("canary 3.3")
@pytest.mark.parametrize("phase", ["Failed", "Error"])
@pytest.mark.parametrize(("message", "told"), [("", FAILED), ("why", f"{FAILED}: why")])
def test_failure_aborts(phase: str, message: str, told: str) -> None:
    draft = reconciled(current(phase, message=message), current=CURRENT)
    assert draft.aborted_now
    assert draft.abort_message == told


def test_one_that_was_not_claimed_is_known_by_its_cause() -> None:
    draft = reconciled(samples.experiment("app-new-2-0-1"))
    assert (draft.experiment, draft.effects) == ("app-new-2-0-1", [])


@pytest.mark.parametrize(
    "changes",
    [{"cause": "1.0.0"}, {"pod_hash": "stable"}, {"is_deleting": True}, {"cause": "2.0.1"}],
)
def test_one_of_another_attempt_is_ended_and_another_made(changes: dict[str, Any]) -> None:
    draft = reconciled(samples.experiment("before", **changes))
    assert [type(effect) for effect in draft.effects] == [CreateExperiment, TerminateExperiment]


def test_resumed_after_an_inconclusive_one_it_is_tried_again() -> None:
    old = current("Inconclusive")
    resumed = {"controllerPause": True}
    draft = reconciled(old, current=CURRENT, status=resumed)
    assert [type(effect) for effect in draft.effects] == [CreateExperiment]
    assert draft.attempt == 1


# End


@pytest.mark.spec("experiment 9")
@pytest.mark.parametrize("status", [{"abort": True}, {"promoteFull": True}])
def test_an_abort_and_a_full_promotion_end_all(status: dict[str, Any]) -> None:
    running, over, ending = (
        current("Running"),
        samples.experiment("over", "Failed"),
        samples.experiment("ending", is_terminating=True),
    )
    draft = reconciled(running, over, ending, current=CURRENT, status=status)
    assert draft.effects == [TerminateExperiment(CURRENT)]
    assert draft.experiment == ""


@pytest.mark.spec("experiment 9")
def test_leaving_the_step_ends_its_experiment() -> None:
    draft = reconciled(current("Running"), current=CURRENT, status={"currentStepIndex": 1})
    assert draft.effects == [TerminateExperiment(CURRENT)]


def test_an_inconclusive_analysis_leaves_everything_as_it_is() -> None:
    pause = {"reason": "InconclusiveAnalysisRun", "startTime": "2027-01-15T07:00:00Z"}
    draft = reconciled(
        current("Running"),
        samples.experiment("other"),
        current=CURRENT,
        status={"pauseConditions": [pause]},
    )
    assert (draft.experiment, draft.effects) == (CURRENT, [])


# History


def finished(name: str, phase: str, age: float, **changes: Any) -> ExperimentObject:
    created_at = NOW - age
    fixed = {"cause": name, "created_at": created_at, "is_terminating": True}
    return samples.experiment(name, phase, **{**fixed, **changes})


def deleted(*experiments: ExperimentObject, **changes: Any) -> list[str]:
    limits = {"successfulRunHistoryLimit": 1, "unsuccessfulRunHistoryLimit": 2}
    draft = reconciled(*experiments, steps=(WEIGHT,), spec={"analysis": limits}, **changes)
    return [effect.name for effect in draft.effects if isinstance(effect, DeleteExperiment)]


@pytest.mark.spec("experiment 9")
def test_the_newest_of_each_kind_are_kept() -> None:
    good = [finished(f"good-{age}", "Successful", age) for age in (1, 2, 3)]
    bad = [
        finished(f"bad-{age}", phase, age)
        for age, phase in ((1, "Failed"), (2, "Error"), (3, "Inconclusive"))
    ]
    assert deleted(*good, *bad) == ["good-2", "good-3", "bad-3"]


@pytest.mark.spec("experiment 9")
@pytest.mark.parametrize("pod_hash", ["", "gone"])
def test_one_of_no_version_that_is_there_goes_whatever_the_limits(pod_hash: str) -> None:
    assert deleted(finished("x", "Successful", 1, pod_hash=pod_hash)) == ["x"]


def test_one_that_a_route_may_name_stays() -> None:
    templates = (samples.experiment_template("base"),)
    old = finished("x", "Successful", 1, pod_hash="gone", templates=templates)
    observed = samples.routed([WEIGHT], weight=20, experiments=(old,))
    for shares, expected in (({"hash-base": 5}, 0), ({"hash-other": 5}, 1)):
        headrace = observed.headrace.model_copy(update={"shares": shares})
        draft = Draft(observed.with_status(observed.status, headrace), NOW)
        reconcile_experiments(draft)
        assert len(draft.effects) == expected


# Destinations

WEIGHTED: dict[str, Any] = {
    "experiment": {"templates": [BASE, {**OTHER, "weight": 10}, {**OTHER, "name": "bare"}]}
}


@pytest.mark.spec("canary 5.5")
@pytest.mark.parametrize(
    ("phase", "claimed", "index", "available", "expected"),
    [
        ("Running", CURRENT, 0, 1, {"exp-base": 5, "exp-new": 10}),
        ("Running", CURRENT, 1, 1, {"exp-base": 5, "exp-new": 10}),
        ("Running", CURRENT, 0, 0, {}),
        ("Running", "", 0, 1, {}),
        ("Running", "gone", 0, 1, {}),
        ("Pending", CURRENT, 0, 1, {}),
        ("Successful", CURRENT, 0, 1, {}),
    ],
)
def test_templates_with_a_weight_get_a_share_while_it_runs(
    phase: str, claimed: str, index: int, available: int, expected: dict[str, int]
) -> None:
    templates = tuple(
        samples.experiment_template(name, available) for name in ("base", "new", "bare")
    )
    observed = observe(
        current(phase, templates=templates),
        steps=(WEIGHTED, WEIGHT),
        current=claimed,
        status={"currentStepIndex": index},
    )
    found = destinations(Draft(observed, NOW))
    assert {each.service: each.weight for each in found} == expected
    assert all(each.experiment == CURRENT and each.port == 80 for each in found)
