from typing import Any

import pytest

from headrace_cli.views.phase import Phase, phase_of

CANARY: Any = {"canary": {}}
ROUTED: Any = {"canary": {"trafficRouting": {"smi": {}}}}
BLUE_GREEN: Any = {"blueGreen": {}}
VERIFIED_BLUE_GREEN: Any = {"blueGreen": {"postPromotionAnalysis": {"templates": [{}]}}}
DONE = {
    "replicas": 1,
    "updatedReplicas": 1,
    "availableReplicas": 1,
    "stableRS": "a",
    "currentPodHash": "a",
}
MOVING = {**DONE, "currentPodHash": "b"}


def rollout(
    status: dict[str, Any], strategy: Any = CANARY, generation: int = 1, **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"generation": generation},
        "spec": {"strategy": strategy, **spec},
        "status": status,
    }


STORED = {"phase": "Healthy", "observedGeneration": "1"}


@pytest.mark.parametrize(
    ("status", "generation", "expected"),
    [
        (STORED, 1, Phase("Healthy")),
        (STORED, 2, Phase("Progressing", "waiting for rollout spec update to be observed")),
        ({**STORED, "observedGeneration": "7"}, 2, Phase("Healthy")),
        ({**STORED, "observedGeneration": "abc"}, 2, Phase("Healthy")),
        ({"phase": "Healthy"}, 2, Phase("Healthy")),
        (
            {**STORED, "phase": "Paused", "controllerPause": True},
            1,
            Phase("Progressing", "waiting for rollout to unpause"),
        ),
        (
            {
                **STORED,
                "phase": "Paused",
                "message": "CanaryPauseStep",
                "controllerPause": True,
                "pauseConditions": [{"reason": "CanaryPauseStep"}],
            },
            1,
            Phase("Paused", "CanaryPauseStep"),
        ),
    ],
)
def test_a_stored_phase_is_masked_until_it_is_about_the_newest_wish(
    status: dict[str, Any], generation: int, expected: Phase
) -> None:
    assert phase_of(rollout(status, generation=generation)) == expected


def condition(type: str, reason: str) -> dict[str, str]:
    return {"type": type, "reason": reason, "message": "why"}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (
            rollout({"conditions": [condition("InvalidSpec", "InvalidSpec")]}),
            Phase("Degraded", "InvalidSpec: why"),
        ),
        (
            rollout({"conditions": [condition("Progressing", "RolloutAborted")]}, paused=True),
            Phase("Degraded", "RolloutAborted: why"),
        ),
        (
            rollout({"conditions": [condition("Progressing", "ProgressDeadlineExceeded")]}),
            Phase("Degraded", "ProgressDeadlineExceeded: why"),
        ),
        (rollout(DONE, paused=True), Phase("Paused", "manually paused")),
        (
            rollout({"pauseConditions": [{"reason": "CanaryPauseStep"}]}),
            Phase("Paused", "CanaryPauseStep"),
        ),
        (rollout(DONE, restartAt="x"), Phase("Progressing", "rollout is restarting")),
        (rollout({}), Phase("Progressing", "more replicas need to be updated")),
        (
            rollout({"updatedReplicas": 1}),
            Phase("Progressing", "updated replicas are still becoming available"),
        ),
        (
            rollout({**DONE, "replicas": 2}),
            Phase("Progressing", "old replicas are pending termination"),
        ),
        (rollout({**DONE, "replicas": 2}, ROUTED), Phase("Healthy")),
        (rollout(MOVING), Phase("Progressing", "waiting for all steps to complete")),
        (rollout(MOVING, BLUE_GREEN), Phase("Progressing", "active service cutover pending")),
        (
            rollout({**MOVING, "blueGreen": {"activeSelector": "b"}}, BLUE_GREEN),
            Phase("Progressing", "waiting for post-promotion verification to complete"),
        ),
        (
            rollout({**MOVING, "blueGreen": {"activeSelector": "b"}}, VERIFIED_BLUE_GREEN),
            Phase("Progressing", "waiting for analysis to complete"),
        ),
        (rollout({**DONE, "blueGreen": {"activeSelector": "a"}}, BLUE_GREEN), Phase("Healthy")),
        (rollout(DONE), Phase("Healthy")),
    ],
)
def test_computes_the_phase_that_nobody_stored(manifest: dict[str, Any], expected: Phase) -> None:
    assert phase_of(manifest) == expected


def test_a_phase_reads_with_its_message() -> None:
    assert str(Phase("Paused", "CanaryPauseStep")) == "Paused - CanaryPauseStep"
    assert str(Phase("Healthy")) == "Healthy"
