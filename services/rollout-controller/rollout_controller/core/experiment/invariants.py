"""What must hold of every plan for an Experiment, checked before it is carried out.

Source: architecture, "Never-false-safe", "Share".
"""

from __future__ import annotations

from headrace.errors import InvariantViolation
from rollout_controller.core.experiment.observed import Observed
from rollout_controller.core.experiment.plan import (
    CreateService,
    DeleteService,
    PatchTemplate,
    Plan,
)


def check(observed: Observed, plan: Plan) -> None:
    """Return when the plan may be carried out.

    Raises:
        InvariantViolation: It must not; freeze the Experiment, its text says which rule.
    """
    for effect in plan.effects:
        match effect:
            case PatchTemplate() if effect.patch.replicas == 0:
                _check_share(observed, effect.template, "be scaled down")
            case DeleteService():
                _check_share(observed, effect.template, "lose its Service")
            case CreateService() if not effect.manifest["spec"]["selector"]:
                raise InvariantViolation(f"the Service of {effect.template} would select all pods")


def _check_share(observed: Observed, template: str, what: str) -> None:
    rs = observed.replica_sets.get(template)
    rollout = observed.rollout
    if rs is not None and rollout is not None and rollout.shares.get(rs.pod_hash, 0) > 0:
        raise InvariantViolation(f"template {template} would {what} while a route may send to it")
