from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace_lab.errors import ToolMissing
from headrace_lab.toolchain import APT_GET, GO, JAVA, MAVEN, find, require

Search = Callable[[str], str | None]


@pytest.fixture(autouse=True)
def no_java_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)


def nowhere(name: str) -> str | None:
    return None


def saying(folder: Path, text: str) -> Search:
    """A machine on which every program tells this as its version."""
    program = folder / "program"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
    program.chmod(0o755)
    return lambda name: str(program)


@pytest.mark.parametrize(
    ("tool", "advice"),
    [
        (GO, "apt install golang-go"),
        (JAVA, "apt install openjdk-17-jre-headless"),
        (MAVEN, "apt install maven"),
        (APT_GET, "package apt"),
    ],
)
def test_a_missing_tool_is_named_with_its_package(tool: object, advice: str) -> None:
    with pytest.raises(ToolMissing, match=advice):
        find(tool, search=nowhere)  # type: ignore[arg-type]


def test_all_missing_tools_are_named_each_on_its_line() -> None:
    with pytest.raises(ToolMissing) as raised:
        require([GO, JAVA, MAVEN], search=nowhere)

    assert [line.split()[0] for line in str(raised.value).splitlines()] == ["go", "java", "mvn"]


@pytest.mark.parametrize("text", ["go version go1.26.8 linux/amd64", "go version go2.0 x"])
def test_accepts_go_of_the_right_version(tmp_path: Path, text: str) -> None:
    assert find(GO, search=saying(tmp_path, text)) == str(tmp_path / "program")


def test_refuses_go_that_is_too_old(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match=r"is version 1\.19, 1\.26 or newer is needed"):
        find(GO, search=saying(tmp_path, "go version go1.19.8 linux/amd64"))


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ('openjdk version "17.0.15" 2025-04-15', True),
        ('openjdk version "21" 2023-09-19', True),
        ('openjdk version "11.0.2" 2019-01-15', False),
        ('java version "1.8.0_402"', False),
    ],
)
def test_reads_the_version_of_java(tmp_path: Path, text: str, accepted: bool) -> None:
    search = saying(tmp_path, text)

    if accepted:
        assert find(JAVA, search=search)
    else:
        with pytest.raises(ToolMissing, match="17 or newer is needed"):
            find(JAVA, search=search)


def test_a_program_that_does_not_tell_its_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="does not tell its version"):
        find(GO, search=saying(tmp_path, "hello"))


def test_java_home_comes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"'\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    assert find(JAVA, search=nowhere) == str(java)
