"""When a Service is made and when it goes, sentence by sentence of experiment 4.2, 4.3."""

from typing import Any

import pytest

from rollout_controller.core.experiment import samples
from rollout_controller.core.experiment.draft import Draft
from rollout_controller.core.experiment.observed import OwningRollout
from rollout_controller.core.experiment.plan import CreateService, DeleteService
from rollout_controller.core.experiment.services import reconcile_service

MADE = ("exp-a", "hash-a")
NONE = ("", "")


def reconciled(
    *, wanted: bool, exists: bool, desired: int, available: int, **changes: Any
) -> tuple[tuple[str, str], list[type]]:
    """Return what the status says, and the effects."""
    service: dict[str, Any] = {"service": {}} if wanted else {}
    template = samples.template(**service)
    services = {"a": samples.service()} if exists else {}
    observed = samples.experiment({"templates": [template]}, services=services, **changes)
    draft = Draft(observed, samples.NOW)
    rs = samples.replica_set("a", 2, available=available)
    told = reconcile_service(draft, observed.spec.templates[0], rs, desired)
    return told, [type(effect) for effect in draft.effects]


@pytest.mark.spec("experiment 4.2")
@pytest.mark.spec("experiment 4.3")
@pytest.mark.spec("experiment 1.2")
@pytest.mark.parametrize(
    ("wanted", "exists", "desired", "available", "told", "effects"),
    [
        (True, False, 2, 0, MADE, [CreateService]),
        (True, True, 2, 0, MADE, []),
        (True, False, 0, 2, NONE, []),
        (True, True, 0, 2, MADE, []),
        (True, True, 0, 0, NONE, [DeleteService]),
        (False, True, 2, 2, NONE, [DeleteService]),
        (False, False, 2, 2, NONE, []),
    ],
)
def test_a_service_lives_as_long_as_there_are_pods(
    wanted: bool, exists: bool, desired: int, available: int, told: Any, effects: list[type]
) -> None:
    found = reconciled(wanted=wanted, exists=exists, desired=desired, available=available)
    assert found == (told, effects)


@pytest.mark.spec("experiment 4.2")
@pytest.mark.parametrize("wanted", [True, False])
def test_a_service_that_a_route_may_name_stays(wanted: bool) -> None:
    rollout = OwningRollout("app", "uid-app", "1", relies_on_it=True, weighted=frozenset("a"))
    found = reconciled(wanted=wanted, exists=True, desired=0, available=0, rollout=rollout)
    assert found == (MADE, [])
