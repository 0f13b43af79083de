"""What happened in a run: lines for people, and the same as JSON."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from headrace_sandbox.clock import EPOCH

LINES_MAX: Final = 20_000
"""The newest lines that are kept."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened.

    Attributes:
        at: Seconds since the world began.
        who: A node, a user, `cluster`, `fault`, `bus` or `checker`.
        what: In a few words.
        facts: The rest, for machines.
    """

    at: float
    who: str
    what: str
    facts: dict[str, Any]

    def text(self) -> str:
        """Return it for people."""
        facts = " ".join(f"{name}={value}" for name, value in self.facts.items())
        return f"{self.at:10.3f}  {self.who:<22} {self.what}  {facts}".rstrip()


class Story:
    """The lines of one run."""

    def __init__(self, *, is_kept: bool = True) -> None:
        self._is_kept = is_kept
        self._lines: deque[Line] = deque(maxlen=LINES_MAX)

    def tell(self, time: float, who: str, what: str, **facts: Any) -> None:
        """Add a line."""
        if self._is_kept:
            self._lines.append(Line(round(time - EPOCH, 3), who, what, facts))

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def text(self) -> str:
        """Return all lines for people."""
        return "\n".join(line.text() for line in self._lines)

    def dump(self) -> list[dict[str, Any]]:
        """Return all lines for machines."""
        return [
            {"at": line.at, "who": line.who, "what": line.what, **line.facts}
            for line in self._lines
        ]
