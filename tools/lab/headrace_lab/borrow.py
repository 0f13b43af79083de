"""The lab of a test run: the one that is there, else one of its own for the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace_lab.lab import Lab, default_directory
from headrace_lab.progress import Progress
from headrace_lab.state import StateFile


@contextmanager
def borrowed_lab(
    own_directory: Path | None = None,
    *,
    parts: Iterable[str] | None = None,
    progress: Progress | None = None,
) -> Iterator[Lab]:
    """Yield a running lab with some parts.

    A lab in the default folder (`make lab-up`) is used, and started where it is down, and left;
    else one is started in a folder of the caller's and stopped in the end.

    Args:
        own_directory: For a lab of its own; None means the default folder.
        parts: See `Lab.start`.
        progress: Where to tell what happens.
    """
    shared = default_directory()
    if StateFile(shared).exists():
        yield Lab.start(shared, parts=parts, progress=progress)
        return
    lab = Lab.start(own_directory or shared, parts=parts, progress=progress)
    try:
        yield lab
    finally:
        lab.stop()
