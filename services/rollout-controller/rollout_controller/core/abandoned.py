"""Services that no Rollout names any more: they select the pods of all versions again.

Else such a Service would go on selecting a version that is gone or goes, and answer nobody: after
the deletion of its Rollout, or when another one is named in its place.

Source: rollout-api 7.1, 7.2, 9 (removed references); architecture, "Never-false-safe".
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.errors import InvariantViolation
from headrace.kubernetes.resources import Manifest
from headrace.model.headrace_status import HeadraceStatus
from headrace.model.quantities import Instant
from rollout_controller.core import labels
from rollout_controller.core.routers import may_get_traffic


@dataclass(frozen=True, slots=True)
class GivingUp:
    """A Rollout that no longer names a Service that it managed.

    Attributes:
        is_observed: Its spec was judged valid and acted on: no slip of the pen in a name.
        headrace: What we remember of it.
    """

    is_observed: bool
    headrace: HeadraceStatus


@dataclass(frozen=True, slots=True)
class Observed:
    """A Service that a Rollout managed.

    Attributes:
        managed_by: Annotation managed-by-rollouts, "" when missing.
        is_named: A Rollout names it, or the Rollout that manages it is another controller's.
        rollout: The Rollout that manages it, if that still exists.
        manifest: The whole object; never change it.
    """

    name: str
    managed_by: str
    is_named: bool
    rollout: GivingUp | None
    manifest: Manifest

    @property
    def keeps_selecting(self) -> bool:
        """Whether it selects anything once it selects no version."""
        return bool(selector_of(self.manifest).keys() - {labels.HASH})


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of one pass.

    Attributes:
        releases: Take the hash out of the selector, and the annotation away.
        wake_at: Only events can help.
    """

    releases: bool = False
    wake_at: Instant | None = None


def selector_of(service: Manifest) -> dict[str, str]:
    """Return what a Service selects."""
    return (service.get("spec") or {}).get("selector") or {}


def managing_rollout(service: Manifest) -> str:
    """Return the name of the Rollout that a Service is annotated with; "" for none."""
    annotations = service["metadata"].get("annotations") or {}
    return str(annotations.get(labels.MANAGED_BY, ""))


def is_managed(service: Manifest) -> bool:
    """Return whether a Service selects a version, for a Rollout."""
    return labels.HASH in selector_of(service) and bool(managing_rollout(service))


def decide(observed: Observed, *, now: Instant) -> Plan:
    """Return what to do about one Service.

    Whatever holds it back is told by the status of its Rollout, whose changes wake it.

    Args:
        observed: The snapshot.
        now: Decision time, seconds since the epoch, by this service's clock.
    """
    if not is_managed(observed.manifest) or observed.is_named or not observed.keeps_selecting:
        return Plan()
    rollout = observed.rollout
    if rollout is None:
        return Plan(releases=True)
    is_held = not rollout.is_observed or may_get_traffic(rollout.headrace, observed.name)
    return Plan(releases=not is_held)


def check(observed: Observed, plan: Plan) -> None:
    """Return when the plan may be carried out.

    Raises:
        InvariantViolation: The Service would select nothing, or is a Rollout's.
    """
    if plan.releases and (observed.is_named or not observed.keeps_selecting):
        raise InvariantViolation(f"the Service {observed.name} must keep its selector")
