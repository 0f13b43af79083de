"""What a claim tells is said once (cli-and-clients 9.1)."""

import pytest

from headrace.errors import LostOwnership
from headrace.kubernetes.resources import Manifest
from headrace.model.conditions import Reason
from rollout_controller.announcer import Announcer
from rollout_controller.core.plan import DeleteReplicaSet, PlannedEvent

pytestmark = pytest.mark.spec("cli-and-clients 9.1")

ROLLOUT: Manifest = {"kind": "Rollout", "metadata": {"name": "web"}}
EXPERIMENT: Manifest = {"kind": "Experiment", "metadata": {"name": "web"}}
DONE = PlannedEvent(Reason.ROLLOUT_STEP_COMPLETED, "step 1 completed")


class Recorder:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.is_ours = True

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        if not self.is_ours:
            raise LostOwnership("another replica's")
        self.told.append((involved["kind"], message))


async def test_is_said_again_only_when_the_claim_is_stored() -> None:
    recorder = Recorder()
    announcer = Announcer(recorder)
    for _ in range(2):
        await announcer.say("u", ROLLOUT, DONE)
    await announcer.say("u", EXPERIMENT, DONE)
    await announcer.say("other", ROLLOUT, DONE)
    said = ["Rollout", "Experiment", "Rollout"]
    assert [kind for kind, _ in recorder.told] == said
    announcer.settle("u")
    await announcer.say("u", ROLLOUT, DONE)
    assert [kind for kind, _ in recorder.told] == [*said, "Rollout"]


async def test_effects_and_what_follows_the_claim_are_said_each_time() -> None:
    recorder = Recorder()
    announcer = Announcer(recorder)
    effect = PlannedEvent(Reason.SCALING_REPLICA_SET, "up", tells=DeleteReplicaSet("web-1"))
    after = PlannedEvent(Reason.ROLLOUT_PAUSED, "paused", is_before_claim=False)
    for _ in range(2):
        await announcer.say("u", ROLLOUT, effect)
        await announcer.say("u", ROLLOUT, after)
    assert [message for _, message in recorder.told] == ["up", "paused", "up", "paused"]


async def test_what_another_replica_had_to_say_is_not_taken_for_said() -> None:
    recorder = Recorder()
    announcer = Announcer(recorder)
    recorder.is_ours = False
    with pytest.raises(LostOwnership):
        await announcer.say("u", ROLLOUT, DONE)
    recorder.is_ours = True
    await announcer.say("u", ROLLOUT, DONE)
    assert len(recorder.told) == 1
