"""Histories by chance: fixed seeds of the hunt's scenario, and that a run is its seed's alone."""

import subprocess
import sys

import pytest

from headrace_sandbox.report import failure
from headrace_sandbox.running import WILD, run

SEEDS = range(1, 17)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_violates_nothing(seed: int) -> None:
    result = run(WILD, seed)
    assert result.is_good, failure(result, result.struck)


def test_the_same_seed_tells_the_same_story_in_every_process() -> None:
    program = (
        "from headrace_sandbox.running import run; import hashlib;"
        "print(hashlib.sha256(run('wild', 3).story.text().encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_run_is_played_again_from_its_faults_alone() -> None:
    by_chance = run(WILD, 2)
    again = run(WILD, 2, by_chance.struck)
    assert by_chance.struck
    assert again.struck == by_chance.struck
    assert again.story.text() == by_chance.story.text()
