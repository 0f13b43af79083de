"""Step plugins, sentence by sentence of canary 9."""

from collections.abc import Mapping
from typing import Any

import pytest

from headrace.errors import InvariantViolation
from headrace.events.plugins import PluginRequested
from headrace.ids import event_id
from headrace.model.conditions import Reason
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from rollout_controller.core import samples
from rollout_controller.core.canary.plugins import is_completed, reconcile_plugins
from rollout_controller.core.decide import decide
from rollout_controller.core.draft import Draft
from rollout_controller.core.invariants import check
from rollout_controller.core.observed import Observed, PluginAnswer, StepPlugin
from rollout_controller.core.plan import Plan, PluginCall

pytestmark = pytest.mark.spec("canary 9")

NOW = samples.NOW
NAME = "acme/approve"
PLUGIN = {"plugin": {"name": NAME, "config": {"who": "ops"}}}
OTHER = {"plugin": {"name": "acme/other"}}
PAUSE: dict[str, Any] = {"pause": {}}
KNOWN = {NAME: StepPlugin(NAME), "acme/other": StepPlugin("acme/other")}


def entry(operation: str = "Run", phase: str = "Running", **members: Any) -> dict[str, Any]:
    return {
        "index": 0,
        "name": NAME,
        "operation": operation,
        "phase": phase,
        "startedAt": format_time(NOW - 100),
        **members,
    }


def ran(phase: str = "Running", **members: Any) -> dict[str, Any]:
    """Return a Run entry after one call, asked again at NOW."""
    called = {"executions": 1, "updatedAt": format_time(NOW - 30), "backoff": "30s"}
    return entry("Run", phase, **{**called, **members})


def observe(
    *entries: Mapping[str, Any],
    steps: tuple[Mapping[str, Any], ...] = (PLUGIN, PAUSE),
    status: Mapping[str, Any] | None = None,
    answer: PluginAnswer | None = None,
    **changes: Any,
) -> Observed:
    full = {
        "phase": "Progressing",
        "canary": {"stepPluginStatuses": list(entries)},
        **(status or {}),
    }
    return samples.rollout(
        {"steps": list(steps)},
        status=full,
        **{"plugins": KNOWN, "plugin_answer": answer, **changes},
    )


def reconciled(observed: Observed, *, at: float = 0.0) -> Draft:
    draft = Draft(observed, Instant(NOW + at))
    reconcile_plugins(draft)
    return draft


def call_of(*entries: Mapping[str, Any], at: float = 0.0, **changes: Any) -> PluginCall:
    call = reconciled(observe(*entries, **changes), at=at).call
    assert call is not None
    return call


def answered(call: PluginCall, *, at: float = 0.0, **members: Any) -> PluginAnswer:
    return PluginAnswer(call.id, Instant(NOW + at), **members)


def said(draft: Draft) -> list[tuple[str, str]]:
    return [(event.type, event.message) for event in draft.events]


# Run


def test_the_status_says_that_a_plugin_runs_before_it_is_called() -> None:
    draft = reconciled(observe())
    assert draft.call is None
    (run,) = draft.plugin_statuses
    assert (run.operation, run.phase, run.executions, run.started_at) == ("Run", "Running", 0, NOW)


def test_the_call_follows_in_the_same_plan_after_the_claim() -> None:
    observed = observe(replica_sets=settled())
    plan = decide(observed, now=NOW)
    assert plan.claim is not None
    assert plan.claim.status.canary.step_plugin_statuses[0].name == NAME
    assert plan.call is not None
    assert (plan.call.operation, plan.call.execution, plan.call.config) == (
        "Run",
        1,
        {"who": "ops"},
    )
    check(observed, plan)


def settled() -> tuple[Any, ...]:
    return samples.replica_set("stable"), samples.replica_set("new", 0)


def test_a_call_keeps_its_id_until_it_is_answered_and_claimed() -> None:
    first, again = call_of(entry()), call_of(entry(), at=5)
    assert first.id == again.id
    assert first.id == event_id("uid-app", 0, PluginRequested.EVENT_TYPE, first.cause)
    ids = {
        first.id,
        call_of(ran()).id,
        call_of(entry(startedAt=format_time(NOW - 50))).id,
        call_of(entry(), headrace=HeadraceStatus(plugin_attempt=1)).id,
    }
    assert len(ids) == 4


@pytest.mark.spec("canary 7")
def test_a_call_keeps_its_id_when_an_inconclusive_update_goes_on() -> None:
    before = observe(entry())
    run = {"name": "app-new-2", "status": "Inconclusive"}
    entries = {"stepPluginStatuses": [entry()], "currentBackgroundAnalysisRunStatus": run}
    resumed = observe(entry(), status={"controllerPause": True, "canary": entries})
    again = reconciled(resumed)
    assert again.attempt == 1
    assert again.call == reconciled(before).call
    goes_on = observe(entry(), headrace=HeadraceStatus(attempt=1))
    assert reconciled(goes_on).call == again.call


@pytest.mark.parametrize("phase", ["Paused", "Healthy", "Degraded", ""])
def test_runs_only_while_the_phase_is_progressing(phase: str) -> None:
    draft = reconciled(observe(entry(), status={"phase": phase}))
    assert draft.call is None
    assert reconciled(observe(status={"phase": phase})).plugin_statuses == []


@pytest.mark.parametrize("phase", ["Successful", "Failed"])
def test_what_is_over_is_not_called_again(phase: str) -> None:
    draft = reconciled(observe(ran(phase), at_index(1)))
    assert draft.call is None


def at_index(index: int) -> dict[str, Any]:
    return {**entry(phase="Running"), "index": index}


def test_waits_for_the_back_off_and_five_seconds_more() -> None:
    waiting = observe(ran(updatedAt=format_time(NOW - 10)))
    draft = reconciled(waiting)
    assert draft.call is None
    assert draft.plugin_statuses == list(waiting.status.canary.step_plugin_statuses)
    assert draft.wake_at == NOW - 10 + 30 + 5
    assert reconciled(waiting, at=20).call is not None


def test_the_worker_gets_back_what_it_wanted_to_keep() -> None:
    call = call_of(ran(status={"ticket": 7}))
    assert (call.execution, call.status) == (2, {"ticket": 7})


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({"phase": "Running"}, {"phase": "Running", "backoff": "30s"}),
        ({"phase": ""}, {"phase": "Running", "backoff": "30s"}),
        ({"phase": "Running", "requeue_after_seconds": 10.0}, {"backoff": "30s"}),
        ({"phase": "Running", "requeue_after_seconds": 11.0}, {"backoff": "11s"}),
        ({"phase": "Running", "requeue_after_seconds": 90.0}, {"backoff": "1m30s"}),
        ({"phase": "Successful"}, {"phase": "Successful", "backoff": "", "finished_at": NOW}),
        ({"phase": "Failed", "message": "no"}, {"phase": "Failed", "finished_at": NOW}),
        ({"message": "soon"}, {"message": "soon", "finished_at": None}),
        ({"phase": "Running", "status": {"a": 1}}, {"status": {"a": 1}}),
        (
            {"error": "refused", "status": {"a": 1}},
            {"phase": "Error", "message": "refused", "backoff": "30s", "status": {"kept": 1}},
        ),
    ],
)
def test_an_answer_becomes_the_status(answer: dict[str, Any], wanted: dict[str, Any]) -> None:
    before = ran(status={"kept": 1})
    draft = reconciled(observe(before, answer=answered(call_of(before), **answer)))
    (run,) = draft.plugin_statuses
    assert (run.executions, run.updated_at) == (2, NOW)
    assert {name: getattr(run, name) for name in wanted} == wanted
    assert draft.call is None


def test_an_answer_to_another_call_changes_nothing() -> None:
    late = answered(call_of(entry()), phase="Successful")
    draft = reconciled(observe(ran(), answer=late))
    assert draft.plugin_statuses[0].phase == "Running"
    assert draft.call is not None


def test_an_error_is_called_again_after_its_back_off() -> None:
    failed = ran("Error", message="refused")
    assert call_of(failed).execution == 2
    recovered = answered(call_of(failed), phase="")
    assert reconciled(observe(failed, answer=recovered)).plugin_statuses[0].phase == "Running"


def test_an_answer_during_a_pause_counts_too() -> None:
    answer = answered(call_of(entry()), phase="Successful")
    draft = reconciled(observe(entry(), answer=answer, status={"phase": "Paused"}))
    assert draft.plugin_statuses[0].phase == "Successful"


@pytest.mark.parametrize(
    ("before", "answer", "wanted"),
    [
        (entry(), {"phase": "Running"}, [("Normal", "transitioned to Running")]),
        (ran(), {"phase": "Running"}, []),
        (entry(), {"phase": "Successful"}, []),
        (ran(), {"phase": "Successful"}, []),
        (ran(), {"phase": "Failed"}, [("Warning", "transitioned to Failed")]),
        (ran(), {"error": "refused"}, [("Warning", "transitioned to Error")]),
        (ran("Error"), {"error": "refused"}, []),
        (ran("Error"), {"phase": "Running"}, [("Normal", "transitioned to Running")]),
    ],
)
@pytest.mark.spec("cli-and-clients 9")
def test_says_each_change_of_phase_but_success(
    before: dict[str, Any], answer: dict[str, Any], wanted: list[tuple[str, str]]
) -> None:
    draft = reconciled(observe(before, answer=answered(call_of(before), **answer)))
    subject = f"Step plugin {NAME} (step 1)"
    assert said(draft) == [(kind, f"{subject} {text}") for kind, text in wanted]


@pytest.mark.spec("canary 3.3")
def test_a_failure_aborts_with_the_message_of_the_worker() -> None:
    answer = answered(call_of(ran()), phase="Failed", message="not approved")
    observed = observe(ran(), answer=answer, replica_sets=settled())
    plan = decide(observed, now=NOW)
    check(observed, plan)
    assert plan.claim is not None
    status = plan.claim.status
    assert status.abort
    assert status.message == (
        "RolloutAborted: Rollout aborted update to revision 2: "
        f"Step Plugin 1 ({NAME}) failed: not approved"
    )
    assert status.canary.step_plugin_statuses[0].phase == "Failed"
    assert plan.call is None  # what failed has nothing to be undone
    messages = [event.message for event in plan.events]
    assert f"Step plugin {NAME} (step 1) transitioned to Failed" in messages


def test_success_completes_the_step_in_the_same_pass() -> None:
    answer = answered(call_of(ran()), phase="Successful")
    plan = decide(observe(ran(), answer=answer, replica_sets=settled()), now=NOW)
    assert plan.claim is not None
    assert plan.claim.status.current_step_index == 1
    assert "Rollout step 1/2 completed (plugin: acme/approve)" in [e.message for e in plan.events]


# Completion


@pytest.mark.parametrize(
    ("entries", "is_over"),
    [
        ((), False),
        ((entry(disabled=True, phase=""),), True),
        ((ran("Successful"),), True),
        ((ran("Failed"),), True),
        ((ran("Running"),), False),
        ((ran("Error"),), False),
        ((ran(), entry("Terminate", "Successful")), True),
        ((ran(), entry("Abort", "Failed")), True),
        ((ran("Error"), entry("Abort", "Successful")), False),
        ((ran(), {**entry("Abort"), "name": "acme/other"}), False),
    ],
)
def test_is_completed(entries: tuple[dict[str, Any], ...], is_over: bool) -> None:
    assert is_completed(Draft(observe(*entries), NOW), 0, NAME) is is_over


def test_no_step_completes_while_the_spec_is_paused() -> None:
    observed = observe(ran("Successful"), replica_sets=settled(), spec={"paused": True})
    plan = decide(observed, now=NOW)
    status = plan.claim.status if plan.claim else observed.status
    assert (status.current_step_index, len(status.canary.step_plugin_statuses)) == (0, 1)


def test_a_disabled_plugin_is_skipped() -> None:
    disabled = {NAME: StepPlugin(NAME, is_disabled=True)}
    plan = decide(observe(plugins=disabled, replica_sets=settled()), now=NOW)
    assert plan.claim is not None
    (run,) = plan.claim.status.canary.step_plugin_statuses
    assert (run.disabled, run.phase) == (True, "")
    assert plan.claim.status.current_step_index == 1
    assert plan.call is None


# Abort


def test_an_abort_undoes_what_ran_the_last_first_each_once() -> None:
    first = {**ran("Successful"), "index": 0}
    second = {**ran("Running"), "index": 1, "name": "acme/other"}
    steps = (PLUGIN, OTHER, PAUSE)
    aborted = {"abort": True, "abortedAt": format_time(NOW), "phase": "Degraded"}
    call = call_of(first, second, steps=steps, status=aborted)
    assert (call.operation, call.plugin, call.index) == ("Abort", "acme/other", 1)

    answer = answered(call, phase="")
    draft = reconciled(observe(first, second, steps=steps, status=aborted, answer=answer))
    undone = draft.plugin_statuses[-1]
    assert (undone.operation, undone.phase, undone.executions) == ("Abort", "Successful", 1)
    assert said(draft) == [("Normal", "Step plugin acme/other (step 2) aborted (Successful)")]
    assert draft.call is not None
    assert (draft.call.operation, draft.call.plugin) == ("Abort", NAME)

    both = [each.dump() for each in draft.plugin_statuses]
    done = answered(draft.call, phase="Failed")
    last = reconciled(observe(*both, steps=steps, status=aborted, answer=done))
    assert len(last.plugin_statuses) == 4
    quiet = reconciled(
        observe(*(e.dump() for e in last.plugin_statuses), steps=steps, status=aborted)
    )
    assert (quiet.call, quiet.events, len(quiet.plugin_statuses)) == (None, [], 4)


@pytest.mark.parametrize("phase", ["Failed", "Error"])
def test_an_abort_leaves_alone_what_did_not_run(phase: str) -> None:
    draft = reconciled(observe(ran(phase), status={"abort": True}))
    assert draft.call is None


@pytest.mark.parametrize(
    ("answer", "phase", "kind"),
    [
        ({"phase": ""}, "Successful", "Normal"),
        ({"phase": "Running"}, "Failed", "Warning"),
        ({"phase": "Failed"}, "Failed", "Warning"),
        ({"error": "refused"}, "Error", "Warning"),
    ],
)
def test_what_ends_a_run_is_never_running_and_never_repeated(
    answer: dict[str, Any], phase: str, kind: str
) -> None:
    status = {"abort": True}
    call = call_of(ran(), status=status)
    draft = reconciled(observe(ran(), status=status, answer=answered(call, **answer)))
    assert draft.plugin_statuses[-1].phase == phase
    assert said(draft) == [(kind, f"Step plugin {NAME} (step 1) aborted ({phase})")]
    again = reconciled(observe(*(e.dump() for e in draft.plugin_statuses), status=status), at=600)
    assert again.call is None


def test_a_run_that_was_never_answered_is_undone_too() -> None:
    assert call_of(entry(), status={"abort": True}).operation == "Abort"


def test_an_answer_that_comes_after_the_abort_is_kept() -> None:
    answer = answered(call_of(entry()), phase="Failed")
    draft = reconciled(observe(entry(), answer=answer, status={"abort": True}))
    assert draft.plugin_statuses[0].phase == "Failed"
    assert draft.call is None


# Terminate


@pytest.mark.spec("canary 3.2")
@pytest.mark.parametrize("status", [{"promoteFull": True}, {"stableRS": "new"}])
def test_promotion_terminates_what_still_runs(status: dict[str, Any]) -> None:
    call = call_of(ran(), status=status)
    assert call.operation == "Terminate"
    draft = reconciled(observe(ran(), status=status, answer=answered(call)))
    ended = draft.plugin_statuses[-1]
    assert (ended.operation, ended.phase) == ("Terminate", "Successful")
    assert said(draft) == [("Normal", f"Step plugin {NAME} (step 1) terminated (Successful)")]
    again = reconciled(observe(*(e.dump() for e in draft.plugin_statuses), status=status))
    assert again.call is None


@pytest.mark.parametrize("phase", ["Successful", "Failed", "Error"])
def test_promotion_leaves_alone_what_is_over(phase: str) -> None:
    assert reconciled(observe(ran(phase), status={"promoteFull": True})).call is None


def test_a_terminate_that_failed_is_not_repeated() -> None:
    failed = entry("Terminate", "Error")
    assert reconciled(observe(ran(), failed, status={"promoteFull": True})).call is None


# Retry


@pytest.mark.parametrize(
    ("entries", "steps", "is_kept"),
    [
        ((ran("Failed"),), (PLUGIN, PAUSE), False),
        ((ran(), entry("Abort", "Successful")), (PLUGIN, PAUSE), False),
        ((ran("Successful"), entry("Abort", "Successful")), (PLUGIN, PAUSE), False),
        (({**ran("Successful"), "index": 1},), (PAUSE, PLUGIN), False),
        ((ran(),), (PLUGIN, PAUSE), True),
        ((ran("Error"),), (PLUGIN, PAUSE), True),
    ],
)
def test_a_retry_begins_without_what_was_before(
    entries: tuple[dict[str, Any], ...], steps: tuple[dict[str, Any], ...], is_kept: bool
) -> None:
    draft = reconciled(observe(*entries, steps=steps, status={"phase": "Paused"}))
    assert bool(draft.plugin_statuses) is is_kept


def test_a_retried_plugin_runs_again() -> None:
    plan = decide(observe(ran("Failed"), replica_sets=settled()), now=NOW)
    assert plan.claim is not None
    (run,) = plan.claim.status.canary.step_plugin_statuses
    assert (run.phase, run.executions, run.started_at) == ("Running", 0, NOW)
    assert plan.call is not None
    assert plan.call.execution == 1
    assert plan.claim.headrace.plugin_attempt == 1


def test_a_new_revision_begins_without_what_was_before() -> None:
    observed = observe(ran(), status={"currentPodHash": "old"})
    plan = decide(observed, now=NOW)
    assert plan.claim is not None
    assert all(e.started_at == NOW for e in plan.claim.status.canary.step_plugin_statuses)
    assert plan.claim.headrace.plugin_attempt == 1


def test_a_retry_within_the_same_second_is_another_call() -> None:
    """What a worker was told to undo is not done by repeating the call that did it."""
    began = {"startedAt": format_time(NOW)}
    undone = (entry(**began), entry("Abort", "Successful"))
    status = {"abortedAt": format_time(NOW), "currentStepIndex": 1}
    retried = observe(*undone, replica_sets=settled(), status=status)
    plan = decide(retried, now=NOW)
    assert plan.call is not None
    assert plan.call.cause.split("/")[-3:] == call_of(*undone[:1]).cause.split("/")[-3:]
    assert plan.call.id != call_of(*undone[:1]).id


# What is no answer


def transient(draft: Draft, text: str) -> None:
    assert draft.failure == text
    assert draft.wake_at == draft.now + 30
    message = f"Reconciliation failed with error: {text}"
    assert said(draft) == [("Warning", message)]


def test_a_plugin_that_is_not_configured_is_waited_for() -> None:
    draft = reconciled(observe(plugins={}))
    text = f"plugin {NAME} not configured in configmap argo-rollouts-config"
    transient(draft, f"could not create step plugin at index 0: {text}")
    assert draft.plugin_statuses == []


def test_a_configuration_that_cannot_be_read_is_waited_for() -> None:
    draft = reconciled(observe(plugins={}, plugins_error="no YAML in line 1"))
    transient(draft, "could not create step plugin at index 0: no YAML in line 1")


def test_a_back_off_that_cannot_be_read_is_waited_for() -> None:
    draft = reconciled(observe(ran(backoff="soon")))
    text = 'time: invalid duration "soon"'
    transient(draft, f"failed to parse the backoff of step plugin {NAME}: {text}")
    assert draft.call is None


def test_a_phase_that_is_none_is_asked_again_after_30_seconds() -> None:
    call = call_of(ran())
    observed = observe(ran(), answer=answered(call, phase="Done"))
    draft = reconciled(observed)
    transient(draft, "failed to run plugin: phase 'Done' is not valid")
    assert draft.call is None
    assert draft.plugin_statuses == list(observed.status.canary.step_plugin_statuses)
    later = reconciled(observed, at=30)
    assert later.call == call


def test_an_error_is_said_once_and_the_step_is_not_completed() -> None:
    observed = observe(plugins={}, replica_sets=settled())
    plan = decide(observed, now=NOW)
    assert plan.claim is not None
    waiting = plan.claim.headrace.waiting
    assert waiting is not None
    assert (waiting.reason, waiting.on) == ("Failure", "step plugin")
    assert plan.claim.status.current_step_index == 0
    assert [event.reason for event in plan.events].count(Reason.RECONCILIATION_ERROR) == 1
    after = observed.with_status(plan.claim.status, plan.claim.headrace)
    again = decide(after, now=Instant(NOW + 30))
    assert again.is_quiet
    assert again.wake_at == NOW + 60


def test_tells_what_it_waits_for() -> None:
    plan = decide(observe(entry(), replica_sets=settled()), now=NOW)
    assert plan.claim is not None
    waiting = plan.claim.headrace.waiting
    assert waiting is not None
    assert (waiting.reason, waiting.on) == ("Plugin", f"step 1 ({NAME})")


# What is checked before a call


@pytest.mark.parametrize(
    ("observed", "text"),
    [
        (observe(), "before the status says so"),
        (observe(ran(), status={"abort": True}), "in an aborted rollout"),
    ],
)
def test_a_call_that_must_not_be_is_stopped(observed: Observed, text: str) -> None:
    call = call_of(ran())
    with pytest.raises(InvariantViolation, match=text):
        check(observed, Plan(call=call))


@pytest.mark.parametrize("is_disabled", [False, True])
@pytest.mark.spec("rollout-api 4.2")
def test_a_binary_is_refused_unless_it_is_skipped(is_disabled: bool) -> None:
    plugin = StepPlugin(NAME, is_disabled, "serve it as a worker")
    observed = observe(plugins={NAME: plugin}, replica_sets=settled())
    plan = decide(observed, now=NOW)
    assert plan.claim is not None
    message = plan.claim.status.message
    path = "spec.strategy.canary.steps[0].plugin"
    assert (f"{path}: Forbidden: serve it as a worker" in message) is not is_disabled
