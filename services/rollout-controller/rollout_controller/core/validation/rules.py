"""The first error of a Rollout, over all rules in their order (rollout-api 4).

What is malformed comes first, then what this version does not build, then what the spec names
and the cluster does not have.
"""

from __future__ import annotations

from headrace.model.rollout import RolloutSpec
from rollout_controller.core.observed import Observed
from rollout_controller.core.validation import references, spec, support


def spec_error(rollout_spec: RolloutSpec) -> str:
    """Return the first error of the spec alone, "" when there is none.

    It holds for a whole generation: `gather` asks once and puts the answer into the snapshot.
    """
    for errors in (spec.errors, support.errors):
        error = next(errors(rollout_spec), None)
        if error is not None:
            return error
    return ""


def first_error(observed: Observed) -> str | None:
    """Return the text of the first rule that is violated, None when all hold."""
    return observed.spec_error or next(references.errors(observed), None)
