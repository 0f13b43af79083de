"""The phase of an Experiment, from its templates and its analyses (experiment 6)."""

from __future__ import annotations

from typing import Final

from headrace.model.analysis import AnalysisPhase, is_completed, is_worse
from headrace.model.meta import format_time
from headrace.model.quantities import Instant
from rollout_controller.core.experiment.draft import Draft, are_successful
from rollout_controller.core.experiment.templates import (
    ERROR,
    FAILED,
    PROGRESSING,
    RUNNING,
    SUCCESSFUL,
)

_BEST_TO_WORST: Final = (SUCCESSFUL, RUNNING, PROGRESSING, ERROR, FAILED)
_REQUIRED_DONE: Final = "Required AnalysisRuns completed"

_Verdict = tuple[str, str]
"""Phase and message."""


def calculate(draft: Draft) -> _Verdict:
    """Return phase and message after this pass; a phase that is over never changes."""
    status = draft.status
    if not status.phase:
        return AnalysisPhase.PENDING, ""
    if is_completed(status.phase):
        return status.phase, status.message
    templates, analyses = worst_template(draft), _worst_analysis(draft)
    is_over, is_judged = is_completed(templates[0]), is_completed(analyses[0])
    required = _required(draft)
    if is_over:
        is_successful = templates[0] == AnalysisPhase.SUCCESSFUL
        return analyses if is_successful and (is_judged or required) else templates
    if is_judged and analyses[0] != AnalysisPhase.SUCCESSFUL:
        return analyses
    return analyses if are_successful(_phases(draft), required) else templates


def available_at(draft: Draft) -> Instant | None:
    """Return when all templates were Running for the first time since the last retry."""
    known = draft.status.available_at
    is_waiting = draft.status.phase and not is_completed(draft.status.phase)
    if known is None and is_waiting and worst_template(draft)[0] == AnalysisPhase.RUNNING:
        return _time_without_runs(draft)
    return known


def _time_without_runs(draft: Draft) -> Instant:
    """Return the present, or the next second that no AnalysisRun is of.

    A run is known by this time, and times are stored in seconds: a retry must not find the runs
    of the try before.
    """
    taken = {run.cause.rpartition(".")[2] for run in draft.observed.runs}
    moment = draft.now
    while format_time(moment) in taken:
        moment = Instant(moment + 1)
    return moment


def worst_template(draft: Draft) -> _Verdict:
    """Return the phase that the worst template stands for, and its message."""
    worst, message = SUCCESSFUL, ""
    for template in draft.spec.templates:
        status = draft.templates.get(template.name)
        name = status.status if status is not None else PROGRESSING
        if _rank(name) > _rank(worst):
            worst, message = name, status.message if status is not None else ""
    return (AnalysisPhase.PENDING if worst == PROGRESSING else worst), message


def _rank(status: str) -> int:
    return _BEST_TO_WORST.index(status if status in _BEST_TO_WORST else PROGRESSING)


def _worst_analysis(draft: Draft) -> _Verdict:
    worst, message = str(AnalysisPhase.SUCCESSFUL), ""
    for analysis in draft.analyses.values():
        phase = analysis.phase if analysis.phase in set(AnalysisPhase) else AnalysisPhase.PENDING
        if is_worse(phase, worst):
            worst, message = str(phase), analysis.message
    if worst == AnalysisPhase.SUCCESSFUL and are_successful(_phases(draft), _required(draft)):
        return worst, _REQUIRED_DONE
    return (AnalysisPhase.RUNNING if worst == AnalysisPhase.PENDING else worst), message


def _required(draft: Draft) -> list[str]:
    return [each.name for each in draft.spec.analyses if each.required_for_completion]


def _phases(draft: Draft) -> dict[str, str]:
    return {status.name: status.phase for status in draft.analyses.values()}
