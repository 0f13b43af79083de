from __future__ import annotations

import io

import pytest

from headrace_lab.progress import Progress


def test_a_step_tells_its_beginning_and_its_end() -> None:
    told = io.StringIO()

    with Progress(told).step("kafka"):
        assert told.getvalue() == "kafka …\n"

    assert told.getvalue().splitlines()[1].startswith("kafka: done in 0.")


def test_a_failed_step_does_not_say_that_it_is_done() -> None:
    told = io.StringIO()

    with pytest.raises(ValueError, match="x"), Progress(told).step("kafka"):
        raise ValueError("x")

    assert "done" not in told.getvalue()


def test_a_quiet_one_says_nothing() -> None:
    told = io.StringIO()

    with Progress(told, quiet=True).step("kafka") as ticker:
        ticker.tick()

    assert told.getvalue() == ""
