"""The first error of a Rollout, over all rules in their order (rollout-api 4)."""

from __future__ import annotations

from rollout_controller.core.observed import Observed
from rollout_controller.core.validation import references, spec


def first_error(observed: Observed) -> str | None:
    """Return the text of the first rule that is violated, None when all hold."""
    if observed.unreadable:
        return observed.unreadable
    for errors in (spec.errors, references.errors):
        error = next(iter(errors(observed)), None)
        if error is not None:
            return error
    return None
