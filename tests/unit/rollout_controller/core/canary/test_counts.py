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
    Size,
    at_desired_counts,
    desired_counts,
    max_surge,
    max_unavailable,
)

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
