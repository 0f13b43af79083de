"""The facts of a pass, for the bus (architecture, "Topics and events")."""

from typing import Any

from headrace.model.headrace_status import Transition
from headrace.model.meta import format_micro_time, format_time
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core import samples
from rollout_controller.core.draft import Draft
from rollout_controller.core.plan import TerminateRun
from rollout_controller.core.status.history import extend

NOW = format_time(samples.NOW)
STEPS: list[dict[str, Any]] = [{"setWeight": 25}, {"pause": {}}]


def drafted(**more: Any) -> Draft:
    return Draft(samples.rollout({"steps": STEPS}, **more), samples.NOW)


def facts(draft: Draft, **after: Any) -> list[Transition]:
    raw = draft.status.dump() | after
    status = RolloutStatus.load({k: v for k, v in raw.items() if v is not None})
    return list(extend(draft, (), status, None))


def types(draft: Draft, **after: Any) -> list[str]:
    return [
        fact.type.removeprefix("headrace.").removesuffix(".v1") for fact in facts(draft, **after)
    ]


def test_without_a_change_there_is_no_fact() -> None:
    assert facts(drafted()) == []


def test_a_fact_says_all_that_its_event_needs() -> None:
    draft = drafted(cause="k8s:uid/7", actor="ann", generation=3)
    draft.epoch = 9
    completed, entered = facts(draft, currentStepIndex=1)
    assert completed == Transition(
        ordinal=1,
        at=format_micro_time(samples.NOW),
        type="headrace.step.completed.v1",
        epoch=9,
        reason="RolloutStepCompleted",
        message="Rollout step 1/2 completed (setWeight: 25)",
        causation="k8s:uid/7",
        actor="ann",
        generation=3,
        revision="2",
        pod_hash="new",
        step=0,
    )
    assert (entered.type, entered.step, entered.ordinal) == ("headrace.step.entered.v1", 1, 2)


def test_ordinals_continue_and_ten_are_kept() -> None:
    old = tuple(Transition(ordinal=n, at=NOW, type="x") for n in range(1, 11))
    draft = drafted()
    status = RolloutStatus.load(draft.status.dump() | {"currentStepIndex": 1})
    kept = extend(draft, old, status, None)
    assert [fact.ordinal for fact in kept] == list(range(3, 13))


def test_an_update_enters_its_first_step() -> None:
    draft = drafted(status={"currentPodHash": "stable", "currentStepIndex": 2})
    assert types(draft, currentPodHash="new", currentStepIndex=0) == [
        "rollout.updated",
        "step.entered",
    ]


def test_skipped_steps_are_completed_one_by_one() -> None:
    assert types(drafted(), currentStepIndex=2) == ["step.completed", "step.completed"]


def test_pauses_begin_and_end() -> None:
    pauses = [{"reason": "CanaryPauseStep", "startTime": NOW}]
    assert types(drafted(), pauseConditions=pauses, controllerPause=True) == ["rollout.paused"]
    paused = drafted(status={"pauseConditions": pauses, "controllerPause": True})
    assert types(paused, pauseConditions=[], controllerPause=False) == ["rollout.resumed"]


def test_a_resume_by_a_person_is_told_when_it_is_taken_over() -> None:
    resumed = drafted(status={"controllerPause": True})
    assert types(resumed, controllerPause=False) == ["rollout.resumed"]


ABORTED: dict[str, Any] = {
    "type": "Progressing",
    "status": "False",
    "reason": "RolloutAborted",
    "message": "Rollout aborted update to revision 2",
    "lastUpdateTime": NOW,
    "lastTransitionTime": NOW,
}


def test_an_abort_is_told_once() -> None:
    draft = drafted(status={"abort": True})
    assert types(draft, abortedAt=NOW, conditions=[ABORTED]) == ["rollout.aborted"]
    again = drafted(status={"abort": True, "abortedAt": NOW, "conditions": [ABORTED]})
    assert types(again) == []


def test_an_abort_of_the_engine_is_told_though_its_intent_said_it_before() -> None:
    draft = drafted(status={"abort": True, "abortedAt": NOW})
    (aborted,) = facts(draft, conditions=[ABORTED])
    assert aborted.type == "headrace.rollout.aborted.v1"
    assert aborted.message == "Rollout aborted update to revision 2"


def test_a_retry_is_told() -> None:
    assert types(drafted(status={"abortedAt": NOW}), abortedAt=None) == ["rollout.retried"]


def test_a_promotion_is_told_before_the_completion() -> None:
    draft = drafted(status={"currentStepIndex": 2, "phase": "Progressing"})
    assert types(draft, stableRS="new", phase="Healthy") == [
        "rollout.promoted",
        "rollout.completed",
    ]


def test_a_refused_spec_is_told_for_each_text() -> None:
    condition = {
        "type": "InvalidSpec",
        "status": "True",
        "reason": "InvalidSpec",
        "message": "bad",
        "lastUpdateTime": NOW,
        "lastTransitionTime": NOW,
    }
    assert types(drafted(), conditions=[condition]) == ["rollout.rejected"]
    refused = drafted(status={"conditions": [condition]})
    assert types(refused, conditions=[condition]) == []
    assert types(refused, conditions=[condition | {"message": "worse"}]) == ["rollout.rejected"]


def test_an_ended_run_is_named() -> None:
    draft = drafted()
    draft.effect(TerminateRun("run"))
    (fact,) = facts(draft)
    assert (fact.type, fact.run) == ("headrace.analysis.terminated.v1", "run")
