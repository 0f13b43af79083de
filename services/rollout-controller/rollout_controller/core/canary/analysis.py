"""The analysis runs of a canary: which shall exist, and what their verdicts mean.

Source: canary 7.
"""

from __future__ import annotations

from typing import Literal

from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import AnalysisPhase, is_completed
from headrace.model.conditions import PauseReason, Reason
from headrace.model.rollout import RUN_HISTORY_LIMIT_DEFAULT
from headrace.model.rollout_status import AnalysisRunReference
from headrace.model.steps import RolloutAnalysis
from rollout_controller.core import labels
from rollout_controller.core.canary.rollback import is_fast_rollback
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import RunObject
from rollout_controller.core.plan import CreateRun, DeleteRun, TerminateRun
from rollout_controller.core.runs import RunError, run_spec

RunType = Literal["Step", "Background"]

_NO_STATUS = "NoPreviousStatus"


def reconcile_analysis(draft: Draft) -> None:
    """Start, judge and end the runs of this pass."""
    current: list[RunObject] = []
    if not _cancels_all(draft):
        for run in (_step(draft), _background(draft)):
            if run is not None:
                current.append(run)
    names = {run.name for run in current}
    for run in draft.observed.runs:
        if run.name not in names and not is_completed(run.phase) and not run.is_terminating:
            draft.effect(TerminateRun(run.name))
    _collect_garbage(draft, names)


def _cancels_all(draft: Draft) -> bool:
    return (
        draft.is_fully_promoted
        or draft.is_aborted
        or draft.status.promote_full
        or is_fast_rollback(draft)
        or not draft.status.stable_rs
    )


def _claimed(draft: Draft, kind: RunType) -> AnalysisRunReference | None:
    canary = draft.status.canary
    if kind == "Step":
        return canary.current_step_analysis_run_status
    return canary.current_background_analysis_run_status


def _step(draft: Draft) -> RunObject | None:
    status = _claimed(draft, "Step")
    run = _run_named(draft, status)
    step = draft.step
    analysis = step.analysis if step is not None else None
    if draft.status.pause_conditions:
        _keep(draft, "Step", status, run)
        return run
    if analysis is None or not analysis.templates:
        return None
    if run is not None and run.step_index != str(draft.index):
        run = None
        status = None
    if _needs_new(draft, status, run):
        return _create(draft, "Step", analysis)
    _judge(draft, "Step", "Step-based", run)
    _keep(draft, "Step", status, run)
    return run


def _background(draft: Draft) -> RunObject | None:
    analysis = draft.strategy.analysis
    if analysis is None or not analysis.templates or not draft.status.current_pod_hash:
        return None
    if analysis.starting_step is not None and draft.index < analysis.starting_step:
        return None
    status = _claimed(draft, "Background")
    run = _run_named(draft, status)
    if run is not None and run.pod_hash != draft.new_hash:
        run = None
        status = None
    if draft.has_pause(PauseReason.INCONCLUSIVE_ANALYSIS_RUN):
        _keep(draft, "Background", status, run)
        return run
    if _needs_new(draft, status, run):
        return _create(draft, "Background", analysis)
    _judge(draft, "Background", "Background", run)
    _keep(draft, "Background", status, run)
    return run


def _run_named(draft: Draft, status: AnalysisRunReference | None) -> RunObject | None:
    if status is None:
        return None
    return next((run for run in draft.observed.runs if run.name == status.name), None)


def _needs_new(draft: Draft, status: AnalysisRunReference | None, run: RunObject | None) -> bool:
    """Return whether a run must be created (canary 7, needsNewAnalysisRun)."""
    if status is None or run is None:
        return True
    is_step_pause = draft.has_pause(PauseReason.CANARY_PAUSE_STEP)
    if draft.status.controller_pause and not is_step_pause:
        return run.phase == AnalysisPhase.INCONCLUSIVE
    return draft.status.aborted_at is not None


def _judge(draft: Draft, kind: RunType, title: str, run: RunObject | None) -> None:
    if run is None:
        return
    if run.phase == AnalysisPhase.INCONCLUSIVE:
        draft.add_pause(PauseReason.INCONCLUSIVE_ANALYSIS_RUN)
    elif run.phase in (AnalysisPhase.FAILED, AnalysisPhase.ERROR):
        suffix = f": {run.message}" if run.message else ""
        draft.abort(f"{title} analysis phase error/failed{suffix}")


def _keep(
    draft: Draft, kind: RunType, old: AnalysisRunReference | None, run: RunObject | None
) -> None:
    """Carry the run into the status of this pass, and tell a change of its phase."""
    if run is None:
        return
    new = AnalysisRunReference(name=run.name, status=run.phase, message=run.message)
    _set_status(draft, kind, new)
    if run.phase and (old is None or old.status != run.phase):
        _announce(draft, kind, run.name, run.phase, old.status if old else "")


def _announce(draft: Draft, kind: RunType, name: str, phase: str, previous: str) -> None:
    is_bad = phase in (AnalysisPhase.FAILED, AnalysisPhase.ERROR)
    draft.event(
        Reason(f"AnalysisRun{phase}"),
        f"{kind} Analysis Run '{name}' Status New: '{phase}' Previous: '{previous or _NO_STATUS}'",
        type="Warning" if is_bad else "Normal",
    )


def _set_status(draft: Draft, kind: RunType, status: AnalysisRunReference) -> None:
    if kind == "Step":
        draft.step_run = status
    else:
        draft.background_run = status


def run_name(draft: Draft, kind: RunType) -> str:
    """Return the name of a run before any collision suffix (canary 7)."""
    name = f"{draft.observed.name}-{draft.new_hash}-{draft.revision}"
    return f"{name}-{draft.index}" if kind == "Step" else name


def cause_of(draft: Draft, kind: RunType) -> str:
    """Return `<revision>.<step>.<attempt>`, by which a repeated create knows its own run."""
    step = str(draft.index) if kind == "Step" else "background"
    return f"{draft.revision}.{step}.{draft.attempt}"


def _create(draft: Draft, kind: RunType, analysis: RolloutAnalysis) -> RunObject | None:
    """Create a run; return the one that this cause has created already, None when there is none."""
    try:
        manifest = _manifest(draft, kind, analysis)
    except RunError as error:
        draft.fail(str(error))
        return None
    own = _created_before(draft, manifest)
    if own is not None:
        _judge(draft, kind, "Step-based" if kind == "Step" else "Background", own)
        _keep(draft, kind, None, own)
        return own
    draft.effect(CreateRun(manifest))
    name = str(manifest["metadata"]["name"])
    _set_status(draft, kind, AnalysisRunReference(name=name, status=""))
    return None


def _created_before(draft: Draft, manifest: Manifest) -> RunObject | None:
    """Return the run that an earlier, unclaimed pass created for the same cause."""
    cause = manifest["metadata"]["annotations"][labels.CAUSE]
    pod_hash = draft.new_hash
    return next(
        (
            run
            for run in draft.observed.runs
            if run.cause == cause and run.pod_hash == pod_hash and not run.is_deleting
        ),
        None,
    )


def _manifest(draft: Draft, kind: RunType, analysis: RolloutAnalysis) -> Manifest:
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
            "ownerReferences": [owner_reference(draft)],
        },
        "spec": run_spec(
            observed,
            analysis,
            latest_hash=draft.new_hash,
            stable_hash=draft.stable.pod_hash if draft.stable else "",
        ),
    }


def owner_reference(draft: Draft) -> dict[str, object]:
    """Return the controller reference to the Rollout."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": draft.observed.name,
        "uid": draft.observed.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _collect_garbage(draft: Draft, current: set[str]) -> None:
    """Delete completed runs beyond the history limits, newest kept (analysis 8)."""
    history = draft.spec.analysis
    good_limit = history.successful_run_history_limit if history else None
    bad_limit = history.unsuccessful_run_history_limit if history else None
    kept = {
        True: RUN_HISTORY_LIMIT_DEFAULT if good_limit is None else good_limit,
        False: RUN_HISTORY_LIMIT_DEFAULT if bad_limit is None else bad_limit,
    }
    hashes = {rs.pod_hash for rs in draft.observed.replica_sets if not rs.is_deleting}
    for run in sorted(draft.observed.runs, key=lambda run: run.created_at, reverse=True):
        if run.name in current or run.is_deleting or not is_completed(run.phase):
            continue
        if run.pod_hash not in hashes:
            draft.effect(DeleteRun(run.name))
            continue
        is_good = run.phase == AnalysisPhase.SUCCESSFUL
        if kept[is_good] <= 0:
            draft.effect(DeleteRun(run.name))
        else:
            kept[is_good] -= 1


def is_step_run_successful(draft: Draft) -> bool:
    """Return whether the run of the current analysis step ended well."""
    return draft.step_run is not None and draft.step_run.status == AnalysisPhase.SUCCESSFUL
