from __future__ import annotations

from pathlib import Path

import pytest

from headrace_lab.commands import run_logged, tail
from headrace_lab.errors import BuildFailed


def test_returns_the_output_and_keeps_it_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "command.log"

    output = run_logged(["/bin/sh", "-c", "echo out; echo err >&2"], log=log, cwd=tmp_path)

    assert output == "out\n"
    assert log.read_text() == "$ /bin/sh -c echo out; echo err >&2\nerr\nout\n"


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="/no/such/program cannot be run"):
        run_logged(["/no/such/program"], log=tmp_path / "log", cwd=tmp_path)


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthree\n")

    assert tail(log, 2) == "two\nthree"
    assert tail(tmp_path / "none") == ""
