"""Chooses ports for a lab.

They lie below the range from which the kernel takes ports of outgoing connections (32768 and up),
so that a part that is down for a while finds its port free when it comes back.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Final

from headrace_lab.errors import LabError

LOWEST: Final = 11000
HIGHEST: Final = 32000
ATTEMPTS: Final = 200


def choose(
    names: Sequence[str], chosen: Mapping[str, int], rng: random.Random | None = None
) -> dict[str, int]:
    """Return a free port for each name, in one row; `chosen` ones are taken as they are.

    Raises:
        LabError: A chosen port is in use or unknown, or no free row was found.
    """
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        raise LabError(f"unknown port names: {', '.join(unknown)} (known: {', '.join(names)})")
    for name, port in chosen.items():
        if not is_free(port):
            raise LabError(f"port {port}, chosen for {name}, is in use")
    rng = rng if rng is not None else random.Random()
    open_names = [name for name in names if name not in chosen]
    taken = set(chosen.values())
    for _ in range(ATTEMPTS):
        first = rng.randrange(LOWEST, HIGHEST - len(open_names))
        row = range(first, first + len(open_names))
        if taken.isdisjoint(row) and all(is_free(port) for port in row):
            return {**chosen, **dict(zip(open_names, row, strict=True))}
    raise LabError(f"no {len(open_names)} free ports in a row between {LOWEST} and {HIGHEST}")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a server could listen there now."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def is_open(port: int, host: str = "127.0.0.1", timeout_seconds: float = 1.0) -> bool:
    """Say whether something listens there."""
    try:
        with socket.create_connection((host, port), timeout_seconds):
            return True
    except OSError:
        return False
