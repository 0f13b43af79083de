from __future__ import annotations

from pathlib import Path

import pytest

from headrace_gen.__main__ import main, stale, write


def test_a_missing_or_different_file_is_stale(tmp_path: Path) -> None:
    files = {"a/b.txt": "new", "c.txt": "same"}
    (tmp_path / "c.txt").write_text("same")
    assert stale(files, tmp_path) == ["a/b.txt"]
    write(files, tmp_path)
    assert stale(files, tmp_path) == []


def test_a_check_writes_nothing_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["crds", "--check", "--root", str(tmp_path)]) == 1
    assert "deploy/crds/rollouts.yaml differs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_not_stale(tmp_path: Path) -> None:
    assert main(["crds", "--root", str(tmp_path)]) == 0
    assert main(["crds", "--check", "--root", str(tmp_path)]) == 0


def test_an_unknown_generator_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "no generator nothing" in capsys.readouterr().err
