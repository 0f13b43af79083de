"""Built and fetched parts, kept outside the tree and shared by all labs of a user.

An artifact is built in a folder of its own beside its place, verified, and moved there by one
rename, so that an interrupted build leaves nothing that looks complete. One build at a time,
across processes: the Go build alone uses every core.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace_lab.commands import run_logged
from headrace_lab.errors import BuildFailed
from headrace_lab.progress import Progress, Ticker
from headrace_lab.toolchain import Tool, require


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where one artifact is being built, and how its commands are run."""

    folder: Path
    log: Path
    ticker: Ticker

    def run(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> str:
        """Run a command at low priority and return its output; it is also in the log.

        Raises:
            BuildFailed: The command failed; the message holds the end of its output.
        """
        return run_logged(
            ["nice", "-n", "10", *argv],
            log=self.log,
            cwd=cwd or self.folder,
            env=env,
            on_wait=self.ticker.tick,
        )


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something to build or fetch.

    Attributes:
        name: Name in the cache, with `version`.
        version: Any change of it makes a new folder.
        files: What must be there, relative, for the artifact to be complete.
        tools: What building needs.
        estimate: How long a cold build takes, for the person who waits.
        build: Fills the workshop's folder; files it leaves beside `files` are kept.
    """

    name: str
    version: str
    files: tuple[str, ...]
    tools: tuple[Tool, ...]
    estimate: str
    build: Callable[[Workshop], None]


class Cache:
    """The folder of all artifacts."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root if root is not None else default_root()

    def place(self, artifact: Artifact) -> Path:
        """Return where the artifact is, or will be."""
        return self.root / f"{artifact.name}-{artifact.version}"

    def has(self, artifact: Artifact) -> bool:
        """Say whether the artifact is complete."""
        place = self.place(artifact)
        return all((place / name).exists() for name in artifact.files)

    def ensure(self, artifacts: Sequence[Artifact], progress: Progress) -> None:
        """Build what is missing, one at a time.

        Raises:
            ToolMissing: Named before anything is built.
            BuildFailed: Nothing of the failed artifact stays but its log.
        """
        missing = [artifact for artifact in artifacts if not self.has(artifact)]
        if not missing:
            return
        require(list(dict.fromkeys(tool for artifact in missing for tool in artifact.tools)))
        with self._lock(progress):
            self._sweep()
            for artifact in missing:
                if not self.has(artifact):
                    self._build(artifact, progress)

    def _build(self, artifact: Artifact, progress: Progress) -> None:
        place = self.place(artifact)
        folder = self.root / f".building-{place.name}"
        folder.mkdir(parents=True)
        log = self.root / f"{place.name}.log"
        log.unlink(missing_ok=True)
        title = f"{artifact.name} {artifact.version} ({artifact.estimate}; log {log})"
        try:
            with progress.step(title) as ticker:
                artifact.build(Workshop(folder, log, ticker))
                missing = [name for name in artifact.files if not (folder / name).exists()]
                if missing:
                    raise BuildFailed(f"{title}: {', '.join(missing)} is not there after the build")
                _remove(place)
                folder.rename(place)
        finally:
            _remove(folder)

    def _sweep(self) -> None:
        for leftover in self.root.glob(".building-*"):
            _remove(leftover)

    @contextmanager
    def _lock(self, progress: Progress) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress.say("another process builds parts of the lab; waiting for it …")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def default_root() -> Path:
    """Return `${XDG_CACHE_HOME:-~/.cache}/headrace/lab`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "headrace" / "lab"


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
