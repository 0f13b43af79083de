"""The analyses of an Experiment, sentence by sentence of experiment 5."""

from typing import Any

import pytest

from headrace.model.analysis import AnalysisTemplateSpec
from headrace.model.experiment import ExperimentAnalysisStatus
from headrace.model.meta import format_time
from rollout_controller.core import labels
from rollout_controller.core import samples as common
from rollout_controller.core.experiment import samples
from rollout_controller.core.experiment.analyses import reconcile_analysis
from rollout_controller.core.experiment.draft import Draft
from rollout_controller.core.experiment.observed import Failure
from rollout_controller.core.experiment.plan import CreateRun, TerminateRun
from rollout_controller.core.observed import References, RunObject

pytestmark = pytest.mark.spec("experiment 5")

NOW = samples.NOW
SPEC = AnalysisTemplateSpec.load(
    {
        "args": [{"name": "v", "value": "default"}, {"name": "w"}],
        "metrics": [{"name": "m", "provider": {"prometheus": {"query": "up"}}}],
    }
)
KNOWN = References(templates={"t": SPEC}, cluster_templates={"c": SPEC})
W = {"name": "w", "value": "1"}


def reconciled(
    analysis: dict[str, Any] | None = None,
    known: dict[str, str] | None = None,
    *,
    run: RunObject | None = None,
    is_available: bool = True,
    spec: dict[str, Any] | None = None,
    **changes: Any,
) -> Draft:
    """Return a pass over the analysis `x`; `known` is its entry in the status."""
    full = {"name": "x", "templateName": "t", "args": [W], **(analysis or {})}
    entry = [{"name": "x", "analysisRun": "exp-x", **known}] if known else []
    status = samples.running(analysisRuns=entry)
    if not is_available:
        del status["availableAt"]
    observed = samples.experiment(
        {"analyses": [full], **(spec or {})},
        status,
        replica_sets={"a": samples.replica_set()},
        references=changes.pop("references", KNOWN),
        runs=(run,) if run else (),
        **changes,
    )
    draft = Draft(observed, NOW)
    reconcile_analysis(draft, observed.spec.analyses[0])
    return draft


def entry(draft: Draft) -> ExperimentAnalysisStatus:
    return draft.analyses["x"]


# Before availableAt


@pytest.mark.parametrize(
    ("analysis", "kind", "resource"),
    [
        ({"templateName": "gone"}, "AnalysisTemplate", "analysistemplate"),
        (
            {"templateName": "gone", "clusterScope": True},
            "ClusterAnalysisTemplate",
            "clusteranalysistemplate",
        ),
        (
            {"templateName": "t", "clusterScope": True},
            "ClusterAnalysisTemplate",
            "clusteranalysistemplate",
        ),
    ],
)
def test_a_missing_template_ends_it_before_it_runs(
    analysis: dict[str, Any], kind: str, resource: str
) -> None:
    draft = reconciled(analysis, is_available=False)
    name = analysis["templateName"]
    assert entry(draft).phase == "Error"
    assert entry(draft).message == (
        f"{kind} verification failed for analysis 'x': {resource}.argoproj.io \"{name}\" not found"
    )


@pytest.mark.parametrize("analysis", [{}, {"templateName": "c", "clusterScope": True}])
def test_a_template_that_exists_is_waited_for(analysis: dict[str, Any]) -> None:
    draft = reconciled(analysis, is_available=False)
    assert (draft.analyses, draft.effects) == ({}, [])


# Start


@pytest.mark.parametrize("analysis", [{}, {"templateName": "c", "clusterScope": True}])
def test_a_run_is_made_once_it_is_available(analysis: dict[str, Any]) -> None:
    draft = reconciled(analysis)
    (create,) = draft.effects
    assert isinstance(create, CreateRun)
    assert create.manifest["metadata"]["name"] == "exp-x"
    cause = f"x.{format_time(NOW - 60)}"
    assert create.manifest["metadata"]["annotations"][labels.CAUSE] == cause
    assert (entry(draft).phase, entry(draft).analysis_run) == ("Pending", "exp-x")
    rules = {
        "dryRun": [{"metricName": "m"}],
        "measurementRetention": [{"metricName": "m", "limit": 2}],
    }
    (told,) = reconciled(analysis, spec=rules).effects
    assert isinstance(told, CreateRun)
    assert {k: v for k, v in told.manifest["spec"].items() if k in rules} == rules


def test_a_run_of_the_same_cause_is_taken_not_made_again() -> None:
    cause = f"x.{format_time(NOW - 60)}"
    draft = reconciled(run=common.run("exp-x.1", cause=cause))
    assert draft.effects == []
    assert entry(draft).analysis_run == "exp-x.1"


def test_an_experiment_that_ends_starts_nothing() -> None:
    draft = reconciled(spec={"terminate": True})
    assert (draft.effects, draft.analyses) == ([], {})


def test_a_run_that_the_api_server_refuses_is_an_error() -> None:
    draft = reconciled(failures={"analysis/x": Failure("run", "no", NOW)})
    assert draft.effects == []
    text = "Failed to create AnalysisRun for analysis 'x': no"
    assert (entry(draft).phase, entry(draft).message) == ("Error", text)


VALUES = [
    ("plain", "plain"),
    ("{{templates.a.podTemplateHash}}", "hash-a"),
    ("{{ templates.a.podTemplateHash }}", "hash-a"),
    ("<{{templates.a.replicaset.name}}>", "<exp-a>"),
    ("{{experiment.availableAt}}", format_time(NOW - 60)),
    ("{{experiment.finishedAt}}", format_time(NOW + 540)),
]


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_tags_of_a_value_are_resolved(value: str, expected: str) -> None:
    args = [{"name": "v", "value": value}, W]
    (create,) = reconciled({"args": args}, spec={"duration": "10m"}).effects
    assert isinstance(create, CreateRun)
    given = {each["name"]: each["value"] for each in create.manifest["spec"]["args"]}
    assert given == {"v": expected, "w": "1"}


UNRESOLVED = ["{{args.v}}", "{{templates.b.podTemplateHash}}", "{{experiment.finishedAt}}"]


@pytest.mark.parametrize("value", UNRESOLVED)
def test_a_tag_that_nothing_resolves_is_told(value: str) -> None:
    draft = reconciled({"args": [{"name": "v", "value": value}]})
    text = f"Failed to create AnalysisRun for analysis 'x': failed to resolve {value}"
    assert (entry(draft).phase, entry(draft).message) == ("Error", text)


def test_only_literal_values_are_forwarded() -> None:
    dropped = {"name": "v", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    (create,) = reconciled({"args": [dropped, W]}).effects
    assert isinstance(create, CreateRun)
    given = {each["name"]: each["value"] for each in create.manifest["spec"]["args"]}
    assert given == {"v": "default", "w": "1"}
    draft = reconciled({"args": []})
    text = "Failed to create AnalysisRun for analysis 'x': args.w was not resolved"
    assert entry(draft).message == text


# Follow


@pytest.mark.parametrize(
    ("phase", "shown"), [("Running", "Running"), ("Failed", "Failed"), ("", "Pending")]
)
def test_phase_and_message_are_those_of_the_run(phase: str, shown: str) -> None:
    run = common.run("exp-x", phase, message="why")
    draft = reconciled(known={"phase": "Pending"}, run=run)
    assert (entry(draft).phase, entry(draft).message) == (shown, "why")
    assert draft.effects == []


def test_an_analysis_that_is_over_is_not_looked_at_again() -> None:
    known = {"phase": "Successful", "message": "then"}
    draft = reconciled(known=known, run=common.run("exp-x", "Failed", message="now"))
    assert (entry(draft).phase, entry(draft).message) == ("Successful", "then")
    never_ran = reconciled(known={"phase": "Error", "analysisRun": ""})
    assert (never_ran.effects, entry(never_ran).phase) == ([], "Error")


def test_a_run_that_is_gone_is_an_error() -> None:
    draft = reconciled(known={"phase": "Running"})
    text = 'analysisruns.argoproj.io "exp-x" not found'
    assert (entry(draft).phase, entry(draft).message) == ("Error", text)


@pytest.mark.parametrize(
    ("phase", "is_terminating", "is_ended"),
    [("Running", False, True), ("Running", True, False), ("Successful", False, False)],
)
def test_an_experiment_that_ends_ends_its_runs(
    phase: str, is_terminating: bool, is_ended: bool
) -> None:
    run = common.run("exp-x", phase, is_terminating=is_terminating)
    draft = reconciled(known={"phase": "Running"}, run=run, spec={"terminate": True})
    assert [type(effect) for effect in draft.effects] == [TerminateRun] * is_ended
    for effect in draft.effects:
        assert isinstance(effect, TerminateRun)
        assert str(effect.event.reason) == "AnalysisRunTerminating"
        assert effect.event.message == "Terminating x (exp-x)"
    assert entry(draft).phase == phase
