"""Step plugins: what their workers are asked, and what their answers mean.

The call itself is an effect beside the reconcile; its answer comes back as a fact of the next
snapshot. At most one call is under way for a Rollout. What a worker may have been told to run
stands in the status before the call, so that no crash can leave a run that an abort forgets; the
id of a call follows from its cause, so that a repeated call is known to the worker.

Source: canary 9, 3.2, 3.3; cli-and-clients 9.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from headrace.events.plugins import PluginRequested
from headrace.ids import event_id
from headrace.model.conditions import Reason, RolloutPhase
from headrace.model.quantities import Instant, format_duration, parse_duration
from headrace.model.rollout_status import StepPluginStatus
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import PluginAnswer, StepPlugin
from rollout_controller.core.plan import Operation, PluginCall

ERROR_BACKOFF_SECONDS: Final = 30.0
RUNNING_BACKOFF_SECONDS: Final = 30.0
REQUEUE_AFTER_SECONDS_MIN: Final = 10.0
"""A worker that wants to be asked again sooner is asked after the usual time."""
GRACE_SECONDS: Final = 5.0
TRANSIENT_SECONDS: Final = 30.0
"""When something that is no answer of a worker is tried again."""

SETTING: Final = "argo-rollouts-config"
"""The ConfigMap that names the plugins."""


class Phase(StrEnum):
    """Phases of an operation; a worker may say all but Error, which is for calls that failed."""

    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    ERROR = "Error"


_SAID: Final = frozenset({"", Phase.RUNNING, Phase.SUCCESSFUL, Phase.FAILED})
_FINAL: Final = frozenset({Phase.SUCCESSFUL, Phase.FAILED})


def reconcile_plugins(draft: Draft) -> None:
    """Run the current step's plugin, or undo what ran, by what became of the update."""
    ends = draft.status.promote_full or draft.is_fully_promoted
    if not draft.is_aborted and not ends:
        _forget_former_attempt(draft)
    _take_answer_of_run(draft)
    if draft.is_aborted:
        _abort_runs(draft)
    elif ends:
        _terminate_run(draft)
    else:
        _run(draft)


def is_completed(draft: Draft, index: int, name: str) -> bool:
    """Return whether the plugin step at `index` is over."""
    run = _entry(draft, index, name, "Run")
    if run is None:
        return False
    if run.disabled or run.phase in _FINAL:
        return True
    return run.phase == Phase.RUNNING and _is_ended_by_other(draft, run)


def _entry(draft: Draft, index: int, name: str, operation: Operation) -> StepPluginStatus | None:
    return next(
        (
            entry
            for entry in draft.plugin_statuses
            if (entry.index, entry.name, entry.operation) == (index, name, operation)
        ),
        None,
    )


def _is_ended_by_other(draft: Draft, run: StepPluginStatus) -> bool:
    operations: tuple[Operation, ...] = ("Terminate", "Abort")
    return any(_entry(draft, run.index, run.name, each) for each in operations)


# Run


def _forget_former_attempt(draft: Draft) -> None:
    """Clear what earlier attempts left, when the steps begin again."""
    if draft.index != 0 or not draft.plugin_statuses or draft.spec.paused:
        return
    plugin = draft.step.plugin if draft.step is not None else None
    run = _entry(draft, 0, plugin.name, "Run") if plugin is not None else None
    # A step that has just succeeded waits for nothing but this pass, or for the end of a pause.
    is_current = run is not None and (
        not is_completed(draft, 0, run.name)
        or (run.phase == Phase.SUCCESSFUL and len(draft.plugin_statuses) == 1)
    )
    if not is_current:
        draft.forget_plugins()


def _take_answer_of_run(draft: Draft) -> None:
    """Store what the worker said to a Run call, whatever has become of the update since."""
    for position, run in enumerate(draft.plugin_statuses):
        if run.operation != "Run" or run.disabled or run.phase in _FINAL:
            continue
        answer = _answer_to(draft, _call(draft, run, "Run"))
        if answer is None or not _is_understood(answer):
            continue
        entry = _after_run(run, answer)
        draft.plugin_statuses[position] = entry
        is_news = entry.phase != run.phase or run.executions == 0
        if is_news and entry.phase != Phase.SUCCESSFUL:
            _announce(draft, entry, f"transitioned to {entry.phase}")


def _after_run(run: StepPluginStatus, answer: PluginAnswer) -> StepPluginStatus:
    base: dict[str, Any] = {
        "executions": run.executions + 1,
        "updated_at": answer.at,
        "backoff": "",
        "message": answer.error or answer.message,
    }
    if answer.error:
        backoff = format_duration(ERROR_BACKOFF_SECONDS)
        return run.model_copy(update={**base, "phase": str(Phase.ERROR), "backoff": backoff})
    phase = answer.phase or Phase.RUNNING
    update = {**base, "phase": str(phase), "status": answer.status}
    if phase in _FINAL:
        update["finished_at"] = answer.at
    else:
        asked = answer.requeue_after_seconds or 0.0
        seconds = asked if asked > REQUEUE_AFTER_SECONDS_MIN else RUNNING_BACKOFF_SECONDS
        update["backoff"] = format_duration(seconds)
    return run.model_copy(update=update)


def _run(draft: Draft) -> None:
    step = draft.step
    if step is None or step.plugin is None or step.pause is not None:
        return
    if draft.status.phase != RolloutPhase.PROGRESSING:
        return
    index, name = draft.index, step.plugin.name
    plugin = _plugin(draft, index, name)
    if plugin is None:
        return
    run = _entry(draft, index, name, "Run")
    if plugin.is_disabled:
        if run is None or not run.disabled:
            _put(draft, StepPluginStatus(index=index, name=name, operation="Run", disabled=True))
    elif run is None:
        _put(
            draft,
            StepPluginStatus(
                index=index,
                name=name,
                operation="Run",
                phase=str(Phase.RUNNING),
                started_at=draft.stamp,
            ),
        )
    elif run.phase == Phase.FAILED:
        draft.abort(f"Step Plugin {index + 1} ({name}) failed: {run.message}")
    elif run.phase != Phase.SUCCESSFUL and not run.disabled:
        _continue_run(draft, run)


def _continue_run(draft: Draft, run: StepPluginStatus) -> None:
    """Call the worker when it is time to."""
    try:
        due = _due(run)
    except ValueError as error:
        _fail(draft, f"failed to parse the backoff of step plugin {run.name}: {error}")
        return
    if due is not None and draft.now < due:
        draft.wake(due + GRACE_SECONDS)
    else:
        _ask(draft, run, "Run")


def _due(run: StepPluginStatus) -> Instant | None:
    """Return from when on the worker may be called again, None before the first call."""
    if not run.executions or run.updated_at is None or not run.backoff:
        return None
    return Instant(run.updated_at + parse_duration(run.backoff))


# Abort and terminate


def _abort_runs(draft: Draft) -> None:
    """Undo what ran, the last first, each once."""
    for run in reversed(draft.plugin_statuses):
        has_effect = run.operation == "Run" and run.phase in (Phase.RUNNING, Phase.SUCCESSFUL)
        if not has_effect or _entry(draft, run.index, run.name, "Abort"):
            continue
        if not _end(draft, run, "Abort", "aborted"):
            return


def _terminate_run(draft: Draft) -> None:
    """End what still runs when the update is promoted over it."""
    for entry in reversed(draft.plugin_statuses):
        if entry.operation == "Terminate" and entry.phase == Phase.SUCCESSFUL:
            return
        if entry.operation == "Run" and entry.phase == Phase.RUNNING:
            if not _entry(draft, entry.index, entry.name, "Terminate"):
                _end(draft, entry, "Terminate", "terminated")
            return


def _end(draft: Draft, run: StepPluginStatus, operation: Operation, word: str) -> bool:
    """Call the worker to end a run, once; return whether it has answered."""
    plugin = _plugin(draft, run.index, run.name)
    if plugin is None:
        return False
    if plugin.is_disabled:
        return True
    answer = _ask(draft, run, operation)
    if answer is None:
        return False
    phase = _phase_at_end(answer)
    entry = StepPluginStatus(
        index=run.index,
        name=run.name,
        operation=operation,
        phase=str(phase),
        message=answer.error or answer.message,
        started_at=answer.at,
        updated_at=answer.at,
        finished_at=answer.at,
        executions=1,
        status=None if answer.error else answer.status,
    )
    _put(draft, entry)
    _announce(draft, entry, f"{word} ({phase})")
    return True


def _phase_at_end(answer: PluginAnswer) -> Phase:
    if answer.error:
        return Phase.ERROR
    if answer.phase == Phase.RUNNING:
        return Phase.FAILED  # it was to end
    return Phase(answer.phase or Phase.SUCCESSFUL)


# Calls and answers


def _plugin(draft: Draft, index: int, name: str) -> StepPlugin | None:
    observed = draft.observed
    plugin = observed.plugins.get(name)
    if plugin is None:
        why = observed.plugins_error or f"plugin {name} not configured in configmap {SETTING}"
        _fail(draft, f"could not create step plugin at index {index}: {why}")
    return plugin


def _ask(draft: Draft, run: StepPluginStatus, operation: Operation) -> PluginAnswer | None:
    """Return the answer to a call; while there is none, the call is under way."""
    call = _call(draft, run, operation)
    answer = _answer_to(draft, call)
    if answer is not None and _is_understood(answer):
        return answer
    if answer is not None:
        _fail(draft, f"failed to {operation.lower()} plugin: phase '{answer.phase}' is not valid")
    if answer is None or draft.now >= answer.at + TRANSIENT_SECONDS:
        draft.call = call
    return None


def _call(draft: Draft, run: StepPluginStatus, operation: Operation) -> PluginCall:
    began_at = int(run.started_at or 0)
    execution = run.executions + 1 if operation == "Run" else 1
    cause = (
        f"{draft.revision}.{run.index}.{draft.plugin_attempt}/{run.name}/{began_at}/"
        f"{operation}/{execution}"
    )
    step = draft.steps[run.index] if run.index < len(draft.steps) else None
    return PluginCall(
        id=event_id(draft.observed.uid, 0, PluginRequested.EVENT_TYPE, cause),
        cause=cause,
        plugin=run.name,
        operation=operation,
        index=run.index,
        execution=execution,
        config=step.plugin.config if step is not None and step.plugin is not None else None,
        status=run.status,
    )


def _answer_to(draft: Draft, call: PluginCall) -> PluginAnswer | None:
    answer = draft.observed.plugin_answer
    return answer if answer is not None and answer.call == call.id else None


def _is_understood(answer: PluginAnswer) -> bool:
    return bool(answer.error) or answer.phase in _SAID


def _put(draft: Draft, entry: StepPluginStatus) -> None:
    old = _entry(draft, entry.index, entry.name, _operation(entry))
    kept = [each for each in draft.plugin_statuses if each is not old]
    draft.plugin_statuses = [*kept, entry]


def _operation(entry: StepPluginStatus) -> Operation:
    if entry.operation == "Abort":
        return "Abort"
    return "Terminate" if entry.operation == "Terminate" else "Run"


def _announce(draft: Draft, entry: StepPluginStatus, what: str) -> None:
    draft.event(
        Reason.STEP_PLUGIN_TRANSITION,
        f"Step plugin {entry.name} (step {entry.index + 1}) {what}",
        type="Warning" if entry.phase in (Phase.ERROR, Phase.FAILED) else "Normal",
    )


def _fail(draft: Draft, text: str) -> None:
    """Try again later; say once what stands in the way: when the status begins to say it."""
    is_first = not draft.failure
    draft.fail(text, on="step plugin", after_seconds=TRANSIENT_SECONDS)
    waiting = draft.observed.headrace.waiting
    is_said = waiting is not None and waiting.unblock == text
    if is_first and not is_said:
        message = f"Reconciliation failed with error: {text}"
        draft.event(Reason.RECONCILIATION_ERROR, message, type="Warning")
