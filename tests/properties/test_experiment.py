"""Random Experiments through `decide`: total, deterministic, safe, and quiet in the end.

A plan is applied to the snapshot that it was made from, as the API server would store it; pods
neither come nor go.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.model.analysis import AnalysisTemplateSpec
from headrace.model.experiment import ExperimentSpec, ExperimentStatus
from headrace.model.meta import format_time
from rollout_controller.core import labels, samples
from rollout_controller.core.experiment.decide import decide
from rollout_controller.core.experiment.invariants import check
from rollout_controller.core.experiment.observed import (
    Failure,
    FailureKind,
    Observed,
    OwningRollout,
    TemplateService,
)
from rollout_controller.core.experiment.plan import (
    CreateReplicaSet,
    CreateRun,
    CreateService,
    DeleteService,
    PatchTemplate,
    Plan,
    TerminateRun,
)
from rollout_controller.core.observed import References

pytestmark = [pytest.mark.timeout(240), pytest.mark.spec("experiment 3")]

NOW = samples.NOW
PASSES_MAX = 20
PHASES = ("", "Pending", "Running", "Successful", "Failed", "Error", "Inconclusive")
STATES = ("", "Progressing", "Running", "Successful", "Failed", "Error")
METRIC: dict[str, Any] = {"name": "m", "provider": {"prometheus": {"query": "up"}}}

counts = st.integers(0, 3)
maybe = st.booleans()
times = st.integers(-5, 2000).map(lambda seconds: format_time(NOW - seconds))


def template(name: str, replicas: int | None, has_service: bool) -> dict[str, Any]:
    container = {"name": "app", "image": name, "ports": [{"containerPort": 80}]}
    pods = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    made: dict[str, Any] = {"name": name, "template": pods}
    made["selector"] = {"matchLabels": {"app": name}}
    if replicas is not None:
        made["replicas"] = replicas
    return made | ({"service": {}} if has_service else {})


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "templates": [
            template(name, draw(st.one_of(st.none(), counts)), draw(maybe)) for name in ("a", "b")
        ],
        "analyses": [
            {"name": name, "templateName": name, "requiredForCompletion": draw(maybe)}
            for name in draw(st.lists(st.sampled_from(["x", "y", "none"]), unique=True))
        ],
        "terminate": draw(maybe) and draw(maybe),
    }
    if draw(maybe):
        spec["duration"] = draw(st.sampled_from(["60s", "1h", "soon"]))
    if draw(maybe):
        spec["scaleDownDelaySeconds"] = draw(st.sampled_from([0, 30]))
    return spec


@st.composite
def statuses(draw: st.DrawFn) -> dict[str, Any]:
    status: dict[str, Any] = {
        "phase": draw(st.sampled_from(PHASES)),
        "templateStatuses": [
            {
                "name": name,
                "status": draw(st.sampled_from(STATES)),
                "availableReplicas": draw(counts),
                "lastTransitionTime": draw(times),
            }
            for name in draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True))
        ],
        "analysisRuns": [
            {
                "name": name,
                "analysisRun": draw(st.sampled_from(["", f"exp-{name}", "gone"])),
                "phase": draw(st.sampled_from(PHASES)),
            }
            for name in draw(st.lists(st.sampled_from(["x", "y"]), unique=True))
        ],
    }
    if draw(maybe):
        status["availableAt"] = draw(times)
    return status


@st.composite
def snapshots(draw: st.DrawFn) -> Observed:
    raw = draw(specs())
    deadline = st.one_of(st.none(), times, st.just("soon"))
    sets = {
        name: samples.replica_set(
            name, size, available=draw(counts), scale_down_deadline=draw(deadline)
        )
        for name in draw(st.lists(st.sampled_from(["a", "b"]), unique=True))
        for size in [draw(counts)]
    }
    rollout = None
    if draw(maybe):
        rollout = OwningRollout(
            "app",
            "uid-app",
            "1",
            relies_on_it=draw(maybe),
            weighted=draw(st.sampled_from([frozenset(), frozenset({"a"})])),
            shares=draw(st.sampled_from([{}, {"a": 10}, {"b": 5}])),
        )
    kinds: st.SearchStrategy[FailureKind] = st.sampled_from(
        ["create", "collision", "scale", "service", "service_removal"]
    )
    subjects = draw(st.lists(st.sampled_from(["template/a", "analysis/x"]), unique=True))
    return Observed(
        namespace="default",
        name="exp",
        uid="uid-exp",
        resource_version="1",
        key="default/exp",
        labels={},
        is_deleting=False,
        spec=ExperimentSpec.load(raw),
        raw_spec=raw,
        status=ExperimentStatus.load(draw(statuses())),
        replica_sets=sets,
        services={name: TemplateService(f"exp-{name}", name, "1") for name in sets if draw(maybe)},
        runs=tuple(
            samples.run(f"exp-{name}", draw(st.sampled_from(PHASES)))
            for name in ("x", "y")
            if draw(maybe)
        ),
        references=References(
            templates={name: AnalysisTemplateSpec.load({"metrics": [METRIC]}) for name in "xy"}
        ),
        rollout=rollout,
        failures={
            subject: Failure(draw(kinds), "no", NOW) if draw(maybe) else Failure("run", "no", NOW)
            for subject in subjects
        },
    )


def after(observed: Observed, plan: Plan) -> Observed:
    """Return the snapshot as it is once the whole plan is carried out."""
    sets, services, runs = dict(observed.replica_sets), dict(observed.services), observed.runs
    for effect in plan.effects:
        match effect:
            case CreateReplicaSet(name):
                sets[name] = samples.replica_set(name, 0)
            case PatchTemplate(name, patch):
                if patch.replicas is not None:
                    sets[name] = replace(sets[name], replicas=patch.replicas)
                if patch.annotations is not None:
                    text = patch.annotations[labels.SCALE_DOWN_DEADLINE]
                    sets[name] = replace(sets[name], scale_down_deadline=text)
            case CreateService(name):
                services[name] = TemplateService(f"exp-{name}", name, "1")
            case DeleteService(name):
                del services[name]
            case CreateRun(_, manifest):
                runs = (*runs, samples.run(manifest["metadata"]["name"], "Pending"))
            case TerminateRun(name):
                runs = tuple(
                    replace(run, is_terminating=True) if run.name == name else run for run in runs
                )
    status = plan.claim if plan.claim is not None else observed.status
    return replace(observed, replica_sets=sets, services=services, runs=runs, status=status)


many = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(snapshots())
def test_every_snapshot_has_one_safe_plan(observed: Observed) -> None:
    plan = decide(observed, now=NOW)
    assert plan == decide(observed, now=NOW)
    check(observed, plan)


@many
@given(snapshots())
def test_the_controller_stops_writing(observed: Observed) -> None:
    for _ in range(PASSES_MAX):
        plan = decide(observed, now=NOW)
        check(observed, plan)
        if plan.is_quiet:
            return
        observed = after(observed, plan)
    raise AssertionError(f"still writes: {plan}")


@many
@given(snapshots())
def test_what_a_route_may_name_keeps_pods_and_service(observed: Observed) -> None:
    rollout = observed.rollout
    for effect in decide(observed, now=NOW).effects:
        is_end = isinstance(effect, DeleteService) or (
            isinstance(effect, PatchTemplate) and effect.patch.replicas == 0
        )
        if rollout is None or not is_end:
            continue
        assert isinstance(effect, DeleteService | PatchTemplate)
        assert rollout.shares.get(effect.template, 0) == 0
        assert not (rollout.relies_on_it and effect.template in rollout.weighted)


@many
@given(snapshots())
def test_a_phase_that_is_over_never_changes(observed: Observed) -> None:
    over = ("Successful", "Failed", "Error", "Inconclusive")
    claim = decide(observed, now=NOW).claim
    if claim is None:
        return
    if observed.status.phase in over:
        assert claim.phase == observed.status.phase
    before = {each.name: each.status for each in observed.status.template_statuses}
    for each in claim.template_statuses:
        if before.get(each.name) in over:
            assert each.status == before[each.name]
