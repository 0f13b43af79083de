"""From the draft of a pass to the status that it claims.

Source: canary 2.2 (order), 2.3, 2.5, 3.3; rollout-api 3, 5, 6; architecture, "Order of effects".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from headrace.model.conditions import ConditionType, PauseReason, Reason
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.meta import LabelSelector, parse_time
from headrace.model.rollout_status import BlueGreenStatus, CanaryStatus, RolloutStatus
from rollout_controller.core.bluegreen.services import active_hash, preview_hash
from rollout_controller.core.canary import pause, plugins, steps
from rollout_controller.core.canary.analysis import is_step_run_successful
from rollout_controller.core.canary.counts import at_desired_counts
from rollout_controller.core.canary.promotion import promotion_reason
from rollout_controller.core.claimed_runs import claimed_runs, with_runs
from rollout_controller.core.draft import Draft
from rollout_controller.core.managed_routes import is_step_route_made
from rollout_controller.core.observed import ReplicaSet
from rollout_controller.core.plan import Claim
from rollout_controller.core.roles import swapped
from rollout_controller.core.rollback import is_within_window
from rollout_controller.core.status import conditions, duration, history, phase, waiting


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the order of canary 2.2 decided.

    Attributes:
        index: currentStepIndex after this pass.
        stable_rs: stableRS after this pass.
        promote_full: promoteFull after this pass.
        completion: completionStatus of a promotion, else "".
        spec_changed: This pass began a new update.
    """

    index: int | None
    stable_rs: str
    promote_full: bool
    completion: str = ""
    spec_changed: bool = False


def spec_changed(draft: Draft) -> bool:
    """Return whether template or steps differ from what the status was made for (canary 1).

    Blue-green has no steps, and its first pass begins nothing anew (bluegreen 1).
    """
    status = draft.status
    is_other = bool(status.current_pod_hash) and status.current_pod_hash != draft.new_hash
    if draft.is_blue_green:
        return is_other
    return is_other or status.current_step_hash != draft.observed.step_hash


def claim_reset(draft: Draft) -> Claim:
    """Return the claim that begins a new update (canary 2.2, rule 1).

    Steps that were edited are another attempt at the same revision: no verdict on those before
    counts for them.
    """
    if draft.status.current_pod_hash == draft.new_hash:
        draft.leave_verdict()
    draft.forget_plugins()
    draft.clear_pauses()
    draft.remove_abort()
    count = len(draft.steps)
    index: int | None = 0 if count else None
    skipped = _skipping(draft)
    if count and skipped:
        draft.event(Reason.SKIP_STEPS, skipped)
        index = count
    outcome = Outcome(index, draft.status.stable_rs, promote_full=False, spec_changed=True)
    return claim(draft, outcome)


def claim_retry(draft: Draft) -> Claim:
    """Return the claim by which the steps of a canary begin again (canary 3.3).

    The claim of the abort did so already, unless the person was faster, or an effect was refused:
    then runs and Experiments are named that the abort has ended.
    """
    draft.clear_pauses()
    draft.forget_plugins()
    index = 0 if draft.steps else None
    return claim(draft, Outcome(index, draft.status.stable_rs, draft.status.promote_full))


def _skipping(draft: Draft) -> str:
    """Return why a new update skips its steps, "" when it does not (canary 2.2, rule 1)."""
    new = draft.new
    if new is not None and draft.status.stable_rs == new.pod_hash:
        return "Rollback to stable ReplicaSets"
    if new is not None and new.replicas > 0 and is_within_window(draft):
        return "Rollback to active ReplicaSets within RollbackWindow"
    return ""


def claim_steps(draft: Draft) -> Claim:
    """Return the claim of an ordinary pass: promotion, abort or the completed step."""
    return claim(draft, _advance(draft))


def claim_failure(draft: Draft) -> Claim:
    """Return the claim of a pass that failed.

    An update that begins is claimed as such: its steps are not those of the one before.
    """
    if draft.new is None:
        return _claim_unborn(draft)
    return claim_reset(draft) if spec_changed(draft) else claim_counts(draft)


def _claim_unborn(draft: Draft) -> Claim:
    """Return the claim while a revision has no ReplicaSet: nothing else of it is claimed."""
    draft.keeps_word = True
    status = draft.status
    kept = [c for c in status.conditions if c.type != ConditionType.INVALID_SPEC]
    told = conditions.ConditionList(kept, draft.stamp)
    if draft.create_error:
        reason = Reason.REPLICA_SET_CREATE_ERROR
        told.set(ConditionType.PROGRESSING, conditions.FALSE, reason, draft.create_error)
    update: dict[str, Any] = {
        "conditions": tuple(told.items),
        "observed_generation": str(draft.observed.generation),
        "updated_replicas": 0,
        "headrace": None,
    }
    status = status.model_copy(update=update)
    name, message = phase.calculate(draft, status, holds_route=False)
    status = status.model_copy(update={"phase": str(name), "message": message})
    return Claim(status, headrace_after(draft, status))


def claim_counts(draft: Draft) -> Claim:
    """Return the claim of a pass that only scaled, or failed: nothing but counters moves."""
    status = draft.status
    draft.runs = claimed_runs(status)
    draft.experiment = status.canary.current_experiment
    draft.check_point = status.blue_green.scale_up_preview_check_point
    draft.keeps_word = not status.abort
    outcome = Outcome(status.current_step_index, status.stable_rs, status.promote_full)
    return claim(draft, outcome)


def _advance(draft: Draft) -> Outcome:
    status = draft.status
    count = len(draft.steps)
    index = status.current_step_index
    working = index if index is not None else (0 if count else None)
    is_skipping = status.promote_full or is_within_window(draft)
    if is_skipping:
        draft.clear_pauses()
        draft.remove_abort()
        working = count if count else None
    reason = promotion_reason(draft, working or 0)
    if reason is not None:
        return promote(draft, reason, count or None)
    if draft.is_aborted:
        is_stable = status.stable_rs == draft.new_hash
        rewound = None if not count else count if is_stable else 0
        return Outcome(rewound, status.stable_rs, promote_full=False)
    promote_full = status.promote_full and status.stable_rs != draft.new_hash
    if working is not None and not is_skipping and _is_step_completed(draft):
        return Outcome(_complete_step(draft), status.stable_rs, promote_full)
    return Outcome(working, status.stable_rs, promote_full)


def promote(draft: Draft, reason: str, index: int | None) -> Outcome:
    """Return that the new version is the stable one, and tell it if it was not (canary 3.1)."""
    draft.clear_pauses()
    draft.remove_abort()
    completion = ""
    if draft.status.stable_rs != draft.new_hash:
        completion = "FastPromoted" if draft.status.promote_full else "Promoted"
        draft.event(
            Reason.ROLLOUT_COMPLETED,
            f"Rollout completed update to revision {draft.revision} ({draft.new_hash}): {reason}",
        )
    return Outcome(index, draft.new_hash, promote_full=False, completion=completion)


def _is_step_completed(draft: Draft) -> bool:
    """Return whether the current step is done (canary 2.1)."""
    step = draft.step
    if draft.spec.paused or step is None:
        return False
    if step.pause is not None:
        return pause.is_pause_over(draft)
    if step.set_canary_scale is not None:
        return at_desired_counts(draft.count_facts(draft.weights))
    if step.set_weight is not None:
        return _is_weight_reached(draft)
    if step.experiment is not None:
        return draft.is_experiment_done
    if step.analysis is not None:
        return is_step_run_successful(draft)
    if step.set_header_route is not None or step.set_mirror_route is not None:
        return draft.is_route_settled and is_step_route_made(draft)
    if step.plugin is not None:
        return plugins.is_completed(draft, draft.index, step.plugin.name)
    return False


def _is_weight_reached(draft: Draft) -> bool:
    if not at_desired_counts(draft.count_facts(draft.weights)):
        return False
    if not draft.is_route_settled:
        return False
    return draft.weights is None or draft.weights.verified is not False


def _complete_step(draft: Draft) -> int:
    index = draft.index
    text = steps.describe(draft.steps[index])
    draft.event(
        Reason.ROLLOUT_STEP_COMPLETED,
        f"Rollout step {index + 1}/{len(draft.steps)} completed ({text})",
    )
    draft.remove_pause(PauseReason.CANARY_PAUSE_STEP)
    draft.runs.pop("Step", None)
    if draft.steps[index].analysis is not None or draft.steps[index].experiment is not None:
        draft.leave_verdict()
    return index + 1


def claim(draft: Draft, outcome: Outcome) -> Claim:
    """Return the claim of a pass with this outcome."""
    fields = _base_fields(draft, outcome)
    status = with_runs(RolloutStatus(**fields), draft.runs)
    held = _holds_route(draft)
    kept = tuple(conditions.calculate(draft, status, holds_route=held))
    status = status.model_copy(update={"conditions": kept})
    name, message = phase.calculate(draft, status, holds_route=held)
    is_begun = outcome.spec_changed or not draft.status.current_pod_hash
    record = duration.calculate(draft, status, spec_changed=is_begun, completion=outcome.completion)
    update = {"phase": str(name), "message": message, "duration": record}
    status = status.model_copy(update=update)
    _announce_pauses(draft, status)
    return Claim(status, headrace_after(draft, status))


def _base_fields(draft: Draft, outcome: Outcome) -> dict[str, Any]:
    """Return every field but conditions, phase and duration (canary 2.2)."""
    status, observed = draft.status, draft.observed
    sets, workload = observed.replica_sets, observed.workload
    is_aborted = draft.is_aborted
    serving, selector = _serving(draft)
    restart_done = outcome.spec_changed
    return {
        "abort": is_aborted,
        "aborted_at": draft.aborted_at(),
        "pause_conditions": draft.pause_conditions(),
        "controller_pause": draft.controller_pause(),
        "current_pod_hash": draft.new_hash,
        "current_step_hash": observed.step_hash,
        "current_step_index": outcome.index,
        "replicas": sum(rs.status_replicas for rs in sets),
        "updated_replicas": draft.new.status_replicas if draft.new else 0,
        "ready_replicas": sum(rs.ready for rs in serving),
        "available_replicas": sum(rs.available for rs in serving),
        "hpa_replicas": sum(rs.status_replicas for rs in serving),
        "selector": selector.format() if selector is not None else "",
        "collision_count": status.collision_count,
        "observed_generation": str(observed.generation),
        "workload_observed_generation": str(workload.generation) if workload else "",
        "stable_rs": outcome.stable_rs,
        "restarted_at": observed.spec.restart_at if restart_done else draft.restarted_at,
        "promote_full": outcome.promote_full,
        "canary": CanaryStatus(
            current_experiment=draft.experiment,
            weights=draft.weights,
            stable_ping_pong=_ping_pong(draft, outcome),
            step_plugin_statuses=tuple(draft.plugin_statuses),
        ),
        "blue_green": _blue_green(draft),
        "alb": status.alb,
        "albs": status.albs,
    }


def _ping_pong(draft: Draft, outcome: Outcome) -> str:
    """Return which of the two Services is stable: a promotion swaps their roles (canary 6.3)."""
    before = draft.status.canary.stable_ping_pong
    is_promotion = outcome.stable_rs != draft.status.stable_rs
    return swapped(draft.canary, before) if is_promotion else before


def _serving(draft: Draft) -> tuple[Sequence[ReplicaSet], LabelSelector | None]:
    """Return the ReplicaSets that serve, and the selector of their pods, for the counters and HPA.

    In blue-green only the active one, once it is known: an autoscaler must not count the pods of
    the preview, which get no traffic (bluegreen 8.7).
    """
    sets, selector = draft.observed.replica_sets, draft.observed.spec.selector
    if not draft.is_blue_green or not active_hash(draft):
        return sets, selector
    active = next((rs for rs in sets if rs.pod_hash == active_hash(draft)), None)
    if active is None:
        return sets, selector
    return (active,), LabelSelector.load(active.manifest.get("spec", {}).get("selector") or {})


def _blue_green(draft: Draft) -> BlueGreenStatus:
    if not draft.is_blue_green:
        return BlueGreenStatus()
    return BlueGreenStatus(
        preview_selector=preview_hash(draft),
        active_selector=active_hash(draft),
        scale_up_preview_check_point=draft.check_point,
    )


def _holds_route(draft: Draft) -> bool:
    """Return whether Healthy waits for the first route (deviation 13)."""
    if not draft.has_routers or draft.acknowledged is not None:
        return False
    healthy = conditions.find(draft.status.conditions, ConditionType.HEALTHY)
    return healthy is None or healthy.status != conditions.TRUE


def _announce_pauses(draft: Draft, status: RolloutStatus) -> None:
    before, after = draft.status.pause_conditions, status.pause_conditions
    if after and not before:
        message = f"Rollout is paused ({after[0].reason})"
        draft.event(Reason.ROLLOUT_PAUSED, message, before=False)
    elif before and not after and status.aborted_at is None:
        draft.event(Reason.ROLLOUT_RESUMED, "Rollout is resumed", before=False)


def headrace_after(draft: Draft, status: RolloutStatus) -> HeadraceStatus:
    """Return status.headrace as the claim stores it."""
    old = draft.observed.headrace
    wait = waiting.calculate(draft, status, old.waiting)
    if wait is not None and wait.expected is not None and wait.stuck is None:
        draft.wake(parse_time(wait.expected))
    kept = history.extend(draft, old.history, status, wait)
    delivered = max(old.published, draft.observed.delivered)
    changes_anyway = kept != old.history
    return HeadraceStatus(
        epoch=draft.epoch,
        attempt=old.attempt if draft.keeps_word else draft.attempt,
        plugin_attempt=draft.plugin_attempt,
        abort_message=draft.abort_message or None,
        route=draft.request,
        acknowledged=draft.acknowledged,
        shares=draft.shares or None,
        waiting=wait,
        history=kept,
        published=delivered if changes_anyway else old.published,
        commands=old.commands,
    )


def is_abort_claim_held(draft: Draft) -> bool:
    """Return whether the claim of an abort still waits for the route, at most 2 s.

    An Argo client reads Degraded as "traffic is back"; the wait is bounded because it must
    learn of the abort even when the router is away.
    """
    progressing = conditions.find(draft.status.conditions, ConditionType.PROGRESSING)
    is_claimed = progressing is not None and progressing.reason == Reason.ROLLOUT_ABORTED
    if not draft.is_aborted or is_claimed:
        return False
    route = draft.request
    is_asked = route is not None and route.aborted
    return is_asked and draft.awaits_answer(draft.observed.settings.abort_claim_seconds)
