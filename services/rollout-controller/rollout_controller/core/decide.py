"""One pass over one Rollout: rollout-api 9, then canary 1 or bluegreen 1, visible at a glance.

`decide` is total and pure. A pass that changes only the status is followed, within the same
plan, by the next one, so that a step that ends and a pause that begins cost one request; its
claim may carry the intent of the pass after it. The pass that does not belong to the plan any
more, mostly because it finds nothing to do, is handed out as what is foreseen: it need not be
decided again when it comes.
"""

from __future__ import annotations

from dataclasses import replace

from headrace.model.conditions import Reason
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.quantities import Instant
from rollout_controller.core import ephemeral, invalid, replica_sets, restart, workload
from rollout_controller.core.bluegreen import analysis as bluegreen_analysis
from rollout_controller.core.bluegreen import cutover
from rollout_controller.core.bluegreen import pause as bluegreen_pause
from rollout_controller.core.bluegreen import promotion as bluegreen_promotion
from rollout_controller.core.bluegreen import scaling as bluegreen_scaling
from rollout_controller.core.bluegreen import services as bluegreen_services
from rollout_controller.core.canary import scaling as canary_scaling
from rollout_controller.core.canary.analysis import reconcile_analysis
from rollout_controller.core.canary.experiment import reconcile_experiments
from rollout_controller.core.canary.pause import reconcile_pause
from rollout_controller.core.canary.plugins import reconcile_plugins
from rollout_controller.core.canary.services import reconcile_services
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import (
    AnnotateRollout,
    Claim,
    CreateReplicaSet,
    Effect,
    EvictPods,
    Foreseen,
    Intent,
    Plan,
    PlannedEvent,
    TerminateExperiment,
    TerminateRun,
    describe,
    nothing,
)
from rollout_controller.core.rollback import is_within_window
from rollout_controller.core.route import reconcile_route
from rollout_controller.core.scaling import is_scaling_event
from rollout_controller.core.status import sync
from rollout_controller.core.status.conditions import (
    deadline_of_progress,
    is_deadline_abort_due,
    timeout_message,
)
from rollout_controller.core.validation.rules import first_error

_OF_PODS = (
    "replicas",
    "updated_replicas",
    "ready_replicas",
    "available_replicas",
    "hpa_replicas",
    "conditions",
    "message",
)
"""What a claim tells of pods, beside the phase."""

_OF_EFFECTS = (Reason.SWITCH_SERVICE, Reason.SCALING_REPLICA_SET)
"""Events that tell an effect, and are void where the effect is dropped."""

ANSWER_SECONDS = 1.0
"""How long what only counts waits for the answer to a route, to be claimed with it."""

PASSES_MAX = 4
"""Passes over the status alone that one plan may hold; a loop would be a bug."""


def decide(observed: Observed, *, now: Instant) -> Plan:
    """Return what to do about one Rollout.

    Args:
        observed: The whole snapshot.
        now: Decision time, seconds since the epoch, by this service's clock.
    """
    error = first_error(observed)  # of spec and references, which no pass changes
    plan = _pass(observed, error, now)
    for _ in range(PASSES_MAX - 1):
        if plan.effects or plan.claim is None:
            return plan
        claimed = observed.with_status(plan.claim.status, plan.claim.headrace)
        after = _pass(claimed, error, now)
        has_intent = after.intent is not None and not _stores_abort(after)
        if after.effects and has_intent and plan.intent is None:
            return _with_intent(plan, plan.claim, after)
        if after.effects or after.is_still:
            return replace(plan, then=Foreseen(claimed, after, now))
        if plan.intent or _stores_abort(after):
            return plan
        plan = _joined(plan, after)
    return plan


def plan_of_failure(observed: Observed, effect: Effect, text: str, *, now: Instant) -> Plan:
    """Return what may be said although an effect failed.

    Only what asserts no effect: generation, counters, conditions, that an update begins, and in
    status.headrace.waiting what failed and why.

    Args:
        observed: The snapshot of the pass, with the intent that is stored already.
        effect: What could not be carried out.
        text: The API server's answer.
        now: Decision time.
    """
    draft = Draft(observed, now)
    draft.revision = replica_sets.revision_of_new(draft)
    draft.fail(text, on=describe(effect))
    if isinstance(effect, CreateReplicaSet):
        name = effect.manifest["metadata"]["name"]
        draft.create_error = f'Failed to create new replica set "{name}": {text}'
        draft.event(Reason.REPLICA_SET_CREATE_ERROR, draft.create_error, type="Warning")
    claim = sync.claim_failure(draft)
    return Plan(claim=claim, events=tuple(draft.events), reason=describe(effect), message=text)


def _stores_abort(plan: Plan) -> bool:
    """Return whether the intent also stores an abort, which no claim before it may carry."""
    return plan.intent is not None and plan.intent.aborted_at is not None


def _with_intent(first: Plan, claim: Claim, second: Plan) -> Plan:
    """Return the first pass with the intent of the second in its claim.

    The second's effects wait for the stored intent anyway: the next pass derives them again.
    """
    assert second.intent is not None
    return replace(
        first,
        claim=Claim(claim.status, second.intent.headrace),
        request=second.request or first.request,
    )


def _joined(first: Plan, second: Plan) -> Plan:
    """Return both passes as one plan; the second has no effects.

    The claim of the first carries the intent of the second: one request instead of two.
    """
    assert first.claim is not None
    claim = second.claim or first.claim
    if second.intent is not None and second.claim is None:
        claim = Claim(first.claim.status, second.intent.headrace)
    wakes = [at for at in (first.wake_at, second.wake_at) if at is not None]
    return replace(
        second,
        intent=None,
        claim=claim,
        events=first.events + second.events,
        request=second.request or first.request,
        call=second.call or first.call,
        wake_at=min(wakes, default=None),
        reason=second.reason or first.reason,
    )


def _pass(observed: Observed, error: str | None, now: Instant) -> Plan:
    if observed.is_deleting:
        return nothing(reason="Deleting")
    if error is not None:
        return invalid.plan(observed, error, now)
    draft = Draft(observed, now)
    if replica_sets.claim_replica_sets(draft):
        return _plan(draft, None, Reason.FOUND_NEW_REPLICA_SET)
    workload.annotate_generation(draft)
    if draft.new is None:
        _greet(draft)
        replica_sets.create_replica_set(draft)
        return _plan(draft, None, Reason.NEW_REPLICA_SET_CREATED)
    if observed.spec.replicas is None:
        draft.effect(AnnotateRollout({}, replicas=1))
        return _plan(draft, None, "DefaultReplicas")
    if sync.spec_changed(draft):
        replica_sets.sync_revision(draft)
        if draft.is_blue_green:
            bluegreen_services.reconcile_preview(draft)
        return _plan(draft, sync.claim_reset(draft), "SpecChanged")
    if draft.status.abort and draft.is_fully_promoted:
        draft.remove_abort()
    elif draft.status.abort and (draft.status.promote_full or is_within_window(draft)):
        # Stored before any route that raises: the router refuses those while the abort stands.
        draft.remove_abort()
        return _plan(draft, sync.claim_counts(draft), "AbortDropped")
    elif draft.is_retried and not draft.is_blue_green and not draft.is_fully_promoted:
        return _plan(draft, sync.claim_retry(draft), Reason.ROLLOUT_RETRY)
    if is_scaling_event(draft):
        _reconcile_sizes(draft)
        return _plan(draft, sync.claim_counts(draft), "Scaling")
    return _blue_green(draft) if draft.is_blue_green else _canary(draft)


def _reconcile_sizes(draft: Draft) -> None:
    strategy = bluegreen_scaling if draft.is_blue_green else canary_scaling
    strategy.reconcile_replica_sets(draft)
    workload.scale_down(draft)


def _greet(draft: Draft) -> None:
    """Say once that a Rollout is new, and not at each takeover (deviation 11)."""
    if not draft.observed.replica_sets and not draft.status.current_pod_hash:
        draft.event(
            Reason.ROLLOUT_ADDED_TO_INFORMER,
            f"Rollout resource added to informer: {draft.observed.key}",
        )


def _canary(draft: Draft) -> Plan:
    """The stages of canary 1, each in a module of its own."""
    replica_sets.sync_revision(draft)
    restart.reconcile_restart(draft)
    ephemeral.reconcile_ephemeral_metadata(draft)
    replica_sets.collect_history(draft)
    reconcile_services(draft)
    reconcile_route(draft)
    reconcile_experiments(draft)
    reconcile_analysis(draft)
    if draft.aborted_now and not draft.status.abort:
        return _aborted(draft)
    if not draft.pauses_added:
        _reconcile_sizes(draft)
        if not draft.scaled:
            reconcile_pause(draft)
            reconcile_plugins(draft)
    if draft.aborted_now and not draft.status.abort:
        return _aborted(draft)
    if sync.is_abort_claim_held(draft):
        return _plan(draft, None, "RouteAcknowledgement")
    return _claimed(draft, sync.claim_steps(draft), "Canary")


def _aborted_by_deadline(observed: Observed, now: Instant) -> Plan:
    """Decide again, without what this pass wanted, as aborted for lack of progress."""
    draft = Draft(observed, now)
    message = timeout_message(draft)
    draft.abort(message)
    draft.event(Reason.ROLLOUT_ABORTED, message, type="Warning")
    return _aborted(draft)


def _blue_green(draft: Draft) -> Plan:
    """The stages of bluegreen 1, each in a module of its own."""
    reconcile_route(draft)  # only gives up what a canary before it asked for
    replica_sets.sync_revision(draft)
    bluegreen_services.reconcile_preview(draft)
    restart.reconcile_restart(draft)
    _reconcile_sizes(draft)
    replica_sets.collect_history(draft)
    bluegreen_pause.reconcile_pause(draft)
    cutover.reconcile_active(draft)
    reconcile_experiments(draft)
    bluegreen_analysis.reconcile_analysis(draft)
    if draft.aborted_now and not draft.status.abort:
        return _aborted(draft)
    ephemeral.reconcile_ephemeral_metadata(draft)
    return _claimed(draft, sync.claim(draft, bluegreen_promotion.advance(draft)), "BlueGreen")


def _claimed(draft: Draft, claim: Claim, reason: str) -> Plan:
    """Return the plan of a whole pass, unless lack of progress aborts the update instead."""
    if is_deadline_abort_due(draft, claim.status):
        return _aborted_by_deadline(draft.observed, draft.now)
    return _plan(draft, claim, reason)


def _aborted(draft: Draft) -> Plan:
    """Decide again as aborted: the route, the Services and the runs follow in this very pass."""
    observed = draft.observed
    plugins = {"step_plugin_statuses": tuple(draft.plugin_statuses)}
    canary = observed.status.canary.model_copy(update=plugins)
    status = observed.status.model_copy(
        update={"abort": True, "aborted_at": draft.stamp, "canary": canary}
    )
    headrace = observed.headrace.model_copy(update={"abort_message": draft.abort_message})
    plan = _pass(observed.with_status(status, headrace), None, draft.now)
    intent = plan.intent
    if intent is not None:
        intent = replace(intent, aborted_at=draft.stamp)
    events = _events_of_abort(draft, plan.events, intent)
    return replace(plan, intent=intent, events=events, reason=Reason.ROLLOUT_ABORTED)


def _events_of_abort(
    draft: Draft, after: tuple[PlannedEvent, ...], intent: Intent | None
) -> tuple[PlannedEvent, ...]:
    """Return the Events in the order of the reference: why, the abort, and what follows from it.

    There the Services and the traffic follow one pass later, and of a canary only the sizes are
    part of the pass that aborts (canary 1; bluegreen 5, 7). Once the abort is stored, no other
    pass will know why.
    """
    kept = tuple(
        replace(event, tells=event.tells or intent)
        for event in draft.events
        if event.reason not in _OF_EFFECTS
    )
    rest = [event for event in after if event not in kept]
    early = {Reason.ROLLOUT_ABORTED}
    if not draft.is_blue_green:
        early.add(Reason.SCALING_REPLICA_SET)
    return (*kept, *sorted(rest, key=lambda event: event.reason not in early))


def _plan(draft: Draft, claim: Claim | None, reason: str) -> Plan:
    """Return the draft as a plan, without what would change nothing."""
    observed = draft.observed
    intent = None
    begins_abort = draft.is_aborted and draft.status.aborted_at is None
    is_requested = draft.needs_intent and draft.request is not None
    if is_requested or (begins_abort and _ends_trials(draft)):
        intent = Intent(_intended(draft, claim), draft.stamp if begins_abort else None)
    if claim is not None and (_is_same(draft, claim) or _is_soon_again(draft, claim)):
        claim = None
    conditions = claim.status.conditions if claim else draft.status.conditions
    deadline = deadline_of_progress(draft, conditions)
    if deadline is not None:
        draft.wake(max(deadline + 1.0, draft.now + 0.1))
    waiting = claim.headrace.waiting if claim else observed.headrace.waiting
    return Plan(
        intent=intent,
        effects=tuple(draft.effects),
        claim=claim,
        events=tuple(draft.events),
        request=draft.request if draft.needs_intent or draft.resend else None,
        call=draft.call,
        wake_at=draft.wake_at,
        reason=waiting.reason if waiting else reason,
        message=waiting.unblock or "" if waiting else "",
    )


def _ends_trials(draft: Draft) -> bool:
    """Return whether something is ended whose end would look like a good verdict.

    That it was an abort which ended it must be known first, should a person take that back before
    it is claimed.
    """
    return any(isinstance(each, TerminateRun | TerminateExperiment) for each in draft.effects)


def _intended(draft: Draft, claim: Claim | None) -> HeadraceStatus:
    """Return status.headrace as the intent stores it: the route and what it may raise.

    What is waited for from now on stands beside it; it asserts no effect, and mostly nothing
    else is left to claim in this pass.
    """
    remembered = draft.observed.headrace
    return remembered.model_copy(
        update={
            "epoch": draft.epoch,
            "route": draft.request,
            "shares": draft.shares or None,
            "abort_message": draft.abort_message or None,
            "waiting": claim.headrace.waiting if claim else remembered.waiting,
        }
    )


def _is_soon_again(draft: Draft, claim: Claim) -> bool:
    """Return whether the claim only counts and judges within a phase, and another pass is near.

    A pass with effects is followed by another one at once, and mostly the router answers within
    some hundredths of a second. Both count again and mostly have more to claim: one request
    instead of two.
    """
    has_effects = any(not isinstance(effect, EvictPods) for effect in draft.effects)
    observed = draft.observed
    counted = {name: getattr(claim.status, name) for name in _OF_PODS}
    waiting = {"waiting": claim.headrace.waiting}
    only_counts = claim.status == observed.status.model_copy(update=counted) and (
        claim.headrace == observed.headrace.model_copy(update=waiting)
    )
    if not only_counts or has_effects:
        return only_counts
    is_told = bool(draft.needs_intent or draft.events)  # something goes out with this claim
    return not is_told and draft.awaits_answer(ANSWER_SECONDS)


def _is_same(draft: Draft, claim: Claim) -> bool:
    """Return whether the claim stores nothing new."""
    return claim.status == draft.status and claim.headrace == draft.observed.headrace
