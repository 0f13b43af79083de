"""Whether an AnalysisRun or Experiment that exists is the one that an owner wants to create.

A crash between a create and its claim leaves an object that no status names. It is known by its
cause; one that another controller left, or that was begun before the steps were edited, by what
it asks for. What is being terminated is neither: its end is no verdict.

Source: canary 7, 8 (collisions); analysis 2 (equality); architecture, "Writes".
"""

from __future__ import annotations

import re

from pydantic import ValidationError

from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import AnalysisRun, AnalysisRunSpec, is_completed
from headrace.model.experiment import ExperimentSpec
from rollout_controller.core import labels


def is_same_object(existing: Manifest, wanted: Manifest, phase: str) -> bool:
    """Return whether `existing` shall be taken instead of creating `wanted`.

    Args:
        existing: As it is stored.
        wanted: With its owner and its cause.
        phase: Of the existing one, as it is known best.
    """
    metadata = existing["metadata"]
    owners = {owner.get("uid") for owner in metadata.get("ownerReferences") or ()}
    if not owners & {owner["uid"] for owner in wanted["metadata"]["ownerReferences"]}:
        return False
    if (existing.get("spec") or {}).get("terminate"):
        return False
    cause = (metadata.get("annotations") or {}).get(labels.CAUSE)
    is_of_cause = cause == wanted["metadata"]["annotations"][labels.CAUSE]
    return (is_of_cause or not is_completed(phase)) and _means_the_same(existing, wanted)


def is_of_name(name: str, wanted: Manifest, separator: str) -> bool:
    """Return whether a name is the wanted one, or one that a collision makes of it."""
    base = re.escape(str(wanted["metadata"]["name"]))
    return re.fullmatch(rf"{base}({re.escape(separator)}\d+)?", name) is not None


def _means_the_same(existing: Manifest, wanted: Manifest) -> bool:
    """Return whether two specs ask for the same, however they are written."""
    model = AnalysisRunSpec if wanted["kind"] == AnalysisRun.KIND else ExperimentSpec
    try:
        found = model.load(existing.get("spec") or {})
    except ValidationError:
        return False
    if isinstance(found, AnalysisRunSpec):
        found = found.model_copy(update={"ttl_strategy": None})
    return found == model.load(wanted["spec"])
