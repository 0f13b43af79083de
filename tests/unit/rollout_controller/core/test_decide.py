"""The order of one pass, and how passes join in one plan (rollout-api 9, canary 1)."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.model.analysis import AnalysisTemplateSpec
from headrace.model.conditions import ConditionType
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from rollout_controller.core import labels, samples
from rollout_controller.core.decide import ANSWER_SECONDS, decide
from rollout_controller.core.observed import Acknowledgement, Observed, References
from rollout_controller.core.plan import (
    AnnotateRollout,
    CreateReplicaSet,
    EvictPods,
    PatchReplicaSet,
    Plan,
    SwitchService,
    TerminateRun,
)
from rollout_controller.core.status.conditions import find

pytestmark = [
    pytest.mark.spec("canary 1"),
    pytest.mark.spec("rollout-api 9"),
]

NOW = samples.NOW
STEPS: list[dict[str, Any]] = [{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}]
ONE = (samples.replica_set("stable"), samples.replica_set("new", 1))
TEMPLATE = AnalysisTemplateSpec.load(
    {"metrics": [{"name": "m", "provider": {"prometheus": {"query": "up"}}}]}
)
WATCHED: dict[str, Any] = {"analysis": {"templates": [{"templateName": "t"}]}}


def decided(observed: Observed, *, at: float = 0.0) -> Plan:
    return decide(observed, now=Instant(NOW + at))


def switched_services() -> References:
    services = (samples.service("active", "stable"), samples.service("preview", "new"))
    return References(services={each.name: each for each in services})


def reasons(plan: Plan) -> list[str]:
    return [str(event.reason) for event in plan.events]


def test_a_rollout_that_goes_away_is_left_alone() -> None:
    assert decided(samples.routed(STEPS, is_deleting=True)).is_quiet


def test_the_first_pass_creates_the_replica_set_and_greets() -> None:
    observed = samples.rollout({"steps": STEPS}, status={"currentPodHash": None})
    plan = decided(replace(observed, replica_sets=(), new_replica_set=None, annotations={}))
    create, annotate = plan.effects
    assert isinstance(create, CreateReplicaSet)
    assert annotate == AnnotateRollout({labels.REVISION: "1"})
    assert plan.claim is None
    assert reasons(plan)[0] == "RolloutAddedToInformer"


def test_a_known_rollout_is_not_greeted_again() -> None:
    observed = samples.rollout({"steps": STEPS}, replica_sets=(samples.replica_set("stable"),))
    assert "RolloutAddedToInformer" not in reasons(decided(observed))


def test_absent_replicas_are_written_as_one() -> None:
    observed = samples.rollout({"steps": STEPS}, spec={"replicas": None})
    assert decided(observed).effects == (AnnotateRollout({}, replicas=1),)


def test_a_new_template_starts_over_and_then_scales() -> None:
    observed = samples.rollout({"steps": STEPS}, status={"currentPodHash": "other"})
    plan = decided(observed)
    assert plan.claim is not None
    assert (plan.claim.status.current_pod_hash, plan.claim.status.current_step_index) == ("new", 0)
    assert plan.effects == ()
    after = decided(observed.with_status(plan.claim.status, plan.claim.headrace))
    assert isinstance(after.effects[0], PatchReplicaSet)


def test_an_abort_of_a_promoted_rollout_is_dropped() -> None:
    full = (samples.replica_set("new"),)
    status = {"stableRS": "new", "abort": True, "currentStepIndex": 3}
    plan = decided(samples.rollout({"steps": STEPS}, status=status, replica_sets=full))
    assert plan.claim is not None
    assert not plan.claim.status.abort
    assert plan.claim.status.current_step_index == 3


@pytest.mark.spec("rollout-api 5")
def test_lack_of_progress_aborts_in_one_pass() -> None:
    # Both Events, since the reference says the first where it decides.
    text = 'ReplicaSet "app-new" has timed out progressing.'
    late = {
        "type": "Progressing",
        "status": "True",
        "reason": "ReplicaSetUpdated",
        "message": "",
        "lastUpdateTime": format_time(NOW - 601),
        "lastTransitionTime": format_time(NOW - 601),
    }
    sizes = {"replicas": 5, "updatedReplicas": 1, "readyReplicas": 4, "availableReplicas": 4}
    sets = (samples.replica_set("stable"), samples.replica_set("new", 1, ready=0, available=0))
    observed = samples.rollout(
        {"steps": STEPS},
        spec={"progressDeadlineAbort": True},
        status={"conditions": [late], **sizes},
        replica_sets=sets,
    )
    plan = decided(observed)
    assert plan.claim is not None
    assert plan.claim.status.abort
    assert plan.claim.status.message == (
        f"RolloutAborted: Rollout aborted update to revision 2: {text}"
    )
    aborts = [event.message for event in plan.events if event.reason == "RolloutAborted"]
    assert aborts == [text, f"Rollout aborted update to revision 2: {text}"]


@pytest.mark.spec("canary 2.2")
@pytest.mark.parametrize("status", [{}, {"promoteFull": True}], ids=["window", "promote full"])
def test_an_abort_is_dropped_before_anything_is_raised(status: dict[str, Any]) -> None:
    new = samples.replica_set("new", 1, created_at=Instant(NOW - 5000))
    observed = samples.routed(
        STEPS,
        weight=0,
        spec={} if status else {"rollbackWindow": {"revisions": 1}},
        status={"abort": True, "abortedAt": format_time(NOW - 5), **status},
        replica_sets=(samples.replica_set("stable"), new),
    )
    plan = decided(observed)
    assert plan.claim is not None
    assert not plan.claim.status.abort
    assert plan.intent is None


def test_somebody_scales_in_the_middle_of_an_update() -> None:
    observed = samples.routed(STEPS, weight=25, replica_sets=ONE, spec={"replicas": 8})
    plan = decided(observed)
    assert plan.effects == (
        PatchReplicaSet("app-stable", replicas=8, annotations={labels.DESIRED_REPLICAS: "8"}),
    )
    assert plan.request is None
    assert plan.claim is not None
    assert plan.claim.status.current_step_index == 0


def test_an_abort_is_heard_while_a_changed_size_waits_for_a_person() -> None:
    # Architecture, "Never-false-safe": abort wins, also over a scaling that is halted (canary 4.9).
    observed = samples.routed(
        STEPS,
        weight=25,
        replica_sets=ONE,
        spec={"replicas": 5, "paused": True},
        status={"abort": True},
    )
    switch = decided(observed).effects[0]
    assert switch == SwitchService("preview", "stable")


def test_a_step_that_ends_and_a_pause_that_begins_are_one_claim() -> None:
    observed = samples.routed(STEPS, weight=25, is_acknowledged=False, replica_sets=ONE)
    plan = decided(replace(observed, acknowledgement=Acknowledgement(1)))
    assert plan.claim is not None
    status = plan.claim.status
    assert (status.current_step_index, status.phase, status.message) == (
        1,
        "Paused",
        "CanaryPauseStep",
    )
    told = reasons(plan)
    assert told.index("RolloutStepCompleted") < told.index("RolloutPaused")
    assert plan.effects == ()


def test_a_claim_carries_the_intent_of_the_pass_after_it() -> None:
    sets = (samples.replica_set("stable"), samples.replica_set("new", 2))
    steps: list[dict[str, Any]] = [{"setCanaryScale": {"weight": 50}}, {"setWeight": 50}]
    plan = decided(samples.routed(steps, weight=0, replica_sets=sets))
    assert plan.intent is None
    assert plan.claim is not None
    assert plan.claim.status.current_step_index == 1
    assert plan.request is not None
    assert plan.claim.headrace.route == plan.request
    assert (plan.request.epoch, plan.request.weights.canary) == (2, 50)


def test_what_a_new_revision_asks_for_first_goes_with_its_claim() -> None:
    observed = samples.routed(STEPS, weight=25, status={"currentPodHash": "other"})
    plan = decided(observed)
    assert (plan.intent, plan.effects) == (None, ())
    assert plan.claim is not None
    assert plan.claim.status.current_pod_hash == "new"
    assert plan.request is not None
    assert plan.claim.headrace.route == plan.request
    assert "ScalingReplicaSet" not in reasons(plan), "its effects are the next pass's"
    stored = observed.with_status(plan.claim.status, plan.claim.headrace)
    after = decided(stored)
    assert after.intent is None
    assert [type(effect) for effect in after.effects] == [PatchReplicaSet]
    assert reasons(after) == ["ScalingReplicaSet"]


def test_a_request_alone_is_an_intent() -> None:
    plan = decided(samples.routed(STEPS, weight=0, replica_sets=ONE))
    route = plan.request
    assert route is not None
    held = plan.intent.headrace if plan.intent else plan.claim.headrace if plan.claim else None
    assert held is not None
    assert (held.epoch, held.route, held.shares) == (2, route, {"stable": 100, "new": 25})


def test_an_intent_says_what_is_waited_for() -> None:
    plan = decided(samples.routed(STEPS))
    assert plan.effects, "the canary's pods are asked for, so the intent is written by itself"
    assert plan.intent is not None
    assert plan.intent.headrace.waiting is not None
    assert plan.intent.headrace.waiting.on == "route epoch 1"


def test_counters_wait_for_the_pass_that_follows_an_effect() -> None:
    services = (samples.service("active", "stable"), samples.service("preview", "stable"))
    observed = samples.routed(STEPS, weight=0, replica_sets=ONE, services=services)
    first = decided(observed)
    assert [type(effect) for effect in first.effects] == [SwitchService]
    assert first.claim is not None, "conditions and phase are claimed in every pass"
    claimed = observed.with_status(first.claim.status, first.claim.headrace)
    fewer = (samples.replica_set("stable", available=3), samples.replica_set("new", 1))
    counted = decided(replace(claimed, replica_sets=fewer))
    assert [type(effect) for effect in counted.effects] == [SwitchService]
    assert counted.claim is None
    switched = replace(claimed, replica_sets=fewer, references=switched_services())
    after = decided(switched)
    assert after.claim is not None
    assert after.claim.status.available_replicas == 4


def test_counters_wait_for_an_answer_that_is_due() -> None:
    observed = samples.routed(STEPS, weight=0, replica_sets=ONE)
    asked = decided(observed)
    assert asked.claim is not None
    assert asked.request is not None, "the router is asked for the weight of the step"
    stored = observed.with_status(asked.claim.status, asked.claim.headrace)
    fewer = (samples.replica_set("stable", available=3), samples.replica_set("new", 1))
    stored = replace(stored, replica_sets=fewer)
    early = decided(stored, at=0.2)
    assert early.claim is None
    assert early.wake_at == NOW + ANSWER_SECONDS
    late = decided(stored, at=ANSWER_SECONDS)
    assert late.claim is not None, "the router is away"
    assert late.claim.status.available_replicas == 4
    answer = Acknowledgement(epoch=asked.claim.headrace.epoch)
    answered = decided(replace(stored, acknowledgement=answer), at=0.2)
    assert answered.claim is not None
    assert answered.claim.status.available_replicas == 4


def test_conditions_wait_for_the_pass_that_follows_an_effect() -> None:
    services = (samples.service("active", "stable"), samples.service("preview", "stable"))
    observed = samples.routed(STEPS, weight=0, replica_sets=ONE, services=services)
    first = decided(observed)
    assert first.claim is not None
    claimed = observed.with_status(first.claim.status, first.claim.headrace)
    down = (samples.replica_set("stable", available=0, ready=0), samples.replica_set("new", 1))
    judged = decided(replace(claimed, replica_sets=down))
    assert [type(effect) for effect in judged.effects] == [SwitchService]
    assert judged.claim is None
    after = decided(replace(claimed, replica_sets=down, references=switched_services()))
    assert after.claim is not None
    available = find(after.claim.status.conditions, ConditionType.AVAILABLE)
    assert available is not None
    assert available.status == "False"


@pytest.mark.spec("canary 3.3")
def test_a_bad_verdict_aborts_in_this_very_pass() -> None:
    run = samples.run("run", "Failed", message="too many errors")
    observed = samples.routed(
        STEPS,
        weight=25,
        replica_sets=ONE,
        strategy=WATCHED,
        runs=(run, samples.run("other")),
        status={
            "canary": {
                "currentBackgroundAnalysisRunStatus": {"name": "run", "status": "Running"},
                "weights": {
                    "canary": {"weight": 25, "podTemplateHash": "new"},
                    "stable": {"weight": 75, "podTemplateHash": "stable"},
                },
            }
        },
    )
    references = replace(observed.references, templates={"t": TEMPLATE})
    plan = decided(replace(observed, references=references))
    assert plan.reason == "RolloutAborted"
    assert plan.intent is not None
    assert plan.intent.aborted_at == NOW
    assert plan.request is not None
    assert (plan.request.weights.canary, plan.request.aborted) == (0, True)
    assert SwitchService("preview", "stable") in plan.effects
    assert TerminateRun("other") in plan.effects
    held = plan.intent.headrace
    assert held.abort_message == "Background analysis phase error/failed: too many errors"


def test_a_restart_is_told_and_stops_nothing_else() -> None:
    """A disruption budget may refuse for ever (deviation 37)."""
    pods = tuple(samples.pod(f"p{n}") for n in range(5))
    spec = {"restartAt": format_time(NOW - 100)}
    observed = samples.routed(STEPS, weight=25, replica_sets=ONE, pods=pods, spec=spec)
    plan = decided(observed)
    assert plan.claim is not None
    assert plan.claim.status.message == "rollout is restarting"
    assert plan.effects == (EvictPods(("p0", "p1", "p2", "p3", "p4"), 1),)
    assert plan.wake_at == NOW + 30


def test_looks_again_when_progress_is_overdue() -> None:
    sets = (samples.replica_set("stable"), samples.replica_set("new", 1, available=0))
    first = decided(samples.rollout({"steps": STEPS}, replica_sets=sets))
    assert first.wake_at is not None
    assert NOW + 600 <= first.wake_at <= NOW + 602


def test_a_settled_rollout_is_quiet() -> None:
    observed = samples.rollout(
        {"steps": STEPS},
        status={"stableRS": "new", "currentStepIndex": 3},
        replica_sets=(samples.replica_set("new"),),
        headrace=HeadraceStatus(),
    )
    claim = decided(observed).claim
    assert claim is not None
    settled = decided(observed.with_status(claim.status, claim.headrace), at=60)
    assert settled.is_quiet
    assert settled.wake_at is None
