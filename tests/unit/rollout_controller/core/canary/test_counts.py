"""Replica counts against the reference's answers (canary 4)."""

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.model.rollout import CanaryStrategy
from headrace.model.traffic import TrafficWeights
from rollout_controller.core.canary import steps as canary_steps
from rollout_controller.core.canary.counts import (
    CountFacts,
    Counts,
    Size,
    approximate,
    at_desired_counts,
    desired_counts,
    max_surge,
    max_unavailable,
)

pytestmark = [
    pytest.mark.spec("canary 4.1"),
    pytest.mark.spec("canary 4.2"),
    pytest.mark.spec("canary 4.3"),
    pytest.mark.spec("canary 4.4"),
]

VECTORS = Path(__file__).parents[4] / "vectors" / "canary-counts.json"
CASES = json.loads(VECTORS.read_text())


def size(pair: list[int] | None) -> Size | None:
    return None if pair is None else Size(pair[0], pair[1], created=pair[0])


def int_or_text(value: str | None) -> int | str | None:
    return int(value) if value is not None and value.isdigit() else value


def facts_of(case: dict[str, Any]) -> CountFacts:
    raw: dict[str, Any] = {
        "steps": case["Steps"],
        "maxSurge": int_or_text(case["MaxSurge"]),
        "maxUnavailable": int_or_text(case["MaxUnavailable"]),
        "minPodsPerReplicaSet": case["MinPods"],
        "dynamicStableScale": case["DynamicStableScale"],
    }
    if case["TrafficRouting"]:
        raw["trafficRouting"] = {"smi": {}, "maxTrafficWeight": case["MaxTrafficWeight"]}
    return CountFacts(
        strategy=CanaryStrategy.load({k: v for k, v in raw.items() if v is not None}),
        replicas=case["replicas"],
        index=case["Index"],
        is_aborted=case["Abort"],
        promote_full=case["PromoteFull"],
        is_promoted=False,
        weights=TrafficWeights.load(case["Weights"]) if case["Weights"] else None,
        canary=size(case["Canary"]),
        stable=size(case["Stable"]),
        older=tuple(Size(*pair) for pair in case["Older"] or ()),
    )


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_counts_are_those_of_the_reference(case: dict[str, Any]) -> None:
    facts = facts_of(case)
    counts = desired_counts(facts)
    assert (counts.canary, counts.stable) == (case["ResultCanary"], case["ResultStable"])
    assert max_surge(facts) == case["ResultMaxSurge"]
    assert max_unavailable(facts) == case["ResultMaxUnavailable"]
    assert at_desired_counts(facts) == case["AtDesired"]
    if not case["DynamicStableScale"]:
        assert (
            canary_steps.current_set_weight(
                facts.strategy.steps, facts.index, is_aborted=facts.is_aborted, base=facts.base
            )
            == case["ResultSetWeight"]
        )


def routed(
    canary: Size, *, stable: Size | None = None, replicas: int = 10, **strategy: Any
) -> CountFacts:
    raw = {"trafficRouting": {"smi": {}}, "steps": [{"setWeight": 10}], **strategy}
    return CountFacts(
        strategy=CanaryStrategy.load(raw),
        replicas=replicas,
        index=0,
        is_aborted=False,
        promote_full=False,
        is_promoted=False,
        canary=canary,
        stable=stable or Size(replicas, replicas, created=replicas),
    )


@pytest.mark.parametrize(
    ("floor", "replicas", "canary"), [(None, 10, 1), (0, 10, 1), (3, 10, 3), (20, 10, 10)]
)
def test_a_revision_has_at_least_the_users_minimum(
    floor: int | None, replicas: int, canary: int
) -> None:
    minimum: dict[str, Any] = {} if floor is None else {"minPodsPerReplicaSet": floor}
    assert desired_counts(routed(Size(0, 0), replicas=replicas, **minimum)).canary == canary


def test_the_minimum_raises_no_explicit_scale_and_no_empty_canary() -> None:
    explicit = [{"setCanaryScale": {"replicas": 1}}]
    assert desired_counts(routed(Size(0, 0), minPodsPerReplicaSet=3, steps=explicit)).canary == 1
    nothing = [{"setWeight": 0}]
    assert desired_counts(routed(Size(0, 0), minPodsPerReplicaSet=3, steps=nothing)).canary == 0


@pytest.mark.parametrize(
    ("kind", "value", "available", "is_reached"),
    [
        ("Percent", 90, 9, True),
        ("Percent", 91, 9, False),
        ("Percent", 0, 0, True),
        ("Pods", 9, 9, True),
        ("Pods", 9, 8, False),
        ("Pods", 0, 0, True),
        ("anything", 9, 9, True),
        ("Percent", -1, 9, False),
        ("Percent", -1, 10, True),
    ],
)
def test_a_threshold_says_how_many_pods_of_a_step_are_enough(
    kind: str, value: int, available: int, is_reached: bool
) -> None:
    threshold = {"type": kind, "value": value}
    steps = [{"setWeight": 100}]
    facts = routed(Size(10, available), steps=steps, replicaProgressThreshold=threshold)
    assert at_desired_counts(facts) is is_reached


def test_without_a_threshold_exactly_the_wanted_pods_are_enough() -> None:
    assert at_desired_counts(routed(Size(1, 1)))
    assert not at_desired_counts(routed(Size(2, 2)))


@pytest.mark.parametrize(
    ("replicas", "weight", "surge", "wanted"),
    [
        (10, 10, 1, (1, 9)),
        (3, 50, 0, (2, 1)),
        (1, 5, 1, (1, 1)),
        (1, 5, 0, (0, 1)),
        (5, 41, 1, (2, 3)),
        (2, 75, 1, (2, 1)),
        (2, 75, 0, (0, 2)),
    ],
    ids=lambda value: str(value),
)
def test_the_nearest_pair_of_counts_is_taken(
    replicas: int, weight: int, surge: int, wanted: tuple[int, int]
) -> None:
    # In the last case nothing is left: 2 of 2 is no share, and 1 of 2 is as far away (tied).
    assert approximate(replicas, weight, 100, surge) == Counts(*wanted)
