"""Ring 1: the pure cores alone hold every rule of the world, and broken ones are found."""

import re
from dataclasses import replace

import pytest

from headrace_sandbox.checkers.violations import Violation
from headrace_sandbox.mutants import MUTANTS, NOT_OF_THE_WORLD, find
from headrace_sandbox.report import failure
from headrace_sandbox.running import WILD, run
from headrace_sandbox.scenario import load

SEEDS = range(1, 33)
SCENARIOS = (
    "canary-from-image-to-promotion",
    "bad-version-is-aborted",
    "abort-while-route-is-unacknowledged",
    "third-version-supersedes-the-second",
    "recreated-under-the-same-name",
    "storm-gateway",
    "storm-over-one-canary",
)
BROKEN = {
    "share of unacknowledged routes": (1, "no ReplicaSet goes below its share"),
    "Service observed before the weight": (8, "a weight waits for its Service"),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_over_the_cores_violates_nothing(seed: int) -> None:
    result = run(WILD, seed, ring="cores")
    assert result.is_good, failure(result, result.struck)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_cores_end_a_scenario_as_told(name: str) -> None:
    result = run(name, load(name).seed, ring="cores")
    assert result.is_good, failure(result, result.struck)


@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_core_is_found_without_any_shell(name: str) -> None:
    mutant = next(each for each in MUTANTS if each.name == name)
    seed, rule = BROKEN[name]
    catch = find(mutant, seed=seed, seconds=60.0, ring="cores")
    assert catch.rule == rule
    assert catch.rule not in NOT_OF_THE_WORLD
    assert run(mutant.scenario, seed, ring="cores").is_good


def test_a_history_of_the_cores_is_its_seeds_alone() -> None:
    by_chance = run(WILD, 2, ring="cores")
    again = run(WILD, 2, by_chance.struck, ring="cores")
    assert by_chance.struck
    assert again.struck == by_chance.struck
    assert again.story.text() == by_chance.story.text()


def test_a_failure_says_how_to_play_the_cores_again() -> None:
    result = run(WILD, 2, ring="cores")
    violated = replace(result, violations=(Violation("a rule", "a text", 0.0),))
    replay = failure(violated, result.struck).splitlines()[-1]
    assert re.search(r"--scenario wild --seed 2 --ring cores --faults \S+ --story$", replay)
