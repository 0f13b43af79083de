from __future__ import annotations

import time
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


def test_an_interrupted_command_ends_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    def interrupt() -> None:
        if pid_file.exists() and pid_file.read_text().endswith("\n"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_logged(
            ["/bin/sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"],
            log=tmp_path / "log",
            cwd=tmp_path,
            on_wait=interrupt,
        )

    deadline = time.monotonic() + 5
    while _runs(int(pid_file.read_text())):
        assert time.monotonic() < deadline


def _runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"
