"""The runs that judge the new version before and after it takes the traffic (bluegreen 7)."""

from __future__ import annotations

from headrace.model.analysis import AnalysisPhase
from headrace.model.conditions import PauseReason
from headrace.model.steps import RolloutAnalysis
from rollout_controller.core import analysis
from rollout_controller.core.analysis import ClaimedRun
from rollout_controller.core.bluegreen.counts import is_ready_for_pause, is_saturated
from rollout_controller.core.bluegreen.services import needs_no_judgement
from rollout_controller.core.claimed_runs import RunKind
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import RunObject


def reconcile_analysis(draft: Draft) -> None:
    """Start, judge and end the runs of this pass.

    Unlike those of a canary, runs that are cancelled stay in the status.
    """
    if analysis.cancels_all(draft):
        for kind, wanted in _kinds(draft):
            if _is_configured(wanted):
                analysis.keep(draft, _current(draft, kind))
        analysis.end_others(draft, set())
        return
    current = [run for kind, wanted in _kinds(draft) if (run := _pursue(draft, kind, wanted))]
    analysis.end_others(draft, {run.name for run in current})


def is_pre_promotion_passed(draft: Draft) -> bool:
    """Return whether the pre-promotion analysis holds nothing back."""
    return _is_passed(draft, "PrePromotion", draft.blue_green.pre_promotion_analysis)


def is_post_promotion_passed(draft: Draft) -> bool:
    """Return whether the post-promotion analysis of this pass holds nothing back."""
    if not _is_configured(draft.blue_green.post_promotion_analysis):
        return True
    run = draft.runs.get("PostPromotion")
    return run is not None and run.status == AnalysisPhase.SUCCESSFUL


def holds_old_replica_sets(draft: Draft) -> bool:
    """Return whether old pods stay until the post-promotion analysis is over (bluegreen 3.3).

    Only while the user did not say how long they shall stay.
    """
    wanted = draft.blue_green.post_promotion_analysis
    return (
        _is_configured(wanted)
        and draft.blue_green.scale_down_delay_seconds is None
        and not _is_skipped(draft, "PostPromotion")
        and not _is_passed(draft, "PostPromotion", wanted)
    )


def _kinds(draft: Draft) -> tuple[tuple[RunKind, RolloutAnalysis | None], ...]:
    strategy = draft.blue_green
    return (
        ("PrePromotion", strategy.pre_promotion_analysis),
        ("PostPromotion", strategy.post_promotion_analysis),
    )


def _pursue(draft: Draft, kind: RunKind, wanted: RolloutAnalysis | None) -> RunObject | None:
    if wanted is None or not wanted.templates:
        return None
    current = _current(draft, kind)
    if _is_skipped(draft, kind):
        analysis.keep(draft, current)
        return None
    if current.reference is None and not _is_ready(draft, kind):
        return None
    if draft.has_pause(PauseReason.INCONCLUSIVE_ANALYSIS_RUN):
        analysis.keep(draft, current)
        return current.run
    return analysis.pursue(draft, current, wanted)


def _current(draft: Draft, kind: RunKind) -> ClaimedRun:
    """Return the run of this attempt; a retry judges anew."""
    return ClaimedRun(kind, None, None) if draft.is_retried else analysis.claimed(draft, kind)


def _is_configured(wanted: RolloutAnalysis | None) -> bool:
    return wanted is not None and bool(wanted.templates)


def _is_passed(draft: Draft, kind: RunKind, wanted: RolloutAnalysis | None) -> bool:
    if not _is_configured(wanted):
        return True
    run = _current(draft, kind).run
    return run is not None and run.phase == AnalysisPhase.SUCCESSFUL


def _is_skipped(draft: Draft, kind: RunKind) -> bool:
    """Return whether it is too late for the one run, or too early for the other.

    By the active Service as persisted: what happens after the switch begins one pass later.
    """
    active, new = draft.status.blue_green.active_selector, draft.new_hash
    if not new or draft.status.stable_rs == new:
        return True
    if kind == "PostPromotion":
        return active != new
    return needs_no_judgement(draft, active)


def _is_ready(draft: Draft, kind: RunKind) -> bool:
    """Return whether the pods are there that a run judges.

    A preview is small, unless it has grown already, or nobody else is left to serve.
    """
    if kind == "PrePromotion" and draft.blue_green.preview_replica_count is not None:
        return is_ready_for_pause(draft)
    return is_saturated(draft, draft.new)
