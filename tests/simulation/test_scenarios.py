"""Every named story ends as told, and no checker finds anything on the way."""

import pytest

from headrace_sandbox.report import failure
from headrace_sandbox.running import run
from headrace_sandbox.scenario import load, names


@pytest.mark.parametrize("name", names())
def test_a_scenario_ends_as_told(name: str) -> None:
    result = run(name, load(name).seed)
    assert result.is_good, failure(result, result.struck)
