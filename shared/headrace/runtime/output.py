"""Standard output that cannot be written: the end of a command, without a traceback.

Where nobody reads any more (`… | head -1`), the process ends as if the signal had ended it that
ends other programs then: quietly. Any other error, as of a full disk, is told in one line. Python's
own way, to let SIGPIPE end the process, is no way for a process that also writes to sockets.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NOBODY_READS: Final = 128 + 13
"""Exit code of what SIGPIPE ended, as shells have it."""


class _Watched(io.FileIO):
    """A file descriptor whose first error ends the process; what is written later goes nowhere."""

    def __init__(self, descriptor: int, program: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._program = program
        self._is_lost = False

    def write(self, data: ReadableBuffer, /) -> int:
        if self._is_lost:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            self._is_lost = True
            raise SystemExit(NOBODY_READS) from None
        except OSError as error:
            self._is_lost = True
            sys.stderr.write(
                f"{self._program}: standard output cannot be written: {error.strerror}\n"
            )
            raise SystemExit(1) from None


@contextmanager
def watched_output(program: str) -> Iterator[None]:
    """End the process by SystemExit when its standard output cannot be written.

    What somebody else put in the place of standard output (a test, who collects it) is left alone.

    Args:
        program: Leads the line that tells the error.
    """
    own = sys.stdout
    if own is not sys.__stdout__:
        yield
        return
    if sys.stderr is None:  # closed: what is said there is for nobody
        sys.stderr = io.StringIO()
    # The number of a closed descriptor is the next file's; this one refuses to be written, too.
    descriptor = own.fileno() if own else os.open(os.devnull, os.O_RDONLY)
    raw = _Watched(descriptor, program)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=own.encoding if own else "utf-8",
        errors=own.errors if own else None,
        line_buffering=raw.isatty(),
    )
    try:
        yield
    finally:
        sys.stdout.flush()
