"""A Rollout whose plan breaks an invariant: it is told, and nothing else is done.

Source: architecture, "Never-false-safe".
"""

from __future__ import annotations

from headrace.model.conditions import Reason
from headrace.model.quantities import Instant
from rollout_controller.core.draft import Draft
from rollout_controller.core.observed import Observed
from rollout_controller.core.plan import Claim, Plan
from rollout_controller.core.status import history, waiting


def freeze(observed: Observed, violation: str, *, now: Instant) -> Plan:
    """Return the plan that only says why the Rollout is left alone; quiet when it is said.

    Args:
        observed: The snapshot of the pass.
        violation: Which rule the plan breaks.
        now: Decision time.
    """
    draft = Draft(observed, now)
    headrace, wait = observed.headrace, waiting.frozen(draft, violation)
    if headrace.waiting == wait:
        return Plan(reason=wait.reason, message=violation)
    told = history.extend(draft, headrace.history, observed.status, wait)
    draft.event(Reason.RECONCILIATION_ERROR, f"Rollout is frozen: {violation}", type="Warning")
    return Plan(
        claim=Claim(
            observed.status, headrace.model_copy(update={"waiting": wait, "history": told})
        ),
        events=tuple(draft.events),
        reason=wait.reason,
        message=violation,
    )
