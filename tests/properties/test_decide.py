"""Random snapshots through `decide`: total, deterministic, safe, and quiet in the end.

A plan is applied to the snapshot that it was made from, as the API server would store it; pods
neither come nor go. So whatever state a Rollout is found in, the controller must stop writing.

Whole histories are walked through at the end: they take the arcs of the lifecycle, and no other.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.kubernetes.hashes import step_hash
from headrace.model.analysis import AnalysisTemplateSpec, is_completed
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from headrace.model.rollout_status import RolloutStatus
from headrace.model.route import Services
from rollout_controller.core import aftermath, labels, samples
from rollout_controller.core.decide import decide
from rollout_controller.core.invariants import check
from rollout_controller.core.observed import (
    Acknowledgement,
    ExperimentObject,
    Observed,
    PluginAnswer,
    ReplicaSet,
    RunObject,
    StepPlugin,
)
from rollout_controller.core.plan import (
    CreateExperiment,
    DeleteExperiment,
    PatchReplicaSet,
    Plan,
    SwitchService,
    foresee,
)
from rollout_controller.core.roles import ping_pong_roles
from rollout_controller.core.routers import weight_of
from rollout_controller.core.status.lifecycle import TRANSITIONS, Arc, State, state_of

pytestmark = pytest.mark.timeout(240)

NOW = samples.NOW
PASSES_MAX = 60
"""More passes than any chain of steps, switches and sizes below can need."""

LONG_SECONDS = 100_000.0
"""How long a plan without a time stays true."""
WAKE_MARGIN_SECONDS = 0.0011

HASHES = ("stable", "new", "old", "older")
PHASES = ("", "Pending", "Running", "Successful", "Failed", "Error", "Inconclusive")
ANALYSIS = {"templates": [{"templateName": "t"}]}
EXPERIMENT = {
    "templates": [
        {"name": "base", "specRef": "stable", "weight": 5},
        {"name": "new", "specRef": "canary", "service": {}},
    ],
    "analyses": [{"name": "x", "templateName": "t"}],
}
HEAVY = {"templates": [{"name": "base", "specRef": "canary", "weight": 60}]}
UNKNOWN = {"templates": [{"name": "base", "specRef": "other"}]}
ONCE = {"templates": [{"templateName": "once"}]}
METRIC: dict[str, Any] = {"name": "m", "provider": {"prometheus": {"query": "up"}}}
TEMPLATES = {
    "t": AnalysisTemplateSpec.load({"metrics": [METRIC]}),
    "once": AnalysisTemplateSpec.load({"metrics": [METRIC | {"count": 1}]}),
}

PLUGINS = {"a/b": StepPlugin("a/b"), "a/off": StepPlugin("a/off", is_disabled=True)}

SELECTED = {"active": "stable", "preview": "new", "ping": "stable", "pong": "new"}
"""The Services, and what each mostly selects."""

counts = st.integers(0, 6)
ages = st.integers(-5, 2000)
maybe = st.booleans()
rarely = st.sampled_from([False] * 7 + [True])


def times() -> st.SearchStrategy[str]:
    return ages.map(lambda seconds: format_time(NOW - seconds))


steps = st.one_of(
    st.integers(0, 100).map(lambda weight: {"setWeight": weight}),
    st.sampled_from([{"pause": {}}, {"pause": {"duration": 60}}, {"pause": {"duration": "0"}}]),
    st.integers(0, 100).map(lambda weight: {"setCanaryScale": {"weight": weight}}),
    counts.map(lambda replicas: {"setCanaryScale": {"replicas": replicas}}),
    st.just({"setCanaryScale": {"matchTrafficWeight": True}}),
    st.just({"analysis": ANALYSIS}),
    st.sampled_from([EXPERIMENT, HEAVY, UNKNOWN]).map(lambda each: {"experiment": each}),
    st.sampled_from(["a/b", "a/gone", "a/off"]).map(lambda name: {"plugin": {"name": name}}),
)


def strategies() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        canaries().map(lambda strategy: {"canary": strategy}),
        blue_greens().map(lambda strategy: {"blueGreen": strategy}),
    )


@st.composite
def blue_greens(draw: st.DrawFn) -> dict[str, Any]:
    strategy: dict[str, Any] = {"activeService": "active"}
    optional = {
        "previewService": st.just("preview"),
        "previewReplicaCount": counts,
        "autoPromotionEnabled": maybe,
        "autoPromotionSeconds": st.sampled_from([0, 60, 1000]),
        "prePromotionAnalysis": st.sampled_from([ONCE, {"templates": []}]),
        "postPromotionAnalysis": st.just(ONCE),
        "scaleDownDelaySeconds": st.sampled_from([0, 30]),
        "scaleDownDelayRevisionLimit": st.integers(0, 2),
        "abortScaleDownDelaySeconds": st.sampled_from([0, 30]),
        "maxUnavailable": st.sampled_from([0, "50%"]),
        "previewMetadata": st.just({"labels": {"role": "preview"}}),
        "activeMetadata": st.just({"labels": {"role": "active"}}),
    }
    for name, values in optional.items():
        if draw(maybe):
            strategy[name] = draw(values)
    return strategy


@st.composite
def canaries(draw: st.DrawFn) -> dict[str, Any]:
    routing = draw(st.sampled_from([None, None, {}, samples.ROUTED["trafficRouting"]]))
    strategy: dict[str, Any] = {"steps": draw(st.lists(steps, max_size=4))}
    if routing is not None:
        strategy["trafficRouting"] = routing
    if draw(st.integers(0, 3)) == 0:
        strategy |= {name: samples.PING_PONG[name] for name in ("pingPong", "trafficRouting")}
        if draw(rarely):
            del strategy["trafficRouting"]
        routing = None
    if routing or draw(maybe):
        strategy |= {"stableService": "active", "canaryService": "preview"}
    optional = {
        "analysis": st.sampled_from([ANALYSIS, ANALYSIS | {"startingStep": 1}]),
        "maxSurge": st.sampled_from([0, 1, "25%", "100%"]),
        "maxUnavailable": st.sampled_from([1, "50%"]),
        "abortScaleDownDelaySeconds": st.sampled_from([0, 30]),
        "scaleDownDelayRevisionLimit": st.integers(0, 2),
        "dynamicStableScale": st.just(True),
        "minPodsPerReplicaSet": counts,
        "replicaProgressThreshold": st.fixed_dictionaries(
            {"type": st.sampled_from(["Percent", "Pods"]), "value": st.integers(-1, 100)}
        ),
        "antiAffinity": st.just({"requiredDuringSchedulingIgnoredDuringExecution": {}}),
        "canaryMetadata": st.just({"labels": {"role": "canary"}}),
        "stableMetadata": st.just({"labels": {"role": "stable"}}),
    }
    for name, values in optional.items():
        if draw(maybe):
            strategy[name] = draw(values)
    return strategy


@st.composite
def replica_sets(draw: st.DrawFn) -> tuple[ReplicaSet, ...]:
    found = draw(
        st.sampled_from(
            [
                *[("stable", "new")] * 3,
                *[("stable", "new", "old")] * 2,
                ("stable", "new", "old", "older"),
                ("new", "old"),
                ("stable",),
                ("new",),
                (),
            ]
        )
    )
    return tuple(draw(replica_set(pod_hash)) for pod_hash in found)


@st.composite
def replica_set(draw: st.DrawFn, pod_hash: str) -> ReplicaSet:
    size = draw(st.sampled_from([samples.REPLICAS] * 4 + [*range(7)]))
    available = size if draw(maybe) else draw(counts)
    sample = samples.replica_set(
        pod_hash,
        size,
        available=available,
        status_replicas=max(size, available),
        is_status_current=not draw(rarely),
        scale_down_deadline=draw(st.one_of(st.none(), st.none(), times(), st.just("soon"))),
    )
    if draw(rarely):
        sample = replace(sample, revision=draw(st.integers(0, 9)))
    if draw(rarely):
        sample = replace(sample, created_at=Instant(NOW - draw(ages)))
    if draw(rarely):
        sample = replace(sample, desired_annotation=draw(st.sampled_from([None, "0", "5"])))
    return sample


@st.composite
def runs(draw: st.DrawFn) -> tuple[RunObject, ...]:
    names = draw(st.lists(st.sampled_from(["run", "back", "lost"]), unique=True))
    return tuple(
        samples.run(
            name,
            draw(st.sampled_from(PHASES)),
            pod_hash=draw(st.sampled_from(HASHES)),
            step_index=draw(st.sampled_from([None, "0", "1"])),
            is_terminating=draw(maybe),
            is_deleting=draw(maybe),
            cause=draw(st.sampled_from(["", "2.0.0", "2.background.0"])),
        )
        for name in names
    )


@st.composite
def experiments(draw: st.DrawFn) -> tuple[ExperimentObject, ...]:
    names = draw(st.lists(st.sampled_from(["exp", "before", "lost"]), unique=True))
    return tuple(
        samples.experiment(
            name,
            draw(st.sampled_from(PHASES)),
            pod_hash=draw(st.sampled_from(HASHES)),
            step_index=draw(st.sampled_from([None, "0", "1"])),
            is_terminating=draw(maybe),
            is_deleting=draw(rarely),
            cause=draw(st.sampled_from(["", "2.0.0", "2.1.0"])),
            templates=tuple(
                samples.experiment_template(template, draw(st.integers(0, 1)))
                for template in draw(st.lists(st.sampled_from(["base", "new"]), unique=True))
            ),
        )
        for name in names
    )


plugin_entries: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda index, name, operation, phase, time: {
        "index": index,
        "name": name,
        "operation": operation,
        "phase": phase,
        "executions": 1,
        "startedAt": time,
        "updatedAt": time,
        "backoff": "30s" if operation == "Run" else "",
    },
    st.integers(0, 3),
    st.sampled_from(["a/b", "a/gone", "a/off"]),
    st.sampled_from(["Run", "Terminate", "Abort"]),
    st.sampled_from(["Running", "Successful", "Failed", "Error"]),
    times(),
)


@st.composite
def statuses(draw: st.DrawFn, strategy: Mapping[str, Any]) -> dict[str, Any]:
    canary = strategy.get("canary") or {}
    hashes = st.sampled_from([*HASHES, "", None])
    stable = st.sampled_from(["stable"] * 3 + ["new"] * 2 + ["gone", None])
    pause = st.builds(
        lambda reason, time: {"reason": reason, "startTime": time},
        st.sampled_from(
            [
                "CanaryPauseStep",
                "BlueGreenPause",
                "InconclusiveAnalysisRun",
                "InconclusiveExperiment",
            ]
        ),
        times(),
    )
    pauses = st.lists(pause, max_size=2, unique_by=lambda each: each["reason"])
    entries = st.lists(
        plugin_entries, max_size=4, unique_by=lambda e: (e["index"], e["name"], e["operation"])
    )
    reference = st.builds(
        lambda name, phase: {"name": name, "status": phase},
        st.sampled_from(["run", "back", "gone"]),
        st.sampled_from(PHASES),
    )
    weight = draw(st.integers(0, 100))
    weights = {
        "canary": {"weight": weight, "podTemplateHash": draw(hashes) or ""},
        "stable": {"weight": 100 - weight, "podTemplateHash": draw(hashes) or ""},
    }
    optional = {
        "stableRS": stable,
        "currentStepIndex": st.integers(0, len(canary.get("steps", ())) + 1),
        "phase": st.sampled_from(["Progressing", "Paused", "Healthy"]),
        "abort": rarely,
        "abortedAt": times(),
        "promoteFull": rarely,
        "controllerPause": maybe,
        "pauseConditions": pauses,
        "duration": st.builds(lambda time: {"rolloutStartedAt": time}, times()),
        "canary": st.fixed_dictionaries(
            {},
            optional={
                "weights": st.just(weights),
                "stablePingPong": st.sampled_from(["", "ping", "pong"]),
                "currentExperiment": st.sampled_from(["exp", "exp", "gone"]),
                "stepPluginStatuses": entries,
                "currentStepAnalysisRunStatus": reference,
                "currentBackgroundAnalysisRunStatus": reference,
            },
        ),
    }
    if "blueGreen" in strategy:
        members = {
            "activeSelector": st.sampled_from(["stable", "stable", "new", "old", "gone", ""]),
            "previewSelector": st.sampled_from(["new", "new", "stable", "old", ""]),
            "scaleUpPreviewCheckPoint": maybe,
            "prePromotionAnalysisRunStatus": reference,
            "postPromotionAnalysisRunStatus": reference,
        }
        optional["blueGreen"] = st.fixed_dictionaries({}, optional=members)
    status = draw(st.fixed_dictionaries({}, optional=optional))
    if draw(rarely):
        status |= {"currentPodHash": draw(hashes)}
    if draw(rarely):
        status |= {"currentStepHash": "other"}
    return status


@st.composite
def remembered(draw: st.DrawFn) -> HeadraceStatus:
    if draw(maybe):
        return HeadraceStatus()
    epoch, weight = draw(st.integers(1, 5)), draw(st.integers(0, 100))
    stored = samples.route(weight, epoch=epoch, aborted=draw(maybe) and not weight)
    if draw(maybe):
        canary, stable = draw(st.permutations(["ping", "pong"]))
        roles = Services(ping="ping", pong="pong", canary_role=canary, stable_role=stable)
        stored = stored.model_copy(update={"services": roles})
    if draw(maybe):
        decided_at = format_time(NOW - draw(ages))
        stored = stored.model_copy(update={"decided_at": decided_at})
    shares = st.dictionaries(st.sampled_from([*HASHES, "hash-base"]), st.integers(1, 100))
    acknowledged = {"epoch": draw(st.integers(0, epoch)), "canary": draw(st.integers(0, 100))}
    return HeadraceStatus.load(
        {
            "epoch": epoch,
            "route": stored.dump(),
            "shares": draw(st.one_of(st.none(), shares)),
            "acknowledged": draw(st.sampled_from([None, acknowledged])),
        }
    )


def acknowledgements() -> st.SearchStrategy[Acknowledgement | None]:
    return st.one_of(
        st.none(),
        st.builds(
            Acknowledgement,
            epoch=st.integers(0, 6),
            level=st.sampled_from([None, "written", "observed"]),
            verified=st.sampled_from([None, True, False]),
            error=st.sampled_from(["", "no such TrafficSplit"]),
            found_epoch=st.integers(0, 9),
        ),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Observed:
    strategy = draw(strategies())
    spec = draw(
        st.fixed_dictionaries(
            {"paused": rarely},
            optional={
                "replicas": counts,
                "restartAt": times(),
                "revisionHistoryLimit": st.integers(0, 2),
                "minReadySeconds": st.integers(0, 5),
                "rollbackWindow": st.fixed_dictionaries({"revisions": st.integers(0, 2)}),
                "progressDeadlineAbort": st.just(True),
            },
        )
    )
    services = (
        samples.service(
            name,
            draw(st.sampled_from([role, role, "", *HASHES])),
            managed_by=draw(st.sampled_from(["", "app"])),
        )
        for name, role in SELECTED.items()
    )
    observed = samples.rollout(
        {},
        spec={"strategy": strategy, **spec},
        status=draw(statuses(strategy)),
        services=tuple(services),
        runs=draw(runs()),
        experiments=draw(experiments()),
        pods=tuple(
            samples.pod(f"pod-{n}", draw(st.sampled_from(HASHES)), is_terminating=draw(maybe))
            for n in range(draw(st.integers(0, 3)))
        ),
        headrace=draw(remembered()),
        has_headrace=not draw(rarely),
        acknowledgement=draw(acknowledgements()),
        plugins=PLUGINS,
        server_offset_seconds=draw(st.sampled_from([0.0, -3.5, None])),
        is_deleting=draw(rarely),
    )
    sets = draw(replica_sets())
    is_there = any(rs.pod_hash == "new" for rs in sets)
    return replace(
        observed,
        replica_sets=sets,
        new_replica_set="app-new" if is_there else None,
        references=replace(observed.references, templates=TEMPLATES),
    )


# Properties

many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def epochs(plan: Plan) -> list[int]:
    found = [plan.request.epoch] if plan.request is not None else []
    found += [plan.intent.headrace.epoch] if plan.intent is not None else []
    return found + ([plan.claim.headrace.epoch] if plan.claim is not None else [])


@many
@given(snapshots())
def test_every_snapshot_has_one_plan(observed: Observed) -> None:
    plan = decide(observed, now=NOW)
    assert plan == decide(observed, now=NOW)
    assert all(epoch >= observed.headrace.epoch for epoch in epochs(plan))
    if plan.request is not None:
        weights = plan.request.weights
        extra = sum(each.weight for each in weights.additional)
        assert weights.canary + weights.stable + extra == weights.base
        assert weights.canary >= 0
        assert weights.stable >= 0


@many
@given(snapshots())
def test_no_replica_set_with_a_share_loses_all_its_pods(observed: Observed) -> None:
    plan = decide(observed, now=NOW)
    held = plan.claim or plan.intent
    shares = (held.headrace if held is not None else observed.headrace).shares or {}
    routing = observed.spec.strategy.canary and observed.spec.strategy.canary.traffic_routing
    if not routing or not observed.replicas:  # whoever wants no pods gets none
        return
    for effect in plan.effects:
        if isinstance(effect, PatchReplicaSet) and effect.replicas == 0:
            assert shares.get(effect.name.removeprefix("app-"), 0) == 0


@many
@given(snapshots())
def test_all_traffic_moves_only_to_somebody_who_answers(observed: Observed) -> None:
    blue_green = observed.spec.strategy.blue_green
    if blue_green is None or not observed.replicas:
        return
    active = observed.references.services["active"].pod_hash
    available = {rs.pod_hash for rs in observed.replica_sets if rs.available}
    for effect in decide(observed, now=NOW).effects:
        if isinstance(effect, SwitchService) and effect.name == "active":
            assert effect.pod_hash in available | {active}
        if isinstance(effect, PatchReplicaSet) and effect.replicas == 0:
            assert effect.name != f"app-{active}"


@many
@given(snapshots())
def test_ping_and_pong_never_change_under_traffic(observed: Observed) -> None:
    """Only by the claim of a promotion they swap their roles; else the stable one has no switch."""
    canary = observed.spec.strategy.canary
    if canary is None or canary.ping_pong is None or observed.spec_error:
        return
    before, plan = observed.status, decide(observed, now=NOW)
    roles = ping_pong_roles(canary, before.canary.stable_ping_pong)
    for effect in plan.effects:
        if not isinstance(effect, SwitchService) or effect.name not in ("ping", "pong"):
            continue
        if roles is not None and effect.name == roles.stable:
            assert effect.pod_hash == before.stable_rs
        elif canary.traffic_routing is not None and before.stable_rs:
            route, known = observed.headrace.route, observed.headrace.acknowledged
            assert route is not None
            assert known is not None
            assert known.epoch == route.epoch
            allowed = max((step.set_weight or 0 for step in canary.steps), default=0)
            assert (weight_of(route, effect.name) or 0) <= allowed
    if plan.claim is not None:
        swaps = plan.claim.status.canary.stable_ping_pong != before.canary.stable_ping_pong
        assert swaps is (plan.claim.status.stable_rs != before.stable_rs)


@many
@given(snapshots())
def test_no_experiment_begins_or_goes_that_matters(observed: Observed) -> None:
    """An abort begins none, and none goes that is current, unfinished or still in a route."""
    plan = decide(observed, now=NOW)
    held = plan.claim or plan.intent
    shares = (held.headrace if held is not None else observed.headrace).shares or {}
    status = plan.claim.status if plan.claim is not None else observed.status
    found = {each.name: each for each in observed.experiments}
    for effect in plan.effects:
        if isinstance(effect, CreateExperiment):
            assert not status.abort
            assert not any(each.cause == cause_of(effect) for each in found.values())
        if isinstance(effect, DeleteExperiment):
            assert is_completed(found[effect.name].phase)
            assert effect.name != status.canary.current_experiment
            hashes = [each.pod_hash for each in found[effect.name].templates]
            assert not any(shares.get(pod_hash) for pod_hash in hashes)


def cause_of(effect: CreateExperiment) -> str:
    return str(effect.manifest["metadata"]["annotations"][labels.CAUSE])


@many
@given(snapshots())
def test_no_plan_breaks_an_invariant(observed: Observed) -> None:
    check(observed, decide(observed, now=NOW))


@many
@given(snapshots(), maybe, st.sampled_from(["Successful", "Failed", "Running", "Done", None]))
def test_the_controller_stops_writing(
    observed: Observed, router_obeys: bool, worker_says: str | None
) -> None:
    for _ in range(PASSES_MAX):
        plan = decide(observed, now=NOW)
        check(observed, plan)
        is_answered = not router_obeys or is_acknowledged(observed)
        if plan.call is not None and worker_says is not None:
            is_answered = False
            answer = PluginAnswer(plan.call.id, NOW, worker_says)
            observed = replace(observed, plugin_answer=answer)
        if is_answered and not (plan.intent or plan.effects or plan.claim or plan.events):
            return
        observed = aftermath.after(observed, plan)
        if router_obeys and observed.headrace.route is not None:
            applied_route = Acknowledgement(observed.headrace.route.epoch)
            observed = replace(observed, acknowledgement=applied_route)
    raise AssertionError(f"still writing: {plan}")


@many
@given(snapshots())
def test_what_a_pass_claims_is_what_the_next_one_reads(observed: Observed) -> None:
    """So what was foreseen of it holds: no time is stored less exactly than it was claimed."""
    claim = decide(observed, now=Instant(NOW + 0.7)).claim
    if claim is not None:
        assert RolloutStatus.load(claim.status.dump()) == claim.status
        assert HeadraceStatus.load(claim.headrace.dump()) == claim.headrace


@many
@given(snapshots())
def test_what_is_foreseen_is_what_is_decided_then(observed: Observed) -> None:
    plan = decide(observed, now=NOW)
    if plan.claim is None or plan.then is None:
        return
    after = observed.with_status(plan.claim.status, plan.claim.headrace)
    told = replace(after, resource_version="2", cause="ours", server_offset_seconds=None)
    told = replace(told, server_offset_seconds=observed.server_offset_seconds)
    assert foresee(plan, told, now=NOW) == decide(after, now=NOW)
    moved = replace(told, replica_sets=())
    assert not observed.replica_sets or foresee(plan, moved, now=NOW) is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(snapshots(), st.integers(0, 4))
def test_a_crash_after_any_effect_ends_where_the_whole_plan_does(
    observed: Observed, count: int
) -> None:
    if observed.spec.strategy.blue_green is None or is_resumed(observed):
        return
    plan = decide(observed, now=NOW)
    begun = replace(plan, effects=plan.effects[:count], claim=None, events=())
    assert ending(aftermath.after(observed, begun)) == ending(observed)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(snapshots(), maybe, st.floats(0, 1, exclude_max=True))
def test_nothing_changes_before_the_time_that_a_quiet_plan_states(
    observed: Observed, router_obeys: bool, fraction: float
) -> None:
    """But for the millisecond by which the look at the end of a pause lies behind it."""
    for _ in range(PASSES_MAX):
        plan = decide(observed, now=NOW)
        if plan.call is not None:
            return  # its worker answers at any time
        if plan.is_still and (not router_obeys or is_acknowledged(observed)):
            break
        observed = aftermath.after(observed, plan)
        if router_obeys and observed.headrace.route is not None:
            applied_route = Acknowledgement(observed.headrace.route.epoch)
            observed = replace(observed, acknowledgement=applied_route)
    end = plan.wake_at if plan.wake_at is not None else NOW + LONG_SECONDS
    early = Instant(NOW + max(end - WAKE_MARGIN_SECONDS - NOW, 0.0) * fraction)
    later = decide(observed, now=early)
    assert later.intent is None
    assert not later.effects
    assert later.claim is None


def is_resumed(observed: Observed) -> bool:
    """Whether a person has just ended a pause.

    That counts in the pass that sees it, if the new version has its pods then, and is forgotten
    else (bluegreen 4): where it ends depends on when it is seen, with or without a crash.
    """
    return observed.status.controller_pause and not observed.status.pause_conditions


def ending(observed: Observed) -> tuple[Any, ...]:
    """Where everything is once the controller has nothing to write any more."""
    for _ in range(PASSES_MAX):
        plan = decide(observed, now=NOW)
        if plan.is_quiet:
            break
        observed = aftermath.after(observed, plan)
        if observed.headrace.route is not None:
            answer = Acknowledgement(observed.headrace.route.epoch)
            observed = replace(observed, acknowledgement=answer)
    status = observed.status
    selected = {name: each.pod_hash for name, each in observed.references.services.items()}
    sizes = {rs.name: rs.replicas for rs in observed.replica_sets}
    pauses = [pause.reason for pause in status.pause_conditions]
    return selected, sizes, pauses, status.stable_rs, status.abort, status.phase, status.message


def is_acknowledged(observed: Observed) -> bool:
    route, known = observed.headrace.route, observed.acknowledgement
    return route is None or (known is not None and known.epoch == route.epoch)


# Histories

WALKS_MAX = 20_000
WALK_MOVES = 15
REMEMBERED = 60
"""Snapshots kept of each state, for walks to go on from."""
PLAYERS = ("controller",) * 10 + ("router",) * 3 + ("pods", "time", "verdict") * 2
PEOPLE = ("template", "abort", "promote", "hold", "full", "steps", "scale", "breaks", "retry")
DIVIDED = {
    "stableService": "active",
    "canaryService": "preview",
    "trafficRouting": samples.ROUTED["trafficRouting"],
}
CANARIES: list[dict[str, Any]] = [
    {
        **DIVIDED,
        "steps": [
            {"setWeight": 20},
            {"pause": {}},
            {"analysis": ANALYSIS},
            {"setWeight": 60},
            {"pause": {"duration": 60}},
        ],
    },
    {"steps": [{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}], "analysis": ANALYSIS},
    {**DIVIDED, "steps": [{"setWeight": 20}, {"experiment": EXPERIMENT}, {"pause": {}}]},
    {**DIVIDED, "steps": []},
    {"steps": []},
    {**samples.PING_PONG, "steps": [{"setWeight": 20}, {"pause": {}}, {"setWeight": 60}]},
]
SERVICES = {"activeService": "active", "previewService": "preview"}
BLUE_GREENS: list[dict[str, Any]] = [
    {"activeService": "active", "scaleDownDelaySeconds": 0},
    {**SERVICES, "autoPromotionEnabled": False, "postPromotionAnalysis": ONCE},
    {
        **SERVICES,
        "previewReplicaCount": 1,
        "autoPromotionSeconds": 60,
        "prePromotionAnalysis": ONCE,
    },
]
STRATEGIES = [{"canary": each} for each in CANARIES] + [{"blueGreen": each} for each in BLUE_GREENS]


class History:
    """One Rollout from its first moment on, with everybody who moves it, in any order."""

    def __init__(self, rng: random.Random, strategy: dict[str, Any]) -> None:
        self.rng = rng
        self.now = NOW
        born = dict.fromkeys(("currentPodHash", "currentStepHash", "currentStepIndex", "stableRS"))
        services = tuple(samples.service(name) for name in SELECTED)
        observed = samples.rollout(
            {},
            spec={"strategy": strategy},
            status=born,
            services=services,
            template_hash="stable",
        )
        references = replace(observed.references, templates=TEMPLATES)
        self.observed = replace(
            observed, replica_sets=(), new_replica_set=None, references=references
        )

    def walk(self, players: tuple[str, ...]) -> Iterator[tuple[State, State]]:
        """Let players move it, and yield the states before and after what changed the state."""
        before = state_of(self.observed)
        for _ in range(WALK_MOVES):
            getattr(self, self.rng.choice(players))()
            after = state_of(self.observed)
            if after != before:
                yield before, after
            before = after

    def controller(self) -> None:
        plan = decide(self.observed, now=self.now)
        check(self.observed, plan)
        self.observed = aftermath.after(self.observed, plan)

    def router(self) -> None:
        route = self.observed.headrace.route
        if route is not None:
            answer = Acknowledgement(route.epoch, canary=route.weights.canary)
            self.observed = replace(self.observed, acknowledgement=answer)

    def pods(self) -> None:
        are_there = self.rng.random() < 0.8
        sets = self.observed.replica_sets
        moved = (replace(rs, available=rs.replicas if are_there else 0) for rs in sets)
        self.observed = replace(self.observed, replica_sets=tuple(moved))

    def time(self) -> None:
        self.now = Instant(self.now + self.rng.choice((1, 31, 61, 700)))

    def verdict(self) -> None:
        phase = self.rng.choice(("Running", "Successful", "Successful", "Failed", "Inconclusive"))
        runs = self.observed.runs
        judged = (replace(run, phase=phase) if run.phase == "Running" else run for run in runs)
        experiments = (
            replace(each, phase=phase) if each.phase == "Running" else each
            for each in self.observed.experiments
        )
        self.observed = replace(self.observed, runs=tuple(judged), experiments=tuple(experiments))

    def template(self) -> None:
        wanted = self.rng.choice(HASHES)
        named = (rs.name for rs in self.observed.replica_sets if rs.pod_hash == wanted)
        self._edit()
        self.observed = replace(
            self.observed, template_hash=wanted, new_replica_set=next(named, None)
        )

    def abort(self) -> None:
        self._status(abort=True)

    def retry(self) -> None:
        self._status(abort=False)

    def full(self) -> None:
        self._status(promote_full=True)

    def promote(self) -> None:
        status, count = self.observed.status, len(self._steps())
        if status.pause_conditions:
            self._status(pause_conditions=())
        elif count and status.current_step_index is not None:
            self._status(current_step_index=min(status.current_step_index + 1, count))

    def hold(self) -> None:
        self._edit(paused=not self.observed.spec.paused)

    def scale(self) -> None:
        self._edit(replicas=self.rng.choice((1, 4, 5)))

    def steps(self) -> None:
        turned = self._steps()[::-1]
        canary = self.observed.spec.strategy.canary
        if canary is None:
            return
        canary = canary.model_copy(update={"steps": turned})
        self._edit(strategy=self.observed.spec.strategy.model_copy(update={"canary": canary}))
        self.observed = replace(self.observed, step_hash=step_hash(turned))

    def breaks(self) -> None:
        error = "" if self.observed.spec_error else "spec: bad"
        self._edit()
        self.observed = replace(self.observed, spec_error=error)

    def _steps(self) -> tuple[Any, ...]:
        canary = self.observed.spec.strategy.canary
        return canary.steps if canary is not None else ()

    def _edit(self, **changes: Any) -> None:
        spec = self.observed.spec.model_copy(update=changes)
        generation = self.observed.generation + 1
        self.observed = replace(self.observed, spec=spec, generation=generation)

    def _status(self, **changes: Any) -> None:
        status = self.observed.status.model_copy(update=changes)
        self.observed = self.observed.with_status(status, self.observed.headrace)


@pytest.mark.timeout(120)
def test_histories_take_every_arc_of_the_lifecycle_and_no_other() -> None:
    """Walks go on from states already reached, all as often, so that rare ones are left, too.

    Every tenth begins at the beginning: else the strategies that get lost early are lost.
    """
    rng = random.Random(0)
    history = History(rng, STRATEGIES[0])
    born = [(History(rng, strategy).observed, NOW) for strategy in STRATEGIES]
    reached = {State.NEW: [*born]}
    missing: set[Arc] = set(TRANSITIONS)
    for number in range(WALKS_MAX):
        known = reached[rng.choice(list(reached))] if number % 10 else born
        history.observed, history.now = rng.choice(known)
        for arc in history.walk(PLAYERS + PEOPLE * (number % 3)):
            assert arc in TRANSITIONS, arc
            missing.discard(arc)
            known = reached.setdefault(arc[1], [])
            if len(known) == REMEMBERED:
                known.pop(rng.randrange(REMEMBERED))
            known.append((history.observed, history.now))
        if not missing:
            return
    assert missing == set()
