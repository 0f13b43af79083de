"""A Rollout whose spec cannot work: it is told, and nothing else is reconciled.

The abort of what already runs, and the drain that follows from it, go on by the route that is
stored, since a broken edit must not keep users on a bad version (architecture, deviation 4). A
stable version that has only the pods of its share gets all of them back.

Source: rollout-api 4.
"""

from __future__ import annotations

from headrace.model.conditions import ConditionStatus, ConditionType, Reason, RolloutPhase
from headrace.model.quantities import Instant
from rollout_controller.core.canary.drain import shrunken_stable, stored_size
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import Claim, Intent, PatchReplicaSet, Plan
from rollout_controller.core.route import reconcile_stored_abort
from rollout_controller.core.status import sync
from rollout_controller.core.status.conditions import ConditionList
from rollout_controller.core.workload import annotate_generation

RETRY_SECONDS = 10.0
"""An error outside the spec (a missing template) heals by itself: look again. rollout-api 9."""

WORKLOAD_RETRY_SECONDS = 20.0
"""A workload that cannot be resolved is asked for less often. rollout-api 2.3."""


def plan(observed: Observed, error: str, now: Instant) -> Plan:
    """Return the plan that says why the spec is refused."""
    draft = Draft(observed, now)
    if draft.status.abort:
        reconcile_stored_abort(draft)
        _grow_stable(draft)
    annotate_generation(draft)
    claim: Claim | None = _claim(draft, error)
    if claim is not None and _is_said(observed, claim):
        claim = None
    intent = Intent(claim.headrace) if claim and draft.needs_intent else None
    if draft.needs_intent and claim is None:
        intent = Intent(sync.headrace_after(draft, observed.status))
    draft.wake(now + (WORKLOAD_RETRY_SECONDS if observed.workload_error else RETRY_SECONDS))
    return Plan(
        intent=intent,
        effects=tuple(draft.effects),
        claim=claim,
        events=tuple(draft.events),
        request=draft.request if draft.needs_intent or draft.resend else None,
        wake_at=draft.wake_at,
        reason=Reason.INVALID_SPEC,
        message=error,
    )


def _grow_stable(draft: Draft) -> None:
    stored = draft.observed.headrace.route
    if stored is None or not stored.routers:
        return
    rs = shrunken_stable(draft, stored)
    if rs is None:
        return
    size = stored_size(draft, stored)
    effect = PatchReplicaSet(rs.name, replicas=size)
    draft.effect(effect)
    draft.event(
        Reason.SCALING_REPLICA_SET,
        f"Scaled up ReplicaSet {rs.name} (revision {rs.revision}) from {rs.replicas} to {size}",
        tells=effect,
    )


def _claim(draft: Draft, error: str) -> Claim:
    observed = draft.observed
    text = f'The Rollout "{observed.name}" is invalid: {error}'
    conditions = ConditionList(list(observed.status.conditions), draft.stamp)
    old = conditions.find(ConditionType.INVALID_SPEC)
    if old is None or old.message != text:
        conditions.replace(
            ConditionType.INVALID_SPEC, ConditionStatus.TRUE, Reason.INVALID_SPEC, text
        )
    status = observed.status.model_copy(
        update={
            "conditions": tuple(conditions.items),
            "observed_generation": str(observed.generation),
            "workload_observed_generation": _workload_generation(observed),
            "phase": str(RolloutPhase.DEGRADED),
            "message": f"{Reason.INVALID_SPEC}: {text}",
            "headrace": None,
            "canary": observed.status.canary.model_copy(update={"weights": draft.weights}),
        }
    )
    return Claim(status, sync.headrace_after(draft, status))


def _workload_generation(observed: Observed) -> str:
    """Return the generation that was judged; of one that cannot be read, what was known last."""
    if observed.workload is None:
        return observed.status.workload_observed_generation
    return str(observed.workload.generation)


def _is_said(observed: Observed, claim: Claim) -> bool:
    """Return whether status and remembered facts hold this already."""
    same = claim.status == observed.status.model_copy(update={"headrace": None})
    return same and claim.headrace == observed.headrace
