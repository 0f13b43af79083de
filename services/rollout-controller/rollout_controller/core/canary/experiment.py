"""The experiment step: which Experiment shall exist, and what its outcome means.

The Experiment runs by itself (core/experiment); here it is created, judged, ended and forgotten,
and its Services are named as destinations of the route. Its pods get traffic only while it is
Running and has some of them; they stay until no route can name them.

Source: canary 5.5, 8; experiment 9; architecture, section 4 (table of acknowledgements).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from headrace.events.topics import KEY_ANNOTATION
from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import AnalysisPhase, is_completed
from headrace.model.conditions import PauseReason
from headrace.model.route import AdditionalDestination
from headrace.model.steps import (
    RolloutExperiment,
    RolloutExperimentAnalysis,
    RolloutExperimentTemplate,
)
from rollout_controller.core import labels
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import ExperimentObject, ReplicaSet
from rollout_controller.core.plan import CreateExperiment, DeleteExperiment, TerminateExperiment
from rollout_controller.core.retention import surplus
from rollout_controller.core.runs import RunError, rollout_arguments
from rollout_controller.core.sameness import is_of_name, is_same_object

FAILED = "Experiment analysis phase is error/failed"


def reconcile_experiments(draft: Draft) -> None:
    """Start, judge and end the Experiments of this pass.

    Blue-green has none: those of a canary before it are ended. Nor has an update that is over,
    wherever somebody sets its index to.
    """
    is_over = (
        draft.is_blue_green
        or draft.is_fully_promoted
        or draft.is_aborted
        or draft.status.promote_full
    )
    if not is_over and draft.has_pause(PauseReason.INCONCLUSIVE_ANALYSIS_RUN):
        draft.experiment = draft.status.canary.current_experiment
        return
    current = None if is_over else _pursue(draft)
    name = current.name if current is not None else ""
    for each in draft.observed.experiments:
        if each.name != name and not is_completed(each.phase) and not each.is_terminating:
            draft.effect(TerminateExperiment(each.name))
    _collect_garbage(draft, {name, draft.experiment})


def _pursue(draft: Draft) -> ExperimentObject | None:
    """Start the Experiment of the current step, or judge it; return the one that goes on."""
    step = draft.step
    if step is None or step.experiment is None:
        if draft.status.canary.current_experiment:
            draft.leave_verdict()
        return None
    if _is_of_other_step(draft):
        draft.leave_verdict()
    current = _current(draft)
    if current is None:
        return _create(draft, step.experiment)
    if current.phase == AnalysisPhase.SUCCESSFUL:
        draft.is_experiment_done = True
        return current
    draft.experiment = current.name
    if current.phase == AnalysisPhase.INCONCLUSIVE:
        draft.add_pause(PauseReason.INCONCLUSIVE_EXPERIMENT)
    elif is_completed(current.phase):
        draft.abort(f"{FAILED}: {current.message}" if current.message else FAILED)
    return current


def _is_of_other_step(draft: Draft) -> bool:
    """Return whether the Experiment that the status names was left for that of another step."""
    name = draft.status.canary.current_experiment
    named = (each.step_index for each in draft.observed.experiments if each.name == name)
    return next(named, None) not in (None, str(draft.index))


def _current(draft: Draft) -> ExperimentObject | None:
    """Return the Experiment of this step: as the status names it, or as its cause tells.

    One that was inconclusive is over when a person has resumed the Rollout: the step is tried
    again.
    """
    found = [
        each
        for each in draft.observed.experiments
        if each.pod_hash == draft.new_hash and not each.is_deleting
    ]
    claimed = draft.status.canary.current_experiment
    named = next((each for each in found if each.name == claimed), None)
    if named is not None and named.step_index in (str(draft.index), None):
        is_paused = bool(draft.status.pause_conditions) or not draft.status.controller_pause
        if named.phase != AnalysisPhase.INCONCLUSIVE or is_paused:
            return named
    return next(
        (each for each in found if each.cause == _cause(draft) and not each.is_terminating), None
    )


def _cause(draft: Draft) -> str:
    """Return `<revision>.<step>.<attempt>`, by which a repeated create knows its own."""
    return f"{draft.revision}.{draft.index}.{draft.attempt}"


# Creation


def _create(draft: Draft, experiment: RolloutExperiment) -> ExperimentObject | None:
    """Create the Experiment of the step; return the one that goes on over an edit of the steps."""
    if draft.stable is None:
        return None  # nothing to compare with: the step waits
    try:
        manifest = _manifest(draft, experiment)
    except RunError as error:
        draft.fail(str(error), on="experiment")
        return None
    for each in draft.observed.experiments:
        is_left = is_of_name(each.name, manifest, "-") and not each.is_terminating
        if is_left and is_same_object(each.manifest, manifest, each.phase):
            draft.experiment = each.name
            return each
    draft.effect(CreateExperiment(manifest))
    draft.experiment = str(manifest["metadata"]["name"])
    return None


def _manifest(draft: Draft, experiment: RolloutExperiment) -> Manifest:
    """Return the Experiment of a step.

    Raises:
        RunError: A template names no ReplicaSet, or an argument has no value.
    """
    observed = draft.observed
    spec: dict[str, Any] = {
        "templates": [_template(draft, template) for template in experiment.templates]
    }
    if experiment.duration:
        spec["duration"] = experiment.duration
    if observed.spec.progress_deadline_seconds is not None:
        spec["progressDeadlineSeconds"] = observed.spec.progress_deadline_seconds
    if experiment.scale_down_delay_seconds is not None:
        spec["scaleDownDelaySeconds"] = experiment.scale_down_delay_seconds
    if experiment.dry_run:
        spec["dryRun"] = [rule.dump() for rule in experiment.dry_run]
    metadata = experiment.analysis_run_metadata.dump()
    if metadata:
        spec["analysisRunMetadata"] = metadata
    if experiment.analyses:
        spec["analyses"] = [_analysis(draft, analysis) for analysis in experiment.analyses]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {
            "name": f"{observed.name}-{draft.new_hash}-{draft.revision}-{draft.index}",
            "namespace": observed.namespace,
            "labels": {
                **observed.labels,
                labels.HASH: draft.new_hash,
                labels.STEP_INDEX: str(draft.index),
            },
            "annotations": {
                labels.REVISION: str(draft.revision),
                labels.CAUSE: _cause(draft),
                KEY_ANNOTATION: observed.key,
            },
            "ownerReferences": [draft.observed.owner_reference],
        },
        "spec": spec,
    }


def _template(draft: Draft, template: RolloutExperimentTemplate) -> dict[str, Any]:
    rs = _source(draft, template)
    stored = rs.manifest["spec"]
    pod_template = copy.deepcopy(stored["template"])
    own = pod_template.setdefault("metadata", {})
    metadata = template.metadata
    for member, values in (("labels", metadata.labels), ("annotations", metadata.annotations)):
        if values:
            own[member] = {**(own.get(member) or {}), **values}
    selector = template.selector.dump() if template.selector else dict(stored["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), **metadata.labels}
    made: dict[str, Any] = {"name": template.name, "selector": selector, "template": pod_template}
    if template.replicas is not None:
        made["replicas"] = template.replicas
    if stored.get("minReadySeconds"):
        made["minReadySeconds"] = stored["minReadySeconds"]
    if template.service is not None and template.service.name:
        made["service"] = {"name": template.service.name}
    elif template.service is not None or template.weight is not None:
        made["service"] = {}
    return made


def _source(draft: Draft, template: RolloutExperimentTemplate) -> ReplicaSet:
    rs = {"canary": draft.new, "stable": draft.stable}.get(template.spec_ref)
    if rs is None:
        raise RunError("Invalid template step SpecRef: must be canary or stable")
    return rs


def _analysis(draft: Draft, analysis: RolloutExperimentAnalysis) -> dict[str, Any]:
    resolved = rollout_arguments(
        draft.observed,
        analysis.args,
        latest_hash=draft.new_hash,
        stable_hash=draft.stable.pod_hash if draft.stable else "",
    )
    made: dict[str, Any] = {"name": analysis.name, "templateName": analysis.template_name}
    if analysis.cluster_scope:
        made["clusterScope"] = True
    if analysis.required_for_completion:
        made["requiredForCompletion"] = True
    if resolved:
        made["args"] = [argument.dump() for argument in resolved]
    return made


# Destinations (canary 5.5)


def destinations(draft: Draft) -> tuple[AdditionalDestination, ...]:
    """Return the Services of the running Experiment that get a share of their own.

    None gets any traffic before its Service exists and some of its pods are available.
    """
    name = draft.status.canary.current_experiment
    current = next((each for each in draft.observed.experiments if each.name == name), None)
    if not name or current is None or current.phase != AnalysisPhase.RUNNING:
        return ()
    weights = {each.name: each.weight for each in _weighted(draft)}
    return tuple(
        AdditionalDestination(
            service=template.service_name,
            hash=template.pod_hash,
            weight=weights[template.name] or 0,
            experiment=name,
            port=template.port,
        )
        for template in current.templates
        if template.name in weights and template.service_name and template.available > 0
    )


def _weighted(draft: Draft) -> Sequence[RolloutExperimentTemplate]:
    """Return the templates with a weight of the nearest experiment step at or before the index."""
    for step in reversed(draft.steps[: draft.index + 1]):
        if step.experiment is not None:
            return [each for each in step.experiment.templates if each.weight is not None]
    return []


# History


def _collect_garbage(draft: Draft, current: set[str]) -> None:
    """Delete finished Experiments beyond the history limits, newest kept (canary 8).

    Their ReplicaSets go with them: so none is deleted that a route may still send traffic to.
    """
    candidates = [
        each
        for each in draft.observed.experiments
        if each.name not in current and not is_held(draft.shares, each)
    ]
    for name in surplus(draft, candidates):
        draft.effect(DeleteExperiment(name))


def is_held(shares: dict[str, int], experiment: ExperimentObject) -> bool:
    """Return whether a route may still send traffic to a template of this Experiment."""
    return any(shares.get(each.pod_hash, 0) > 0 for each in experiment.templates)
