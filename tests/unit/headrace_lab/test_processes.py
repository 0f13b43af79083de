from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from headrace_lab.processes import OWNER_VARIABLE, OwnedProcess, owned_by, spawn

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up'); time.sleep(60)"


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[OwnedProcess]:
    process = spawn(
        ["/bin/sleep", "60"],
        log=tmp_path / "logs" / "sleep.log",
        env={OWNER_VARIABLE: str(tmp_path)},
    )
    yield process
    process.kill()


def test_a_spawned_process_lives_until_it_is_stopped(sleeper: OwnedProcess) -> None:
    assert sleeper.is_alive()

    sleeper.stop(5)

    assert not sleeper.is_alive()


def test_a_suspended_process_is_alive_and_can_be_stopped(sleeper: OwnedProcess) -> None:
    sleeper.suspend()
    assert sleeper.is_alive()

    sleeper.stop(5)

    assert not sleeper.is_alive()


def test_a_process_with_another_start_time_is_never_touched(sleeper: OwnedProcess) -> None:
    stranger = replace(sleeper, started=sleeper.started - 1)

    assert not stranger.is_alive()
    stranger.kill()

    assert sleeper.is_alive()


def test_a_process_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "stubborn.log"
    process = spawn([sys.executable, "-u", "-c", STUBBORN], log=log, env={})
    while not log.read_text():
        assert process.is_alive()

    process.stop(0.1)

    assert not process.is_alive()


def test_finds_what_a_lab_started_by_its_environment(sleeper: OwnedProcess, tmp_path: Path) -> None:
    assert owned_by(str(tmp_path)) == [sleeper]
    assert owned_by(str(tmp_path / "other")) == []


def test_output_is_appended_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "echo.log"
    for word in ("one", "two"):
        spawn(["/bin/echo", word], log=log, env={}).wait_gone(5)

    assert log.read_text() == "one\ntwo\n"


def test_a_child_has_its_own_session_so_that_ctrl_c_does_not_reach_it(
    sleeper: OwnedProcess,
) -> None:
    assert os.getsid(sleeper.pid) == sleeper.pid


def test_signals_to_a_gone_process_do_nothing(sleeper: OwnedProcess) -> None:
    sleeper.kill()

    sleeper.send(signal.SIGTERM)

    assert not sleeper.is_alive()
