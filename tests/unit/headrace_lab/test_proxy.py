from __future__ import annotations

import asyncio

import pytest

from headrace_lab.errors import LabError
from headrace_lab.proxy import Delay, Drop, Exchange, Hold, Phase, Verdict, matching

PATCH = Exchange("PATCH", "/apis/argoproj.io/v1alpha1/rollouts/x/status", b'{"headrace":1}')


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (matching(), True),
        (matching(kind="PATCH", target="/status$", contains="headrace"), True),
        (matching(kind="PUT"), False),
        (matching(target="^/status"), False),
        (matching(contains=b"phase"), False),
    ],
)
def test_matches_by_kind_target_and_content(match: object, expected: bool) -> None:
    assert match(PATCH) is expected  # type: ignore[operator]


async def test_a_hold_keeps_the_first_message_until_it_is_released() -> None:
    hold = Hold(matching(kind="PATCH"), Phase.REQUEST)
    assert hold.takes(PATCH, Phase.REQUEST)
    assert not hold.takes(PATCH, Phase.REQUEST)

    verdict = asyncio.create_task(hold.apply(PATCH))
    assert await hold.reached(5) is PATCH
    assert not verdict.done()
    hold.release()

    assert await verdict is Verdict.FORWARD


async def test_a_dropped_hold_cuts() -> None:
    hold = Hold(matching(), Phase.ANSWER)
    verdict = asyncio.create_task(hold.apply(PATCH))
    hold.drop()

    assert await verdict is Verdict.DROP


async def test_a_released_hold_holds_nothing_more() -> None:
    hold = Hold(matching(), Phase.REQUEST)

    hold.release()

    assert not hold.takes(PATCH, Phase.REQUEST)
    assert not hold.is_reached


async def test_a_hold_that_nothing_reaches_says_so() -> None:
    hold = Hold(matching(), Phase.REQUEST)

    with pytest.raises(LabError, match="no message to hold"):
        await hold.reached(0.01)
    with pytest.raises(LabError, match="no message to hold"):
        hold.wait(0.01)


def test_a_rule_acts_in_its_phase_only() -> None:
    rule = Drop(matching(), Phase.ANSWER, times=None)

    assert not rule.takes(PATCH, Phase.REQUEST)
    assert rule.takes(PATCH, Phase.ANSWER)


def test_a_rule_acts_so_many_times_as_it_was_told() -> None:
    rule = Drop(matching(), Phase.REQUEST, times=2)

    assert [rule.takes(PATCH, Phase.REQUEST) for _ in range(3)] == [True, True, False]


def test_a_cancelled_rule_does_nothing() -> None:
    rule = Drop(matching(), Phase.REQUEST, times=None)

    rule.cancel()

    assert not rule.takes(PATCH, Phase.REQUEST)


async def test_a_delayed_message_is_forwarded() -> None:
    rule = Delay(matching(), Phase.REQUEST, None, 0.001)

    assert await rule.apply(PATCH) is Verdict.FORWARD
