"""Services that no Rollout names any more (rollout-api 7.1, 9)."""

from typing import Any

import pytest

from headrace.errors import InvariantViolation
from headrace.model.headrace_status import Acknowledged, HeadraceStatus
from rollout_controller.core import labels, samples
from rollout_controller.core.abandoned import GivingUp, Observed, Plan, check, decide

pytestmark = [pytest.mark.spec("rollout-api 7.1"), pytest.mark.spec("rollout-api 9")]

SELECTOR = {"app": "app", labels.HASH: "stable"}


def service(
    *,
    is_named: bool = False,
    selector: dict[str, str] | None = None,
    managed_by: str = "app",
    rollout: GivingUp | None = None,
) -> Observed:
    annotations = {labels.MANAGED_BY: managed_by} if managed_by else {}
    manifest: dict[str, Any] = {
        "metadata": {"name": "active", "namespace": "default", "annotations": annotations},
        "spec": {"selector": SELECTOR if selector is None else selector},
    }
    return Observed("active", managed_by, is_named, rollout, manifest)


def routed(weight: int, *, is_acknowledged: bool = True, **changes: Any) -> GivingUp:
    known = Acknowledged(epoch=1, canary=weight) if is_acknowledged else None
    route = samples.route(weight, **changes)
    return GivingUp(True, HeadraceStatus(epoch=1, route=route, acknowledged=known))


def test_a_service_that_nobody_names_is_let_go_of() -> None:
    assert decide(service(), now=samples.NOW) == Plan(releases=True)
    rollout = GivingUp(is_observed=True, headrace=HeadraceStatus())
    assert decide(service(rollout=rollout), now=samples.NOW) == Plan(releases=True)


def test_a_slip_of_the_pen_in_a_name_lets_go_of_nothing() -> None:
    rollout = GivingUp(is_observed=False, headrace=HeadraceStatus())
    assert decide(service(rollout=rollout), now=samples.NOW) == Plan()


@pytest.mark.parametrize(
    "kept",
    [
        service(is_named=True),
        service(managed_by=""),
        service(selector={"app": "app"}),
        service(selector={labels.HASH: "stable"}),
        service(selector={}),
    ],
    ids=["named", "never managed", "without a hash", "only a hash", "without a selector"],
)
def test_others_stay_as_they_are(kept: Observed) -> None:
    assert decide(kept, now=samples.NOW) == Plan()


@pytest.mark.parametrize(
    ("rollout", "waits"),
    [
        (routed(25), True),
        (routed(100), False),
        (routed(100, is_acknowledged=False), True),
        (routed(25, routers=()), False),
    ],
    ids=["stable has a weight", "stable has none", "nobody knows", "withdrawn"],
)
def test_a_route_goes_first(rollout: GivingUp, waits: bool) -> None:
    assert decide(service(rollout=rollout), now=samples.NOW) == Plan(releases=not waits)


@pytest.mark.parametrize(
    "kept", [service(is_named=True), service(selector={labels.HASH: "stable"})]
)
def test_no_selector_becomes_empty(kept: Observed) -> None:
    check(kept, Plan())
    check(service(), Plan(releases=True))
    with pytest.raises(InvariantViolation, match="active must keep its selector"):
        check(kept, Plan(releases=True))
