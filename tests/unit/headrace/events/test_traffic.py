from __future__ import annotations

import pytest

from headrace.events.traffic import RouteApplied, RouteDrifted, RouteRefused, RouteVerified
from headrace.model.route import LEVELS, Weights

WEB = {"namespace": "shop", "rollout": "web", "uid": "u-1", "epoch": 7}
REQUESTED = Weights(canary=10, stable=90)


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_of_an_epoch_is_a_fact_of_its_own(level: str) -> None:
    applied = RouteApplied.model_validate({**WEB, "level": level, "requested": REQUESTED})
    assert applied.id_ordinal() == level


def test_a_renewed_request_is_answered_with_the_same_fact() -> None:
    first, second = (
        RouteApplied.model_validate(
            {**WEB, "level": "written", "requested": REQUESTED, "renewal": renewal}
        )
        for renewal in (0, 1)
    )
    assert first.event_id() == second.event_id()


def test_a_refusal_may_have_no_level() -> None:
    refused = RouteRefused.model_validate({**WEB, "requested": REQUESTED, "foundEpoch": 9})
    assert refused.id_ordinal() == "none"
    assert refused.found_epoch == 9


def test_a_verification_is_told_apart_by_its_check() -> None:
    verified = RouteVerified.model_validate({**WEB, "check": "targetGroups", "level": "observed"})
    assert verified.id_ordinal() == "targetGroups/observed"


def test_a_drift_is_told_apart_by_what_was_seen() -> None:
    drifted = RouteDrifted.model_validate(
        {**WEB, "object": "TrafficSplit/web", "resourceVersion": "41"}
    )
    assert drifted.id_ordinal() == "41"
