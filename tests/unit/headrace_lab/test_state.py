from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headrace_lab.errors import NotRunning
from headrace_lab.processes import OwnedProcess
from headrace_lab.state import Options, State, StateFile

STATE = State(
    options=Options(profile="throughput", audit=True),
    ports={"etcd": 12000},
    parts=("etcd", "apiserver"),
    pod_network=77,
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = StateFile(tmp_path)

    file.create(replace(STATE, processes={"etcd": OwnedProcess(12, 345)}))

    assert StateFile(tmp_path).read() == replace(STATE, processes={"etcd": OwnedProcess(12, 345)})


def test_processes_are_remembered_and_forgotten_by_part(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.create(STATE)

    file.set_process("etcd", OwnedProcess(1, 2))
    file.set_process("apiserver", OwnedProcess(3, 4))
    file.set_process("etcd", None)

    assert file.read().processes == {"apiserver": OwnedProcess(3, 4)}


def test_a_folder_without_a_lab_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="python -m headrace_lab up --dir"):
        StateFile(tmp_path).read()
