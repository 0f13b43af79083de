"""One part of a running lab, and what a fault test does to it."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

from headrace_lab.commands import tail
from headrace_lab.errors import PartFailed
from headrace_lab.processes import OWNER_VARIABLE, OwnedProcess, spawn
from headrace_lab.site import Part, Site
from headrace_lab.state import StateFile

READY_SECONDS: Final = 90.0
POLL_SECONDS: Final = 0.05


class RunningPart:
    """Starts, kills, freezes and awaits one part; its data stay for the next start."""

    def __init__(self, part: Part, site: Site, state: StateFile) -> None:
        self._part = part
        self._site = site
        self._state = state

    @property
    def name(self) -> str:
        """The part's name."""
        return self._part.name

    @property
    def process(self) -> OwnedProcess | None:
        """Its process as last started, alive or not."""
        return self._state.read().processes.get(self._part.name)

    @property
    def is_running(self) -> bool:
        """Whether its process lives; a suspended one does."""
        process = self.process
        return process is not None and process.is_alive()

    def is_ready(self) -> bool:
        """Say whether it serves now."""
        return self.is_running and self._part.is_ready(self._site)

    def start(self) -> None:
        """Start it, unless it runs; `wait_ready` tells when it serves."""
        if self.is_running:
            return
        self._part.prepare(self._site)
        env = {
            **os.environ,
            OWNER_VARIABLE: str(self._site.directory),
            "PYTHONUNBUFFERED": "1",
        }
        process = spawn(self._part.argv(self._site), log=self._site.log(self.name), env=env)
        self._state.set_process(self.name, process)

    def wait_ready(
        self, timeout_seconds: float = READY_SECONDS, cancelled: threading.Event | None = None
    ) -> None:
        """Wait until it serves.

        Raises:
            PartFailed: It ended, or does not serve in time; with the end of its log.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._part.is_ready(self._site):
            if cancelled is not None and cancelled.is_set():
                raise PartFailed(f"{self.name}: its start was cancelled")
            if not self.is_running:
                raise self._failed("ended")
            if time.monotonic() >= deadline:
                raise self._failed(f"was not ready after {timeout_seconds:.0f} s")
            time.sleep(POLL_SECONDS)
        if not self.is_running:
            # Something else answers on its port.
            raise self._failed("ended")

    def stop(self, *, hurry: bool = False) -> None:
        """End it the way it likes best; in a hurry by SIGKILL, where it has no children."""
        process = self.process
        if process is not None:
            if self._part.stop_seconds == 0 or (hurry and not self._part.module):
                process.kill()
            else:
                process.stop(self._part.stop_seconds)
        self._state.set_process(self.name, None)

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        process = self.process
        if process is not None:
            process.kill()

    def restart(self, timeout_seconds: float = READY_SECONDS) -> None:
        """Kill it, start it again on its data, and wait until it serves."""
        self.kill()
        self.start()
        self.wait_ready(timeout_seconds)

    def suspend(self) -> None:
        """Freeze it by SIGSTOP: its connections stay open, and nothing answers."""
        process = self.process
        if process is not None:
            process.suspend()

    def resume(self) -> None:
        """Let a frozen one go on."""
        process = self.process
        if process is not None:
            process.resume()

    def _failed(self, what: str) -> PartFailed:
        log = self._site.log(self.name)
        return PartFailed(f"{self.name} {what}; the end of {log}:\n{tail(log)}")
