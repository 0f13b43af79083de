"""The first error of a Rollout, over all rules in their order (rollout-api 4).

What is malformed comes first, then what this version does not build, then what the spec names
and the cluster does not have.
"""

from __future__ import annotations

from itertools import chain

from headrace.model.rollout import RolloutSpec
from rollout_controller.core.observed import Observed
from rollout_controller.core.validation import references, spec, support


def spec_error(rollout_spec: RolloutSpec, *, is_resolved: bool = False) -> str:
    """Return the first error of the spec alone, "" when there is none.

    Args:
        rollout_spec: The spec.
        is_resolved: Its template and selector are those of the workload that it refers to.

    It holds for a whole generation: `gather` asks once and puts the answer into the snapshot.
    """
    errors = chain(spec.errors(rollout_spec, is_resolved=is_resolved), support.errors(rollout_spec))
    return next(errors, "")


def first_error(observed: Observed) -> str | None:
    """Return the text of the first rule that is violated, None when all hold."""
    return observed.workload_error or observed.spec_error or next(references.errors(observed), None)
