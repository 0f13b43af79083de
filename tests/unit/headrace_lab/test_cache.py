from __future__ import annotations

import io
from pathlib import Path

import pytest

from headrace_lab.cache import Artifact, Cache, Workshop, default_root
from headrace_lab.errors import BuildFailed, ToolMissing
from headrace_lab.progress import Progress
from headrace_lab.toolchain import Tool

QUIET = Progress(quiet=True)


class Recipe:
    """Counts its builds, and writes the files it is told."""

    def __init__(self, *files: str, error: Exception | None = None) -> None:
        self.files = files
        self.error = error
        self.builds = 0

    def __call__(self, workshop: Workshop) -> None:
        self.builds += 1
        for name in self.files:
            (workshop.folder / name).write_text("x")
        if self.error is not None:
            raise self.error


def artifact(recipe: Recipe, *tools: Tool) -> Artifact:
    return Artifact(
        name="thing",
        version="1",
        files=("binary",),
        tools=tools,
        estimate="at once",
        build=recipe,
    )


def test_builds_once(tmp_path: Path) -> None:
    recipe = Recipe("binary", "beside")
    cache = Cache(tmp_path)

    cache.ensure([artifact(recipe)], QUIET)
    cache.ensure([artifact(recipe)], QUIET)

    assert recipe.builds == 1
    assert cache.has(artifact(recipe))
    assert sorted(path.name for path in cache.place(artifact(recipe)).iterdir()) == [
        "beside",
        "binary",
    ]


def test_an_interrupted_build_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    interrupted = Recipe("binary", error=KeyboardInterrupt())  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        cache.ensure([artifact(interrupted)], QUIET)

    assert not cache.has(artifact(interrupted))
    assert list(tmp_path.glob("*thing*")) == []


def test_removes_what_a_killed_build_left(tmp_path: Path) -> None:
    leftover = tmp_path / ".building-thing-1"
    leftover.mkdir()
    (leftover / "half").write_text("x")
    cache = Cache(tmp_path)

    cache.ensure([artifact(Recipe("binary"))], QUIET)

    assert not leftover.exists()
    assert [path.name for path in (tmp_path / "thing-1").iterdir()] == ["binary"]


def test_replaces_an_incomplete_artifact(tmp_path: Path) -> None:
    place = tmp_path / "thing-1"
    place.mkdir()
    (place / "old").write_text("x")
    cache = Cache(tmp_path)

    cache.ensure([artifact(Recipe("binary"))], QUIET)

    assert [path.name for path in place.iterdir()] == ["binary"]


def test_a_build_that_does_not_make_its_files_fails(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="binary is not there"):
        Cache(tmp_path).ensure([artifact(Recipe("other"))], QUIET)


def test_missing_tools_are_named_before_anything_is_built(tmp_path: Path) -> None:
    first, second = Recipe("binary"), Recipe("binary")
    missing = Tool(name="no-such-tool-of-the-lab", get_it="apt install something")
    other = Artifact("other", "1", ("binary",), (missing,), "at once", second)

    with pytest.raises(ToolMissing, match="apt install something"):
        Cache(tmp_path).ensure([artifact(first), other], QUIET)

    assert first.builds == 0


def test_the_output_of_a_failed_command_is_in_the_message_and_in_the_log(tmp_path: Path) -> None:
    def build(workshop: Workshop) -> None:
        workshop.run(["/bin/sh", "-c", "echo the reason >&2; exit 3"])

    failing = Artifact("thing", "1", ("binary",), (), "at once", build)

    with pytest.raises(BuildFailed, match=r"ended with 3:\n(.*\n)*the reason"):
        Cache(tmp_path).ensure([failing], QUIET)

    assert "the reason" in (tmp_path / "thing-1.log").read_text()


def test_tells_what_it_builds_and_how_long_it_takes(tmp_path: Path) -> None:
    told = io.StringIO()

    Cache(tmp_path).ensure([artifact(Recipe("binary"))], Progress(told))

    assert "thing 1 (at once; log" in told.getvalue()
    assert ": done in 0." in told.getvalue()


def test_lies_where_the_desktop_keeps_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "headrace" / "lab"

    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_root() == Path.home() / ".cache" / "headrace" / "lab"
