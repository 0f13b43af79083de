"""One pass over an Experiment (experiment 3, 6, 8)."""

from typing import Any

import pytest

from headrace.model.analysis import AnalysisTemplateSpec
from rollout_controller.core.experiment import samples
from rollout_controller.core.experiment.decide import decide
from rollout_controller.core.experiment.plan import CreateReplicaSet, CreateRun, Plan
from rollout_controller.core.observed import References

pytestmark = pytest.mark.spec("experiment 3")

NOW = samples.NOW
METRIC: dict[str, Any] = {"name": "m", "provider": {"prometheus": {"query": "up"}}}
TEMPLATES = References(templates={"t": AnalysisTemplateSpec.load({"metrics": [METRIC]})})


def running(spec: dict[str, Any] | None = None, age: float = 60, **changes: Any) -> Plan:
    sets = {"a": samples.replica_set()}
    return decide(
        samples.experiment(spec, samples.running(age), replica_sets=sets, **changes), now=NOW
    )


def test_one_that_is_being_deleted_is_left_alone() -> None:
    assert decide(samples.experiment(is_deleting=True), now=NOW).is_quiet


@pytest.mark.spec("experiment 2")
def test_one_that_is_invalid_gets_a_condition_and_nothing_else() -> None:
    observed = samples.experiment(raw_spec={"templates": [{"name": "a"}]})
    plan = decide(observed, now=NOW)
    assert (plan.effects, plan.events, plan.wake_at) == ((), (), None)
    assert plan.claim is not None
    assert plan.claim.model_copy(update={"conditions": ()}) == observed.status
    (condition,) = plan.claim.conditions
    assert condition.message == "Rollout has missing field '.Spec.Templates[0].Selector'"
    again = samples.experiment(raw_spec=observed.raw_spec, status=plan.claim.dump())
    assert decide(again, now=NOW).is_quiet


def test_a_new_one_makes_its_replica_sets_and_is_pending() -> None:
    spec = {"templates": [samples.template("a"), samples.template("b")]}
    plan = decide(samples.experiment(spec), now=NOW)
    assert [type(effect) for effect in plan.effects] == [CreateReplicaSet] * 2
    assert plan.claim is not None
    assert plan.claim.phase == "Pending"
    assert [each.name for each in plan.claim.template_statuses] == ["a", "b"]
    assert plan.events[-1].message == "Experiment transitioned from  -> Pending"


@pytest.mark.spec("experiment 5")
def test_analyses_begin_after_the_time_of_availability_is_stored() -> None:
    spec = {"analyses": [{"name": "x", "templateName": "t"}]}
    sets = {"a": samples.replica_set()}
    status = samples.running(phase="Pending")
    del status["availableAt"]
    observed = samples.experiment(spec, status, replica_sets=sets, references=TEMPLATES)
    first = decide(observed, now=NOW)
    assert first.claim is not None
    assert (first.claim.phase, first.claim.available_at) == ("Running", NOW)
    assert first.effects == ()
    second = running(spec, references=TEMPLATES)
    assert [type(effect) for effect in second.effects] == [CreateRun]


@pytest.mark.spec("experiment 6")
@pytest.mark.parametrize(
    ("phase", "kind"), [("Failed", "Warning"), ("Error", "Warning"), ("Inconclusive", "Warning")]
)
def test_the_end_of_one_is_told(phase: str, kind: str) -> None:
    runs = [{"name": "x", "analysisRun": "exp-x", "phase": phase, "message": "why"}]
    observed = samples.experiment({}, samples.running(analysisRuns=runs))
    plan = decide(observed, now=NOW)
    assert plan.claim is not None
    assert (plan.claim.phase, plan.claim.message) == (phase, "why")
    (event,) = [e for e in plan.events if e.reason == f"Experiment{phase}"]
    text = f"Experiment transitioned from Running -> {phase}"
    assert (event.message, event.type) == (text, kind)


@pytest.mark.spec("experiment 8")
@pytest.mark.parametrize(
    ("spec", "age", "wake"),
    [({}, 60, None), ({"duration": "1h"}, 60, 3540), ({"duration": "soon"}, 60, None)],
)
def test_the_end_of_the_duration_is_looked_at_in_time(
    spec: dict[str, Any], age: float, wake: float | None
) -> None:
    found = running(spec, age).wake_at
    assert found == (None if wake is None else pytest.approx(NOW + wake, abs=0.01))


@pytest.mark.spec("experiment 8")
def test_one_that_ends_waits_for_its_pods_only() -> None:
    plan = running({"duration": "1h", "terminate": True})
    assert plan.wake_at == NOW + 30


def test_one_that_runs_as_it_should_writes_nothing() -> None:
    first = running()
    assert first.claim is not None  # the condition and the counters of the sample
    sets = {"a": samples.replica_set()}
    again = samples.experiment({}, first.claim.dump(), replica_sets=sets)
    assert decide(again, now=NOW).is_quiet


def test_one_that_is_over_still_takes_its_pods_down() -> None:
    status = samples.running(
        phase="Failed", templateStatuses=[samples.template_status(state="Successful")]
    )
    sets = {"a": samples.replica_set(scale_down_deadline="2027-01-15T07:59:00Z")}
    plan = decide(samples.experiment({}, status, replica_sets=sets), now=NOW)
    assert [effect.patch.replicas for effect in plan.effects if hasattr(effect, "patch")] == [0]
