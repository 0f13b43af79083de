"""Without any one of ten protections the simulator finds a violation; with all of them none."""

from pathlib import Path

import pytest

from headrace_sandbox.further_mutants import FURTHER
from headrace_sandbox.mutants import MUTANTS, NOT_OF_THE_WORLD, Edit, Mutant, edited, find
from headrace_sandbox.running import report

pytestmark = pytest.mark.timeout(150)

_ROOT = Path(__file__).parents[2]
SECONDS = 60.0
"""A recorded seed finds its mutant at once; where a change of the product moved the history that
it stands for, the seeds after it are tried for as long as a hunt may take."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_missing_protection_is_found_by_a_rule_of_the_world(mutant: Mutant) -> None:
    catch = find(mutant, seed=mutant.seed, seconds=SECONDS)
    assert catch.rule
    assert catch.rule not in NOT_OF_THE_WORLD


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_same_history_is_good_with_the_protection(mutant: Mutant) -> None:
    assert report(mutant.scenario, mutant.seed).rule == ""


@pytest.mark.parametrize("mutant", FURTHER, ids=lambda mutant: mutant.name)
def test_a_further_protection_can_still_be_taken_away(mutant: Mutant) -> None:
    for edit in mutant.edits:
        source = (_ROOT / edit.path).read_text()
        assert edited(source, edit) != source


def test_an_edit_that_fits_no_more_is_told() -> None:
    with pytest.raises(ValueError, match="0 times"):
        edited("nothing", Edit(str(Path("a.py")), "something", ""))
