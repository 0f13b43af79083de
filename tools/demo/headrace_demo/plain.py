"""The view for pipes, logs and tests: a line for everything, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import Final

from rich.console import Console
from rich.text import Text

from headrace_demo.chart import bar, draw
from headrace_demo.lines import counted, ended, heard, phase, requests, said, summed_up
from headrace_demo.telling import Line
from headrace_demo.views import WINDOW_SECONDS, Heading, Moment, Outcome
from headrace_lab.load_report import Report, merge

_WINDOWS_PER_LINE: Final = 2
_BAR_WIDTH: Final = 25
_PHASE_WIDTH: Final = 60
_CHART_WIDTH: Final = 60
_CHART_HEIGHT: Final = 8


class PlainView:
    """Prints lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._heading = Heading("", "", "")
        self._windows: list[Report] = []

    def begin(self, heading: Heading) -> None:
        """Print the title."""
        self._heading = heading
        self._windows = []
        self._print(Text())
        self._print(Text(heading.title, "bold"))

    def say(self, at: float, text: str) -> None:
        """Print what is done."""
        self._print(said(at, text))

    def hear(self, line: Line) -> None:
        """Print an event."""
        self._print(heard(line))

    def show(self, moment: Moment) -> None:
        """Print the new version's share as a bar, once a second."""
        self._windows.append(moment.window)
        if len(self._windows) % _WINDOWS_PER_LINE:
            return
        new = self._heading.new
        share = merge(self._windows[-_WINDOWS_PER_LINE:]).share(new).value
        why = shorten(phase(moment), _PHASE_WIDTH, placeholder=" …")
        drawn = f"|{bar(share, _BAR_WIDTH)}| {share:6.1%}"
        self._print(Text(f"{moment.at:5.1f} {new:>3} {drawn} {counted(moment)} · {why}"))

    def end(self, outcome: Outcome) -> None:
        """Print the share over time, and how it ended."""
        new = self._heading.new
        self._print(Text(f"share of {new} over time:"))
        for row in draw(self._windows, new, _CHART_WIDTH, _CHART_HEIGHT, WINDOW_SECONDS):
            self._print(Text(f"{row.label}{row.cells}".rstrip()))
        self._print(Text(requests(outcome.report)))
        self._print(ended(outcome))

    def summarize(self, outcomes: Sequence[Outcome]) -> None:
        """Print a line for each act."""
        self._print(Text())
        for outcome in outcomes:
            self._print(summed_up(outcome))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)
