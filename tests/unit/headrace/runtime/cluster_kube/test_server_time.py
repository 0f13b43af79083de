"""The server's clock out of Date headers."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from headrace.runtime.cluster_kube.server_time import ServerTime

NOW = 1_700_000_000.0


def date(seconds: float) -> str:
    """Return a Date header: the second cut off."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


def observe(time: ServerTime, at: float, offset: float, rng: random.Random) -> None:
    """Send a request at own time `at` to a server whose clock differs by `offset`."""
    there, back = rng.uniform(0.001, 0.01), rng.uniform(0.001, 0.01)
    time.observe(date(at + there + offset), at, at + there + back)


def test_knows_nothing_before_an_answer() -> None:
    time = ServerTime()
    assert time.offset_seconds() is None
    assert time.error_seconds() is None
    time.observe("not a date", NOW, NOW)
    assert time.offset_seconds() is None


def test_one_answer_bounds_the_offset_within_a_second() -> None:
    time = ServerTime()
    time.observe(date(NOW), NOW, NOW)
    assert time.offset_seconds() == pytest.approx(0.5)
    assert time.error_seconds() == pytest.approx(0.5)


@pytest.mark.parametrize("offset", [-3600.0, -0.7, 0.0, 0.25, 42.0])
@pytest.mark.parametrize("seed", range(5))
def test_many_answers_find_it_to_hundredths(offset: float, seed: int) -> None:
    rng = random.Random(seed)
    time = ServerTime()
    for number in range(300):
        observe(time, NOW + number * 0.0937, offset, rng)
    estimate, error = time.offset_seconds(), time.error_seconds()
    assert estimate is not None
    assert error is not None
    assert abs(estimate - offset) <= error + 0.01
    assert error < 0.05


def test_follows_a_clock_that_is_set() -> None:
    rng = random.Random(7)
    time = ServerTime()
    for number in range(100):
        observe(time, NOW + number * 0.0937, 0.0, rng)
    for number in range(100, 300):
        observe(time, NOW + number * 0.0937, 30.0, rng)
    assert time.offset_seconds() == pytest.approx(30.0, abs=0.1)


def test_follows_a_clock_that_drifts() -> None:
    rng = random.Random(7)
    time = ServerTime()
    for number in range(5000):
        at = number * 7.3
        observe(time, NOW + at, at * 5e-5, rng)
    assert time.offset_seconds() == pytest.approx(5000 * 7.3 * 5e-5, abs=0.1)
