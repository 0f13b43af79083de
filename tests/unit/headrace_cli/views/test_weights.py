from typing import Any

import pytest

from headrace_cli.views.weights import actual_weight, set_weight, step_text, strategy_of

STEPS = [{"setWeight": 10}, {"pause": {}}, {"setWeight": 33}, {"pause": {}}]


def rollout(index: int | None, steps: Any = STEPS, routing: Any = None, **status: Any) -> Any:
    canary = {"steps": steps} if routing is None else {"steps": steps, "trafficRouting": routing}
    if index is not None:
        status["currentStepIndex"] = index
    return {"spec": {"strategy": {"canary": canary}}, "status": status}


@pytest.mark.parametrize(
    ("manifest", "weight"),
    [
        (rollout(0), 10),
        (rollout(1), 10),
        (rollout(3), 33),
        (rollout(4), 100),
        (rollout(None), 10),
        (rollout(0, steps=[]), 100),
        (rollout(0, steps=[{"pause": {}}]), 0),
        (rollout(2, abort=True), 0),
        (rollout(4, routing={"maxTrafficWeight": 1000}), 1000),
        (rollout(1, steps=[{"setWeight": 0}, {"pause": {}}]), 0),
    ],
)
def test_the_set_weight_is_that_of_the_last_step_begun(manifest: Any, weight: int) -> None:
    assert set_weight(manifest) == weight


@pytest.mark.parametrize(
    ("manifest", "available", "weight"),
    [
        (rollout(4), 0, 100),
        (rollout(1), 1, 0),
        (rollout(1, availableReplicas=3), 1, 33),
        (rollout(1, availableReplicas=3), 0, 0),
        (rollout(1, routing={}, availableReplicas=4), 2, 50),
        (rollout(1, routing={"smi": {}}, availableReplicas=4), 2, 10),
        (
            rollout(
                1,
                routing={"smi": {}},
                availableReplicas=4,
                canary={"weights": {"canary": {"weight": 7}}},
            ),
            2,
            7,
        ),
    ],
)
def test_the_actual_weight_is_what_routers_or_pods_carry(
    manifest: Any, available: int, weight: int
) -> None:
    assert actual_weight(manifest, available) == weight


def test_a_step_is_shown_where_there_are_steps_and_an_index() -> None:
    assert step_text(rollout(2)) == "2/4"
    assert step_text(rollout(None)) == ""
    assert step_text(rollout(0, steps=[])) == ""


def test_names_the_strategy() -> None:
    assert strategy_of(rollout(0)) == "Canary"
    assert strategy_of({"spec": {"strategy": {"blueGreen": {}}}}) == "BlueGreen"
    assert strategy_of({"spec": {}}) == "unknown"
