"""The facts of a pass, as `status.headrace.history` keeps them for the bus.

A fact is a difference between the status before and after the pass; its ordinal grows by one
per fact of the Rollout and makes the event's id, so that publishing it again is harmless.

Source: architecture, "Topics and events" (catalogue, outbox).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.model.conditions import ConditionType, PauseReason, Reason, RolloutPhase
from headrace.model.headrace_status import Transition, Waiting
from headrace.model.meta import format_micro_time
from headrace.model.rollout_status import RolloutStatus
from rollout_controller.core.canary.steps import describe
from rollout_controller.core.draft import Draft
from rollout_controller.core.plan import TerminateRun
from rollout_controller.core.status.conditions import find

HISTORY_LENGTH = 10


@dataclass(frozen=True, slots=True)
class _Fact:
    """Type without prefix and version, reason, message, and what it is about."""

    kind: str
    reason: str
    message: str
    step: int | None = None
    run: str | None = None


def extend(
    draft: Draft,
    history: tuple[Transition, ...],
    status: RolloutStatus,
    waiting: Waiting | None,
) -> tuple[Transition, ...]:
    """Return the history with the facts of this pass, the newest 10.

    Args:
        draft: The pass.
        history: As it is stored.
        status: As the pass claims it.
        waiting: As the pass claims it.
    """
    ordinal = history[-1].ordinal if history else 0
    entries = list(history)
    for fact in (*_facts(draft, draft.status, status), *_stuck(draft, status, waiting)):
        ordinal += 1
        entries.append(
            Transition(
                ordinal=ordinal,
                at=format_micro_time(draft.now),
                type=f"headrace.{fact.kind}.v1",
                epoch=draft.epoch,
                reason=fact.reason,
                message=fact.message,
                causation=draft.observed.cause,
                actor=draft.observed.actor,
                generation=draft.observed.generation,
                revision=str(draft.revision),
                pod_hash=draft.new_hash,
                step=fact.step,
                run=fact.run,
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
        yield _Fact("rollout.rejected", Reason.INVALID_SPEC, after.message)


def _revision(draft: Draft, old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    if new.current_pod_hash and new.current_pod_hash != old.current_pod_hash:
        message = f"Rollout updated to revision {draft.revision}"
        yield _Fact("rollout.updated", Reason.ROLLOUT_UPDATED, message)


def _abort(draft: Draft, old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    # Not by abortedAt: where the engine aborts, it stands in the intent before this claim.
    before, after = (find(status.conditions, ConditionType.PROGRESSING) for status in (old, new))
    was_claimed = before is not None and before.reason == Reason.ROLLOUT_ABORTED
    if after is not None and after.reason == Reason.ROLLOUT_ABORTED and not was_claimed:
        yield _Fact("rollout.aborted", Reason.ROLLOUT_ABORTED, after.message)
    elif old.aborted_at is not None and new.aborted_at is None and not old.abort:
        yield _Fact("rollout.retried", Reason.ROLLOUT_RETRY, "Retrying Rollout after abort")


def _runs(draft: Draft) -> Iterator[_Fact]:
    for effect in draft.effects:
        if isinstance(effect, TerminateRun):
            yield _Fact(
                "analysis.terminated",
                Reason.ANALYSIS_RUN_TERMINATING,
                f"AnalysisRun {effect.name} is not needed any more",
                run=effect.name,
            )


def _steps(draft: Draft, old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    steps, before, after = draft.steps, old.current_step_index, new.current_step_index
    if after is None or not steps or new.stable_rs == new.current_pod_hash:
        return
    is_same_update = new.current_pod_hash == old.current_pod_hash and not new.abort
    is_advance = is_same_update and before is not None and after > before
    if is_advance and before is not None:
        for index in range(before, after):
            message = f"Rollout step {index + 1}/{len(steps)} completed ({describe(steps[index])})"
            yield _Fact("step.completed", Reason.ROLLOUT_STEP_COMPLETED, message, index)
    if after < len(steps) and (not is_same_update or after != before) and not new.abort:
        message = f"Rollout step {after + 1}/{len(steps)} entered ({describe(steps[after])})"
        yield _Fact("step.entered", Reason.REPLICA_SET_UPDATED, message, after)


def _pauses(old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    if new.pause_conditions and not old.pause_conditions and not old.controller_pause:
        reason = new.pause_conditions[0].reason
        yield _Fact("rollout.paused", PauseReason(reason), f"Rollout is paused ({reason})")
    elif old.controller_pause and not new.controller_pause and not new.abort:
        yield _Fact("rollout.resumed", Reason.ROLLOUT_RESUMED, "Rollout is resumed")


def _completion(draft: Draft, old: RolloutStatus, new: RolloutStatus) -> Iterator[_Fact]:
    if new.stable_rs and new.stable_rs != old.stable_rs:
        message = f"Revision {draft.revision} ({new.stable_rs}) is stable"
        yield _Fact("rollout.promoted", Reason.ROLLOUT_COMPLETED, message)
    is_healthy = new.phase == RolloutPhase.HEALTHY
    if is_healthy and old.phase != RolloutPhase.HEALTHY:
        message = f"Rollout completed update to revision {draft.revision} ({new.current_pod_hash})"
        yield _Fact("rollout.completed", Reason.ROLLOUT_HEALTHY, message)


def _stuck(draft: Draft, new: RolloutStatus, waiting: Waiting | None) -> Iterator[_Fact]:
    """Lack of progress: a wait that is overdue, else the progress deadline; once per episode."""
    before = draft.observed.headrace.waiting
    if waiting is not None and waiting.stuck is not None:
        if before is None or before.stuck != waiting.stuck:
            message = f"waits for {waiting.on} since {waiting.since}: {waiting.unblock}"
            yield _Fact("rollout.stuck", waiting.reason, message)
        return
    old, now = (
        find(status.conditions, ConditionType.PROGRESSING) for status in (draft.status, new)
    )
    reason = Reason.PROGRESS_DEADLINE_EXCEEDED
    if now is not None and now.reason == reason and (old is None or old.reason != reason):
        yield _Fact("rollout.stuck", reason, now.message)
