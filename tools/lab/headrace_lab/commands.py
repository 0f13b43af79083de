"""Runs short-lived commands with their output in a log."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from headrace_lab.errors import BuildFailed

POLL_SECONDS = 0.5
TAIL_LINES = 25


def run_logged(
    argv: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    on_wait: Callable[[], None] = lambda: None,
) -> str:
    """Run a command to its end, append its output to a log, and return its standard output.

    Args:
        argv: The command.
        log: Appended to; standard error goes there and nowhere else.
        cwd: Where the command runs.
        env: The whole environment; None means this process's.
        on_wait: Called every half second while the command runs.

    Raises:
        BuildFailed: Its exit code is not 0. The message holds the end of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    output = log.with_suffix(".out")
    with log.open("ab") as errors, output.open("wb") as out:
        errors.write(f"$ {' '.join(argv)}\n".encode())
        errors.flush()
        try:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                # A group of its own, so that a compiler's children end with it.
                start_new_session=True,
            )
        except OSError as error:
            raise BuildFailed(f"{argv[0]} cannot be run: {error}") from error
        code = _wait(process, on_wait)
    text = output.read_text(errors="replace")
    output.unlink()
    with log.open("a") as errors_text:
        errors_text.write(text)
    if code != 0:
        raise BuildFailed(f"{' '.join(argv)} ended with {code}:\n{tail(log)}\n(log: {log})")
    return text


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, or nothing when there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _wait(process: subprocess.Popen[bytes], on_wait: Callable[[], None]) -> int:
    try:
        while process.poll() is None:
            on_wait()
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
        return process.returncode
    finally:
        # Ctrl-C, say: whatever the command started ends with it.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
