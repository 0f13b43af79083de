"""The AnalysisRuns that the status names: one field for each kind, which clients read.

Source: rollout-api 3, 7.1 (label rollout-type).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from headrace.model.rollout_status import AnalysisRunReference, RolloutStatus

RunKind = Literal["Step", "Background", "PrePromotion", "PostPromotion"]

_FIELDS: Final[Mapping[RunKind, tuple[Literal["canary", "blue_green"], str]]] = {
    "Step": ("canary", "current_step_analysis_run_status"),
    "Background": ("canary", "current_background_analysis_run_status"),
    "PrePromotion": ("blue_green", "pre_promotion_analysis_run_status"),
    "PostPromotion": ("blue_green", "post_promotion_analysis_run_status"),
}


def claimed_runs(status: RolloutStatus) -> dict[RunKind, AnalysisRunReference]:
    """Return the runs that a status names."""
    found = {kind: getattr(getattr(status, part), name) for kind, (part, name) in _FIELDS.items()}
    return {kind: reference for kind, reference in found.items() if reference is not None}


def with_runs(status: RolloutStatus, runs: Mapping[RunKind, AnalysisRunReference]) -> RolloutStatus:
    """Return the status naming exactly these runs."""
    if claimed_runs(status) == runs:
        return status
    fields: dict[str, dict[str, AnalysisRunReference | None]] = {"canary": {}, "blue_green": {}}
    for kind, (part, name) in _FIELDS.items():
        fields[part][name] = runs.get(kind)
    return status.model_copy(
        update={
            "canary": status.canary.model_copy(update=fields["canary"]),
            "blue_green": status.blue_green.model_copy(update=fields["blue_green"]),
        }
    )


def subject_of(cause: str) -> tuple[RunKind, int | None] | None:
    """Return what a run of ours is about: its kind, and the step of one that judges a step.

    By the annotation headrace.io/cause, since users may override the labels that say so, too.
    None for a run that another controller created.
    """
    _, _, rest = cause.partition(".")
    middle = rest.partition(".")[0]
    if middle.isdecimal():
        return "Step", int(middle)
    return next(((kind, None) for kind in _FIELDS if kind.lower() == middle), None)
