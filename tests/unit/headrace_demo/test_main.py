"""The command line of the demo."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace_demo.__main__ import main


@pytest.fixture
def sigterm() -> Iterator[None]:
    """Give the process its handler back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm")
def test_says_what_the_machine_lacks_for_the_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HEADRACE_LAB_DIR", str(tmp_path / "lab"))
    assert main(["--lab", "--dir", str(tmp_path / "lab")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("headrace-demo: ")
    assert "java is not on the PATH: apt install openjdk-17-jre-headless" in told
