"""Long-running processes, known by pid and start time, so that a recycled pid is never touched.

They outlive the process that started them: a lab is started by one command, used by tests, and
stopped by another command.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Set in the environment of everything a lab starts, and inherited by what that starts in turn.
OWNER_VARIABLE: Final = "HEADRACE_LAB_OWNER"
POLL_SECONDS: Final = 0.02
KILL_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class OwnedProcess:
    """A process that this lab started, perhaps from another process.

    Attributes:
        pid: Its process id, which is also its session's.
        started: Its start time in clock ticks since boot (proc(5), field 22).
    """

    pid: int
    started: int

    def is_alive(self) -> bool:
        """Say whether it runs (or is suspended); a zombie does not."""
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        stat = _stat(self.pid)
        return stat is not None and stat.started == self.started and not stat.is_dead

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process is gone."""
        if self.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def suspend(self) -> None:
        """Freeze it by SIGSTOP: its connections stay open, and nothing answers."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen one go on."""
        self.send(signal.SIGCONT)

    def wait_gone(self, timeout_seconds: float) -> bool:
        """Wait until it is gone; False when it still runs after the timeout."""
        deadline = time.monotonic() + timeout_seconds
        while self.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def kill(self, timeout_seconds: float = KILL_SECONDS) -> None:
        """Send SIGKILL and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.wait_gone(timeout_seconds)

    def stop(self, timeout_seconds: float) -> None:
        """Ask it to end, and kill it when it has not after the timeout."""
        self.send(signal.SIGTERM)
        self.resume()
        if not self.wait_gone(timeout_seconds):
            self.kill()


def spawn(argv: Sequence[str], *, log: Path, env: Mapping[str, str]) -> OwnedProcess:
    """Start a process in a session of its own, with its output appended to a log.

    Raises:
        OSError: The program cannot be run.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE],
    )
    stat = _stat(pid)
    assert stat is not None, "a child that nobody has waited for is in /proc"
    return OwnedProcess(pid, stat.started)


def owned_by(owner: str) -> list[OwnedProcess]:
    """Return every living process whose environment says that the lab started it.

    This finds what a killed part left behind, such as the pods of the stand-in.
    """
    wanted = f"{OWNER_VARIABLE}={owner}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        stat = _stat(int(folder.name))
        if wanted in environment.split(b"\0") and stat is not None and not stat.is_dead:
            found.append(OwnedProcess(int(folder.name), stat.started))
    return found


@dataclass(frozen=True, slots=True)
class _Stat:
    state: str
    threads: int
    started: int

    @property
    def is_dead(self) -> bool:
        # The first thread may be a zombie while others still hold the process's ports.
        return self.state in "ZX" and self.threads <= 1


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name is in parentheses and may hold anything, so read after the last one.
    fields = text.rpartition(")")[2].split()
    return _Stat(state=fields[0], threads=int(fields[17]), started=int(fields[19]))
