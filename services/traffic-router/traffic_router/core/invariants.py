"""What no plan of the router may do; checked in production before every act.

A violation is a bug: the Rollout is frozen, its traffic stays where it is (architecture, fail
static), other Rollouts go on.
"""

from __future__ import annotations

from headrace.errors import InvariantViolation
from headrace.routes import Split, adds_rules, raises, read_fence, router_of_object
from traffic_router.core.observed import Observed
from traffic_router.core.plan import Plan, Purpose, Write

_ROUTE_PURPOSES = (Purpose.APPLY, Purpose.REPAIR, Purpose.LEVEL)


def check(observed: Observed, plan: Plan) -> None:
    """Return when the plan may be carried out.

    Raises:
        InvariantViolation: The plan writes for a Rollout that is gone or going, lets a fence go
            back, writes another split than its fence says, or raises an aborted Rollout.
            Freeze the Rollout.
    """
    for write in plan.writes:
        if write.purpose in _ROUTE_PURPOSES:
            _check_route(observed, write)
        elif write.purpose is Purpose.WITHDRAW:
            _require(observed.document is not None, write, "withdraws without a request")


def _check_route(observed: Observed, write: Write) -> None:
    rollout, document = observed.rollout, observed.document
    if rollout is None or document is None or rollout.is_deleting:
        raise InvariantViolation(f"{write.ref.label}: written for a Rollout that is gone or going")
    router = router_of_object(write.ref.resource)
    fence = read_fence(write.desired, document.uid)
    if fence is None or fence.epoch != document.epoch:
        raise InvariantViolation(f"{write.ref.label}: written without the fence of its epoch")
    split = router.observe(write.desired, fence.split, document.managed.names)
    _require(split == fence.split, write, "the split is not the one of the fence")
    before: Split = ()
    if write.previous is not None:
        found = read_fence(write.previous, document.uid)
        _require(found is None or found.epoch <= fence.epoch, write, "the fence goes back")
        before = router.observe(write.previous, fence.split, document.managed.names)
    is_raise = raises(fence.split, before, document.services.stable_role)
    is_raise = is_raise or adds_rules(document, write.previous, write.desired)
    is_allowed = not is_raise or document.aborted or not rollout.is_aborted
    _require(is_allowed, write, "traffic is raised while the Rollout is aborted")


def _require(holds: bool, write: Write, message: str) -> None:
    if not holds:
        raise InvariantViolation(f"{write.ref.label}: {message}")
