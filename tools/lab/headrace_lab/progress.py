"""What the lab does and how long it takes, one line per step."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

TICK_SECONDS = 15.0


class Progress:
    """Prints steps with their durations; a quiet one prints nothing (tests)."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._quiet = quiet

    def say(self, text: str) -> None:
        """Print one line."""
        if not self._quiet:
            self._stream.write(text + "\n")
            self._stream.flush()

    @contextmanager
    def step(self, name: str) -> Iterator[Ticker]:
        """Say that a step begins, and how long it took when it ended well."""
        self.say(f"{name} …")
        ticker = Ticker(self, name)
        yield ticker
        self.say(f"{name}: done in {ticker.elapsed_seconds:.1f} s")


class Ticker:
    """Tells from time to time that a long step is still at work."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._began = time.monotonic()
        self._told = self._began

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._began

    def tick(self) -> None:
        """Say that the step is still at work, at most once in TICK_SECONDS."""
        if time.monotonic() - self._told >= TICK_SECONDS:
            self._told = time.monotonic()
            self._progress.say(f"{self._name}: still at work, {self.elapsed_seconds:.0f} s")
