"""What a lab remembers in `state.json`: options, ports, and the processes it started.

Several processes use one lab (the command line, tests, the demo), so every change is read,
changed and written under a lock, and written by rename.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from headrace_lab.errors import NotRunning
from headrace_lab.processes import OwnedProcess

FORMAT = 1
Profile = Literal["default", "throughput"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a lab is run; kept for its whole life.

    Attributes:
        profile: `throughput` gives the broker more memory and the full compiler.
        audit: Whether the API server writes an audit log (every request, blocking).
    """

    profile: Profile = "default"
    audit: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """The content of `state.json`."""

    options: Options
    ports: dict[str, int]
    parts: tuple[str, ...]
    pod_network: int
    processes: dict[str, OwnedProcess] = field(default_factory=dict)


class StateFile:
    """Reads and changes the state of one lab."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "state.json"

    def read(self) -> State:
        """Return the state.

        Raises:
            NotRunning: There is none.
        """
        try:
            raw = json.loads(self._path.read_text())
        except FileNotFoundError as error:
            raise NotRunning(
                f"there is no lab in {self._directory}: python -m headrace_lab up "
                f"--dir {self._directory}"
            ) from error
        return _decode(raw)

    def exists(self) -> bool:
        """Say whether there is a lab in the folder, running or not."""
        return self._path.exists()

    def create(self, state: State) -> None:
        """Write the first state."""
        with self.lock("state.lock"):
            self._write(state)

    def change(self, changed: Callable[[State], State]) -> State:
        """Apply a change to the newest state and return the result."""
        with self.lock("state.lock"):
            state = changed(self.read())
            self._write(state)
        return state

    def set_process(self, part: str, process: OwnedProcess | None) -> None:
        """Remember a part's process, or forget it."""

        def changed(state: State) -> State:
            processes = {name: p for name, p in state.processes.items() if name != part}
            if process is not None:
                processes[part] = process
            return replace(state, processes=processes)

        self.change(changed)

    def remove(self) -> None:
        """Forget the lab."""
        self._path.unlink(missing_ok=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock of the lab's folder."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / name).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _write(self, state: State) -> None:
        raw: dict[str, Any] = {"format": FORMAT, **asdict(state)}
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(raw, indent=2) + "\n")
        temporary.rename(self._path)


def _decode(raw: dict[str, Any]) -> State:
    return State(
        options=Options(**raw["options"]),
        ports=raw["ports"],
        parts=tuple(raw["parts"]),
        pod_network=raw["pod_network"],
        processes={name: OwnedProcess(**value) for name, value in raw["processes"].items()},
    )
