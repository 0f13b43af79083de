"""The analysis runs of a canary: one for the current step, one in the background (canary 7)."""

from __future__ import annotations

from headrace.model.analysis import AnalysisPhase
from headrace.model.conditions import PauseReason
from rollout_controller.core import analysis
from rollout_controller.core.analysis import ClaimedRun
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import RunObject


def reconcile_analysis(draft: Draft) -> None:
    """Start, judge and end the runs of this pass."""
    current = () if analysis.cancels_all(draft) else (_step(draft), _background(draft))
    analysis.end_others(draft, {run.name for run in current if run is not None})


def _step(draft: Draft) -> RunObject | None:
    current = analysis.claimed(draft, "Step")
    wanted = draft.step.analysis if draft.step is not None else None
    if draft.status.pause_conditions:
        analysis.keep(draft, current)
        return current.run
    is_wanted = wanted is not None and bool(wanted.templates)
    is_of_other_step = current.run is not None and current.run.step_index != str(draft.index)
    if current.reference is not None and (is_of_other_step or not is_wanted):
        draft.leave_verdict()
        current = ClaimedRun("Step", None, None)
    if wanted is None or not is_wanted:
        return None
    return analysis.pursue(draft, current, wanted)


def _background(draft: Draft) -> RunObject | None:
    wanted = draft.canary.analysis
    current = analysis.claimed(draft, "Background")
    if wanted is None or not wanted.templates or draft.index < (wanted.starting_step or 0):
        if current.reference is not None:
            draft.leave_verdict()
        return None
    if not draft.status.current_pod_hash:
        return None
    if current.run is not None and current.run.pod_hash != draft.new_hash:
        current = ClaimedRun("Background", None, None)
    if draft.has_pause(PauseReason.INCONCLUSIVE_ANALYSIS_RUN):
        analysis.keep(draft, current)
        return current.run
    return analysis.pursue(draft, current, wanted)


def is_step_run_successful(draft: Draft) -> bool:
    """Return whether the run of the current analysis step ended well."""
    run = draft.runs.get("Step")
    return run is not None and run.status == AnalysisPhase.SUCCESSFUL
