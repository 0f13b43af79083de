from __future__ import annotations

from pathlib import Path

import pytest

from headrace_lab.__main__ import main


def test_status_without_a_lab_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--dir", str(tmp_path)]) == 1

    assert "python -m headrace_lab up" in capsys.readouterr().err


def test_down_without_a_lab_is_done_at_once(tmp_path: Path) -> None:
    assert main(["down", "--dir", str(tmp_path / "none")]) == 0

    assert not (tmp_path / "none").exists()


def test_ports_that_are_no_pairs_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["up", "--dir", str(tmp_path), "--ports", "etcd"])

    assert "expected name=port" in capsys.readouterr().err


def test_an_unknown_part_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", "--dir", str(tmp_path), "--parts", "zookeeper"]) == 1

    assert "no part zookeeper" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_running_needs_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--dir", str(tmp_path)]) == 1

    assert "no command to run" in capsys.readouterr().err


def test_checking_the_tools_names_all_that_a_bare_machine_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    assert main(["check-tools"]) == 1

    lines = capsys.readouterr().err.splitlines()
    assert [line.removeprefix("headrace-lab: ").split()[0] for line in lines] == [
        "go",
        "java",
        "mvn",
        "apt-get",
        "dpkg-deb",
    ]
