"""What a stretch of a benchmark cost: processor time per process, and requests by the audit log."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

_MACHINE: Final = ""

_FIXED_WORK_TRIES: Final = 5
_FIXED_WORK_ROUNDS: Final = 2000

_NOT_OBJECTS: Final = frozenset({"leases", "events"})
"""Resources that are not counted as object requests; Events are counted beside."""

Row = tuple[str, str, str]
"""Verb, resource (with subresource) and identity of a request."""


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process has used; 0 when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = stat.rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])  # proc(5), fields 14 and 15
    return (user + system) / _TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Return how much of a process is in memory now. Raises OSError when it is gone."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * _PAGE_BYTES


def machine_seconds() -> float:
    """Return the processor time that the whole machine has used, time stolen by others included."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, fields)
    ticks = user + nice + system + interrupts + soft_interrupts + stolen
    return ticks / _TICKS_PER_SECOND


def fixed_work_milliseconds() -> float:
    """Return the processor time of a fixed piece of work, the best of some tries.

    A machine that others share is not equally fast at all hours: figures of two runs can be
    compared by what this was in each.
    """
    return min(_fixed_work() for _ in range(_FIXED_WORK_TRIES)) * 1000


def _fixed_work() -> float:
    began = time.process_time()
    for number in range(_FIXED_WORK_ROUNDS):
        orjson.loads(orjson.dumps({str(each): [each, number] for each in range(50)}))
    return time.process_time() - began


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time of a stretch.

    Attributes:
        seconds: How long it was.
        by_process: Processor seconds by name of the process.
        others: Processor seconds of everything else on the machine: where it is not close to
            zero, the figures are of a disturbed run.
    """

    seconds: float
    by_process: Mapping[str, float]
    others: float

    @property
    def cores(self) -> float:
        """Processors that were busy with these processes, on average."""
        return sum(self.by_process.values()) / self.seconds if self.seconds else 0.0


class Meter:
    """Measures processor time from its making, or its last reading, to the next.

    Args:
        pids: Process ids by name; the present process is added as `benchmark`.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = {**pids, "benchmark": os.getpid()}
        self._began = time.monotonic()
        self._last = self._read()

    def read(self) -> Usage:
        """Return what was used, and begin again."""
        now, used = time.monotonic(), self._read()
        spent = {name: used[name] - self._last[name] for name in used}
        whole = spent.pop(_MACHINE)
        usage = Usage(now - self._began, spent, max(whole - sum(spent.values()), 0.0))
        self._began, self._last = now, used
        return usage

    def _read(self) -> dict[str, float]:
        used = {name: processor_seconds(pid) for name, pid in self._pids.items()}
        return {**used, _MACHINE: machine_seconds()}


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of some identities within a stretch.

    Attributes:
        objects: Object requests: all but watches, Leases, discovery and Events.
        events: Events created, by reason of nothing but their number.
        failed: Object requests that were answered with 400 or above.
    """

    objects: Counter[Row] = field(default_factory=Counter)
    events: int = 0
    failed: int = 0


def count_requests(
    entries: Iterable[Mapping[str, Any]], users: Mapping[str, str], begin: str, end: str
) -> Requests:
    """Count the entries of an audit log.

    Args:
        entries: Decoded lines.
        users: Names of the identities by user name; all other users are left out.
        begin: First time that counts, RFC 3339 with microseconds, as the log has it.
        end: First time that counts no more.
    """
    objects: Counter[Row] = Counter()
    events = failed = 0
    for entry in entries:
        identity = users.get(entry["user"]["username"])
        reference = entry.get("objectRef") or {}
        if identity is None or "resource" not in reference or entry["verb"] == "watch":
            continue
        if not begin <= entry["requestReceivedTimestamp"] < end:
            continue
        resource = reference["resource"]
        if resource == "events":
            events += 1
        if resource in _NOT_OBJECTS:
            continue
        subresource = reference.get("subresource")
        name = f"{resource}/{subresource}" if subresource else resource
        objects[entry["verb"], name, identity] += 1
        failed += entry["responseStatus"].get("code", 0) >= 400
    return Requests(objects, events, failed)


def read_audit_log(path: Path) -> Iterable[Mapping[str, Any]]:
    """Yield the entries of an audit log; a last line that is not complete yet is left out."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield orjson.loads(line)
