"""The facts of a pass, as `status.headrace.history` keeps them for the bus.

A fact is a difference between the status before and after the pass; its ordinal grows by one
per fact of the Rollout and makes the event's id, so that publishing it again is harmless.

Source: architecture, "Topics and events" (catalogue, outbox).
"""

from __future__ import annotations

from collections.abc import Iterator

from headrace.model.conditions import ConditionType, PauseReason, Reason, RolloutPhase
from headrace.model.headrace_status import Transition
from headrace.model.meta import format_micro_time
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core.canary.steps import describe
from rollout_controller.core.draft import Draft
from rollout_controller.core.plan import CreateRun, TerminateRun
from rollout_controller.core.status.conditions import find

HISTORY_LENGTH = 10

_Fact = tuple[str, str, str, int | None]
"""Short type, reason, message, step index."""


def extend(
    draft: Draft, history: tuple[Transition, ...], status: RolloutStatus
) -> tuple[Transition, ...]:
    """Return the history with the facts of this pass, the newest 10."""
    ordinal = history[-1].ordinal if history else 0
    entries = list(history)
    for kind, reason, message, step in _facts(draft, draft.status, status):
        ordinal += 1
        entries.append(
            Transition(
                ordinal=ordinal,
                at=format_micro_time(draft.now),
                type=f"headrace.{kind}.v1",
                epoch=draft.epoch,
                reason=reason,
                message=message,
                causation=draft.observed.cause,
                actor=draft.observed.actor,
                generation=draft.observed.generation,
                revision=str(draft.revision),
                pod_hash=draft.new_hash,
                step=step,
            )
        )
    return tuple(entries[-HISTORY_LENGTH:])


def _facts(draft: Draft, old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    yield from _validity(old, new)
    yield from _revision(draft, old, new)
    yield from _abort(draft, old, new)
    yield from _runs(draft)
    yield from _steps(draft, old, new)
    yield from _pauses(old, new)
    yield from _completion(draft, old, new)


def _validity(old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    before = find(old.conditions, ConditionType.INVALID_SPEC)
    after = find(new.conditions, ConditionType.INVALID_SPEC)
    if after is not None and (before is None or before.message != after.message):
        yield "rollout.rejected", Reason.INVALID_SPEC, after.message, None


def _revision(draft: Draft, old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    if new.current_pod_hash and new.current_pod_hash != old.current_pod_hash:
        message = f"Rollout updated to revision {draft.revision}"
        yield "rollout.updated", Reason.ROLLOUT_UPDATED, message, None


def _abort(draft: Draft, old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    if new.abort and new.aborted_at is not None and old.aborted_at is None:
        condition = find(new.conditions, ConditionType.PROGRESSING)
        message = condition.message if condition else "Rollout aborted"
        yield "rollout.aborted", Reason.ROLLOUT_ABORTED, message, None
    elif old.aborted_at is not None and not new.abort and not old.abort:
        yield "rollout.retried", Reason.ROLLOUT_RETRY, "Retrying Rollout after abort", None


def _runs(draft: Draft) -> Iterator[_Fact]:
    for effect in draft.effects:
        if isinstance(effect, CreateRun):
            name = str(effect.manifest["metadata"]["name"])
            yield "analysis.requested", Reason.ANALYSIS_RUN_PENDING, name, draft.index
        elif isinstance(effect, TerminateRun):
            yield "analysis.terminated", Reason.ANALYSIS_RUN_TERMINATING, effect.name, None


def _steps(draft: Draft, old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    steps, before, after = draft.steps, old.current_step_index, new.current_step_index
    if after is None or not steps or new.stable_rs == new.current_pod_hash:
        return
    is_same_update = new.current_pod_hash == old.current_pod_hash and not new.abort
    is_advance = is_same_update and before is not None and after > before
    if is_advance and before is not None:
        for index in range(before, after):
            message = f"Rollout step {index + 1}/{len(steps)} completed ({describe(steps[index])})"
            yield "step.completed", Reason.ROLLOUT_STEP_COMPLETED, message, index
    if after < len(steps) and (not is_same_update or after != before) and not new.abort:
        message = f"Rollout step {after + 1}/{len(steps)} entered ({describe(steps[after])})"
        yield "step.entered", Reason.REPLICA_SET_UPDATED, message, after


def _pauses(old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    if new.pause_conditions and not old.pause_conditions and not old.controller_pause:
        reason = new.pause_conditions[0].reason
        yield "rollout.paused", PauseReason(reason), f"Rollout is paused ({reason})", None
    elif old.controller_pause and not new.controller_pause and not new.abort:
        yield "rollout.resumed", Reason.ROLLOUT_RESUMED, "Rollout is resumed", None


def _completion(draft: Draft, old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    if new.stable_rs and new.stable_rs != old.stable_rs:
        message = f"Revision {draft.revision} ({new.stable_rs}) is stable"
        yield "rollout.promoted", Reason.ROLLOUT_COMPLETED, message, None
    is_healthy = new.phase == RolloutPhase.HEALTHY
    if is_healthy and old.phase != RolloutPhase.HEALTHY:
        message = f"Rollout completed update to revision {draft.revision} ({new.current_pod_hash})"
        yield "rollout.completed", Reason.ROLLOUT_HEALTHY, message, None
