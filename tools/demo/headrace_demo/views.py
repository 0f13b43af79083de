"""What an audience is shown: the vocabulary of all views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from headrace_demo.telling import Line
from headrace_lab.load_report import Report

WINDOW_SECONDS: Final = 0.5
"""How often a view is shown how things stand."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What is going to be shown.

    Attributes:
        title: As `Act 1 of 3: a person promotes`.
        old: Version that serves before.
        new: Version that is released.
    """

    title: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stand, and what requests saw since the moment before.

    Attributes:
        at: Seconds since the act began.
        window: The requests of the last WINDOW_SECONDS.
        weight: What the TrafficSplit gives to the canary Service, in per cent; None without one.
        phase: Of the Rollout.
        message: Why it is in that phase.
        step: How many steps are passed.
        steps: How many there are.
        pods: Ready pods by version.
    """

    at: float
    window: Report
    weight: int | None = None
    phase: str = ""
    message: str = ""
    step: int = 0
    steps: int = 0
    pods: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an act ended.

    Attributes:
        title: Of the act.
        failure: Why it failed; "" when it went as it should.
        seconds: How long it took.
        report: All its requests.
    """

    title: str
    failure: str
    seconds: float
    report: Report

    @property
    def is_success(self) -> bool:
        """True when the act went as it should."""
        return not self.failure


class View(Protocol):
    """Shows what happens; nothing here blocks. Times are seconds since the act began."""

    def begin(self, heading: Heading) -> None:
        """Open an act."""
        ...

    def say(self, at: float, text: str) -> None:
        """Tell what is done next, and by whom."""
        ...

    def hear(self, line: Line) -> None:
        """Tell an event."""
        ...

    def show(self, moment: Moment) -> None:
        """Show how things stand."""
        ...

    def end(self, outcome: Outcome) -> None:
        """Close the act."""
        ...

    def summarize(self, outcomes: Sequence[Outcome]) -> None:
        """Tell how all acts ended."""
        ...
