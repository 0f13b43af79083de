"""Somebody who sits at a terminal: sees what a program writes there, and types ^C."""

from __future__ import annotations

import os
import pty
import select
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Final, Self

from headrace_lab.errors import LabError

INTERRUPT: Final = "\x03"
"""What ^C sends: the terminal makes a SIGINT of it, for all programs in its foreground."""

_PIECE_BYTES: Final = 65536
_POLL_SECONDS: Final = 0.05


class AtTerminal:
    """A program that runs in the foreground of a terminal of its own.

    It is started as a shell starts it, in a session that the terminal controls and with ^C not
    ignored: what a script runs in the background ignores it, and hands that on to its children.

    Args:
        argv: The command; the program by its full path.
        env: The whole environment.

    Attributes:
        shown: All that it has written.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._screen, terminal = pty.openpty()
        try:
            self._pid = os.posix_spawn(
                argv[0],
                list(argv),
                env,
                file_actions=[
                    # The first terminal that the leader of a session opens controls the session.
                    (os.POSIX_SPAWN_OPEN, 0, os.ttyname(terminal), os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                    (os.POSIX_SPAWN_DUP2, 0, 2),
                ],
                setsid=True,
                setsigdef=[signal.SIGINT],
            )
        finally:
            os.close(terminal)
        self._code: int | None = None
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.exit_code() is None:
            self.send(signal.SIGKILL)
            self.wait(10)
        os.close(self._screen)

    def type(self, text: str) -> None:
        """Type on its keyboard."""
        os.write(self._screen, text.encode())

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, past the terminal."""
        os.kill(self._pid, number)

    def read_until(self, text: str, seconds: float = 60) -> str:
        """Return what is new on the screen as soon as `text` is in it. Raises LabError."""
        begin = len(self.shown)
        deadline = time.monotonic() + seconds
        while text not in self.shown[begin:]:
            if time.monotonic() >= deadline or self.exit_code() is not None:
                raise LabError(f"{text!r} never appeared:\n{self.shown}")
            self._read()
        return self.shown[begin:]

    def wait(self, seconds: float) -> int:
        """Return its exit code, minus the signal's number where one ended it. Raises LabError.

        The screen is read on: who writes to a terminal that nobody reads stands still.
        """
        deadline = time.monotonic() + seconds
        while (code := self.exit_code()) is None:
            if time.monotonic() >= deadline:
                raise LabError(f"it has not ended after {seconds:g} s:\n{self.shown}")
            self._read()
        while self._read():
            pass
        return code

    def exit_code(self) -> int | None:
        """Return its exit code, None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def _read(self) -> bool:
        """Take what has been written; False when nothing comes for a moment, or ever again."""
        if not select.select([self._screen], [], [], _POLL_SECONDS)[0]:
            return False
        try:
            self.shown += os.read(self._screen, _PIECE_BYTES).decode(errors="replace")
        except OSError:  # the program has let go of the terminal
            return False
        return True
