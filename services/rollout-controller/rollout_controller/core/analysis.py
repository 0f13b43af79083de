"""The life of the AnalysisRuns of an update: when one is needed, made, judged, told and ended.

Which runs there shall be is the strategy's business: canary/analysis.py, bluegreen/analysis.py.

Source: canary 7; bluegreen 7; analysis 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import AnalysisPhase, is_completed
from headrace.model.conditions import PauseReason, Reason
from headrace.model.rollout_status import AnalysisRunReference
from headrace.model.steps import RolloutAnalysis
from rollout_controller.core import labels
from rollout_controller.core.claimed_runs import RunKind, claimed_runs
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import RunObject
from rollout_controller.core.plan import CreateRun, DeleteRun, TerminateRun
from rollout_controller.core.retention import surplus
from rollout_controller.core.rollback import is_fast_rollback
from rollout_controller.core.runs import RunError, run_spec
from rollout_controller.core.sameness import is_of_name, is_same_object

_NO_STATUS: Final = "NoPreviousStatus"
_FAILURES: Final[Mapping[RunKind, str]] = {
    "Step": "Step-based analysis phase error/failed",
    "Background": "Background analysis phase error/failed",
    "PrePromotion": "Blue/green pre-promotion analysis phase error/failed",
    "PostPromotion": "Blue/green post-promotion analysis phase error/failed",
}
_SUFFIXES: Final[Mapping[RunKind, str]] = {"PrePromotion": "-pre", "PostPromotion": "-post"}


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """The current run of a kind: as the status names it, and the object, where they exist."""

    kind: RunKind
    reference: AnalysisRunReference | None
    run: RunObject | None


def cancels_all(draft: Draft) -> bool:
    """Return whether nothing is judged any more, or not yet (canary 7, bluegreen 7)."""
    return (
        draft.is_fully_promoted
        or draft.is_aborted
        or draft.status.promote_full
        or is_fast_rollback(draft)
        or not draft.status.stable_rs
    )


def claimed(draft: Draft, kind: RunKind) -> ClaimedRun:
    """Return the run of a kind that the status names."""
    reference = claimed_runs(draft.status).get(kind)
    if reference is None:
        return ClaimedRun(kind, None, None)
    found = (run for run in draft.observed.runs if run.name == reference.name)
    return ClaimedRun(kind, reference, next(found, None))


def pursue(draft: Draft, current: ClaimedRun, analysis: RolloutAnalysis) -> RunObject | None:
    """Start the run that is needed now, or judge the current one; return the one that goes on."""
    if _needs_new(draft, current):
        return _create(draft, current.kind, analysis)
    _judge(draft, current.kind, current.run)
    keep(draft, current)
    return current.run


def keep(draft: Draft, current: ClaimedRun) -> None:
    """Carry the run into the status of this pass, and tell a change of its phase."""
    run, old = current.run, current.reference
    if run is None:
        return
    draft.runs[current.kind] = AnalysisRunReference(
        name=run.name, status=run.phase, message=run.message
    )
    if run.phase and (old is None or old.status != run.phase):
        _announce(draft, current.kind, run, old.status if old else "")


def end_others(draft: Draft, current: set[str]) -> None:
    """Terminate every run but the current ones, and delete what the history has no room for."""
    for run in draft.observed.runs:
        if run.name not in current and not is_completed(run.phase) and not run.is_terminating:
            draft.effect(TerminateRun(run.name))
    kept = current | {run.name for run in draft.runs.values()}
    for name in surplus(draft, (run for run in draft.observed.runs if run.name not in kept)):
        draft.effect(DeleteRun(name))


def _needs_new(draft: Draft, current: ClaimedRun) -> bool:
    """Return whether a run must be created (canary 7, needsNewAnalysisRun)."""
    if current.reference is None or current.run is None:
        return True
    is_own_pause = draft.has_pause(PauseReason.CANARY_PAUSE_STEP) or draft.has_pause(
        PauseReason.BLUE_GREEN_PAUSE
    )
    if draft.status.controller_pause and not is_own_pause:
        return current.run.phase == AnalysisPhase.INCONCLUSIVE
    return draft.status.aborted_at is not None


def _judge(draft: Draft, kind: RunKind, run: RunObject | None) -> None:
    if run is None:
        return
    if run.phase == AnalysisPhase.INCONCLUSIVE:
        draft.add_pause(PauseReason.INCONCLUSIVE_ANALYSIS_RUN)
    elif run.phase in (AnalysisPhase.FAILED, AnalysisPhase.ERROR):
        suffix = f": {run.message}" if run.message else ""
        draft.abort(_FAILURES[kind] + suffix)


def _announce(draft: Draft, kind: RunKind, run: RunObject, previous: str) -> None:
    is_bad = run.phase in (AnalysisPhase.FAILED, AnalysisPhase.ERROR)
    draft.event(
        Reason(f"AnalysisRun{run.phase}"),
        f"{kind} Analysis Run '{run.name}' Status New: '{run.phase}' "
        f"Previous: '{previous or _NO_STATUS}'",
        type="Warning" if is_bad else "Normal",
    )


def run_name(draft: Draft, kind: RunKind) -> str:
    """Return the name of a run before any collision suffix (canary 7, bluegreen 7)."""
    name = f"{draft.observed.name}-{draft.new_hash}-{draft.revision}"
    return f"{name}-{draft.index}" if kind == "Step" else name + _SUFFIXES.get(kind, "")


def cause_of(draft: Draft, kind: RunKind) -> str:
    """Return `<revision>.<step>.<attempt>`, by which a repeated create knows its own run.

    A run that belongs to no step has its kind in the place of the step.
    """
    step = str(draft.index) if kind == "Step" else kind.lower()
    return f"{draft.revision}.{step}.{draft.attempt}"


def _create(draft: Draft, kind: RunKind, analysis: RolloutAnalysis) -> RunObject | None:
    """Create a run; return the one that is there already, None when there is none."""
    try:
        manifest = _manifest(draft, kind, analysis)
    except RunError as error:
        draft.fail(str(error), on="analysis run")
        return None
    own = _created_before(draft, manifest)
    if own is not None:
        _judge(draft, kind, own)
        keep(draft, ClaimedRun(kind, None, own))
        return own
    draft.effect(CreateRun(manifest))
    name = str(manifest["metadata"]["name"])
    draft.runs[kind] = AnalysisRunReference(name=name, status="")
    return None


def _created_before(draft: Draft, manifest: Manifest) -> RunObject | None:
    """Return the run that an earlier, unclaimed pass created, or that goes on over an edit."""
    return next(
        (
            run
            for run in draft.observed.runs
            if not (run.is_terminating or run.is_deleting)
            and is_of_name(run.name, manifest, ".")
            and is_same_object(run.manifest, manifest, run.phase)
        ),
        None,
    )


def _manifest(draft: Draft, kind: RunKind, analysis: RolloutAnalysis) -> Manifest:
    observed = draft.observed
    metadata = analysis.analysis_run_metadata
    run_labels = {labels.ROLLOUT_TYPE: kind, labels.HASH: draft.new_hash}
    if kind == "Step":
        run_labels[labels.STEP_INDEX] = str(draft.index)
    if labels.INSTANCE_ID in observed.labels:
        run_labels[labels.INSTANCE_ID] = observed.labels[labels.INSTANCE_ID]
    run_labels |= metadata.labels
    if observed.spec.selector is not None:
        run_labels |= observed.spec.selector.match_labels
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisRun",
        "metadata": {
            "name": run_name(draft, kind),
            "namespace": observed.namespace,
            "labels": run_labels,
            "annotations": {
                labels.REVISION: str(draft.revision),
                **metadata.annotations,
                labels.CAUSE: cause_of(draft, kind),
                "headrace.io/key": observed.key,
            },
            "ownerReferences": [draft.observed.owner_reference],
        },
        "spec": run_spec(
            observed,
            analysis,
            latest_hash=draft.new_hash,
            stable_hash=draft.stable.pod_hash if draft.stable else "",
        ),
    }
