from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.events.commands import (
    Action,
    CommandTarget,
    Preconditions,
    RolloutCommanded,
    refusal,
)
from headrace.model.quantities import Instant

NOW = Instant(1_790_000_000.0)
TARGET = CommandTarget(
    uid="u-1",
    current_pod_hash="7d9f",
    epoch=7,
    step_index=2,
    known_commands=frozenset({"c-0"}),
)
SEEN = Preconditions(uid="u-1", current_pod_hash="7d9f", epoch=7, step_index=2)


def command(
    action: str = "promote", seen: Preconditions = SEEN, name: str = "c-1"
) -> RolloutCommanded:
    return RolloutCommanded(
        namespace="shop",
        rollout="web",
        uid="u-1",
        command=name,
        action=action,
        preconditions=seen,
        expires_at=Instant(NOW + 300),
    )


@pytest.mark.parametrize("action", list(Action))
def test_every_action_may_be_applied_to_what_its_sender_saw(action: Action) -> None:
    assert refusal(command(action), TARGET, now=NOW) is None


def test_a_repeated_command_is_refused() -> None:
    assert refusal(command(name="c-0"), TARGET, now=NOW) == "command c-0 was applied before"


def test_a_redelivered_promote_cannot_skip_two_steps() -> None:
    promoted = replace(TARGET, step_index=3)
    assert refusal(command(), promoted, now=NOW) == "the step index is 3, not 2"


def test_an_unknown_action_is_refused_and_not_undecodable() -> None:
    assert refusal(command("explode"), TARGET, now=NOW) == "unknown action explode"


def test_an_expired_command_is_refused() -> None:
    assert refusal(command(), TARGET, now=Instant(NOW + 299.9)) is None
    assert refusal(command("abort"), TARGET, now=Instant(NOW + 300)) == "the command has expired"


@pytest.mark.parametrize("action", ["abort", "pause", "promote"])
def test_a_command_for_a_predecessor_is_refused(action: str) -> None:
    recreated = replace(TARGET, uid="u-2")
    assert refusal(command(action), recreated, now=NOW) == (
        "the Rollout was re-created: uid is u-2, not u-1"
    )


@pytest.mark.parametrize("action", ["abort", "pause", "promote"])
def test_a_command_for_another_version_is_refused(action: str) -> None:
    newer = replace(TARGET, current_pod_hash="88aa")
    assert refusal(command(action), newer, now=NOW) == "the version is 88aa, not 7d9f"


@pytest.mark.parametrize("action", ["abort", "pause"])
def test_abort_and_pause_hold_at_any_step_and_epoch(action: str) -> None:
    moved = replace(TARGET, epoch=9, step_index=5)
    seen = Preconditions(uid="u-1", current_pod_hash="7d9f")
    assert refusal(command(action, seen), moved, now=NOW) is None


@pytest.mark.parametrize("action", sorted(set(Action) - {Action.ABORT, Action.PAUSE}))
def test_all_others_need_epoch_and_step_index(action: str) -> None:
    assert refusal(command(action), replace(TARGET, epoch=8), now=NOW) == "the epoch is 8, not 7"
    seen = Preconditions(uid="u-1", current_pod_hash="7d9f", epoch=7)
    assert refusal(command(action, seen), TARGET, now=NOW) == "the step index is 2, not None"


def test_a_rollout_without_steps_has_no_step_index_to_agree_on() -> None:
    seen = Preconditions(uid="u-1", current_pod_hash="7d9f", epoch=7)
    assert refusal(command(seen=seen), replace(TARGET, step_index=None), now=NOW) is None


def test_a_command_is_told_apart_by_its_id() -> None:
    assert command().id_ordinal() == "c-1"
