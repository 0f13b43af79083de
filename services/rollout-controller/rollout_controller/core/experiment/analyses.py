"""The analyses of an Experiment: verified, started, followed and ended (experiment 5)."""

from __future__ import annotations

import re
from typing import Final

from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import AnalysisPhase, Argument, is_completed
from headrace.model.conditions import Reason
from headrace.model.experiment import ExperimentAnalysis, ExperimentAnalysisStatus
from headrace.model.meta import format_time
from headrace.model.steps import AnalysisTemplateReference
from rollout_controller.core import labels
from rollout_controller.core.experiment import objects
from rollout_controller.core.experiment.draft import Draft
from rollout_controller.core.experiment.plan import CreateRun, TerminateRun
from rollout_controller.core.observed import RunObject
from rollout_controller.core.plan import PlannedEvent
from rollout_controller.core.runs import Given, RunError, spec_of

_TAG: Final = re.compile(r"\{\{(.*?)\}\}")
_PHASES: Final = frozenset(AnalysisPhase)


def reconcile_analysis(draft: Draft, analysis: ExperimentAnalysis) -> None:
    """Bring the run of one analysis up to date, and take over what it says.

    Phases are taken over while the Experiment ends, too: one that was frozen at Running would
    keep the Experiment running for ever.
    """
    old = draft.analyses.get(analysis.name)
    if old is not None and old.analysis_run:
        _follow(draft, analysis, old)
    elif old is not None and is_completed(old.phase):
        return  # it never got a run
    elif draft.status.available_at is None:
        _verify(draft, analysis)
    elif not draft.is_terminating:
        _start(draft, analysis)


def subject(analysis: str) -> str:
    """Return the key under which a failure of this analysis is kept."""
    return f"analysis/{analysis}"


def _verify(draft: Draft, analysis: ExperimentAnalysis) -> None:
    """End early when the template is missing: there is nothing to be measured with."""
    references = draft.observed.references
    is_cluster = analysis.cluster_scope
    known = references.cluster_templates if is_cluster else references.templates
    if analysis.template_name in known:
        return
    kind = "ClusterAnalysisTemplate" if is_cluster else "AnalysisTemplate"
    error = f'{kind.lower()}.argoproj.io "{analysis.template_name}" not found'
    _fail(draft, analysis, f"{kind} verification failed for analysis '{analysis.name}': {error}")


def _fail(draft: Draft, analysis: ExperimentAnalysis, message: str, run: str = "") -> None:
    draft.put_analysis(
        ExperimentAnalysisStatus(
            name=analysis.name, analysis_run=run, phase=AnalysisPhase.ERROR, message=message
        )
    )


def _start(draft: Draft, analysis: ExperimentAnalysis) -> None:
    """Create the run; take the one that an earlier, unclaimed pass created for the same cause."""
    failure = draft.failure_of(subject(analysis.name))
    try:
        manifest = _manifest(draft, analysis)
    except RunError as error:
        _fail_to_start(draft, analysis, error)
        return
    if failure is not None:
        _fail_to_start(draft, analysis, failure.error)
        return
    own = _created_before(draft, manifest)
    if own is None:
        draft.effect(CreateRun(analysis.name, manifest))
    draft.put_analysis(
        ExperimentAnalysisStatus(
            name=analysis.name,
            analysis_run=own.name if own else str(manifest["metadata"]["name"]),
            phase=AnalysisPhase.PENDING,
        )
    )


def _fail_to_start(draft: Draft, analysis: ExperimentAnalysis, error: object) -> None:
    text = f"Failed to create AnalysisRun for analysis '{analysis.name}': {error}"
    _fail(draft, analysis, text)


def _created_before(draft: Draft, manifest: Manifest) -> RunObject | None:
    from_cause = manifest["metadata"]["annotations"][labels.CAUSE]
    runs = draft.observed.runs
    return next((run for run in runs if run.cause == from_cause and not run.is_deleting), None)


def _manifest(draft: Draft, analysis: ExperimentAnalysis) -> Manifest:
    """Return the run of an analysis; one per time that the Experiment became available.

    Raises:
        RunError: A template is missing, or a value cannot be resolved.
    """
    observed, spec = draft.observed, draft.spec
    wanted = AnalysisTemplateReference(
        template_name=analysis.template_name, cluster_scope=analysis.cluster_scope
    )
    given = Given(_arguments(draft, analysis), spec.dry_run, spec.measurement_retention)
    available_at = draft.status.available_at or draft.now
    cause = f"{analysis.name}.{format_time(available_at)}"
    run_spec = spec_of(observed.references, (wanted,), given)
    return objects.run(observed, analysis, run_spec, cause)


def _arguments(draft: Draft, analysis: ExperimentAnalysis) -> tuple[Argument, ...]:
    """Return the literal values; others are left to the defaults of the template."""
    return tuple(
        Argument(name=argument.name, value=_resolved(draft, argument.value))
        for argument in analysis.args
        if argument.value is not None
    )


def _resolved(draft: Draft, text: str) -> str:
    """Return a value with its tags replaced.

    Raises:
        RunError: A tag stands for nothing that an Experiment knows.
    """
    values: dict[str, str] = {}
    for name, rs in draft.observed.replica_sets.items():
        values[f"templates.{name}.podTemplateHash"] = rs.pod_hash
        values[f"templates.{name}.replicaset.name"] = rs.name
    if draft.status.available_at is not None:
        values["experiment.availableAt"] = format_time(draft.status.available_at)
    if draft.ends_at is not None:
        values["experiment.finishedAt"] = format_time(draft.ends_at)

    def value(match: re.Match[str]) -> str:
        tag = match[1].strip()
        if tag not in values:
            raise RunError(f"failed to resolve {{{{{match[1]}}}}}")
        return values[tag]

    return _TAG.sub(value, text)


def _follow(draft: Draft, analysis: ExperimentAnalysis, old: ExperimentAnalysisStatus) -> None:
    """Take over the phase of a run, and end it when the Experiment ends."""
    if is_completed(old.phase):
        return
    run = next((run for run in draft.observed.runs if run.name == old.analysis_run), None)
    if run is None:
        error = f'analysisruns.argoproj.io "{old.analysis_run}" not found'
        _fail(draft, analysis, error, old.analysis_run)
        return
    if draft.is_terminating and not is_completed(run.phase) and not run.is_terminating:
        text = f"Terminating {analysis.name} ({run.name})"
        event = PlannedEvent(Reason.ANALYSIS_RUN_TERMINATING, text)
        draft.effect(TerminateRun(run.name, event))
    phase = run.phase if run.phase in _PHASES else AnalysisPhase.PENDING
    draft.put_analysis(old.model_copy(update={"phase": phase, "message": run.message}))
