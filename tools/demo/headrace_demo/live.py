"""The view for terminals: events scroll by above a panel that is drawn anew all the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.text import Text

from headrace_demo.chart import Row, draw
from headrace_demo.lines import counted, ended, heard, phase, requests, said, summed_up
from headrace_demo.telling import Line
from headrace_demo.views import WINDOW_SECONDS, Heading, Moment, Outcome
from headrace_lab.load_report import Report, merge

_ROWS_BESIDE_CHART: Final = 4
_CHART_HEIGHT_MIN: Final = 4
_CHART_HEIGHT_MAX: Final = 10
_CHART_WIDTH_MAX: Final = 120
_MARGIN: Final = 12

_SHARE_STYLE: Final = "cyan"
_ERROR_STYLE: Final = "red"


class LiveView:
    """Draws on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._heading = Heading("", "", "")
        self._windows: list[Report] = []
        self._moment: Moment | None = None

    def begin(self, heading: Heading) -> None:
        """Open the panel."""
        self._heading = heading
        self._windows = []
        self._moment = None
        self._live = Live(self._panel(), console=self._console, auto_refresh=False)
        self._live.start()

    def say(self, at: float, text: str) -> None:
        """Print what is done, above the panel."""
        self._print(said(at, text))

    def hear(self, line: Line) -> None:
        """Print an event above the panel."""
        self._print(heard(line))

    def show(self, moment: Moment) -> None:
        """Draw the panel anew."""
        self._moment = moment
        self._windows.append(moment.window)
        self._refresh()

    def end(self, outcome: Outcome) -> None:
        """Leave the panel as it is, with the end under it."""
        self._refresh()
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._console.print(ended(outcome))
        self._console.print()

    def summarize(self, outcomes: Sequence[Outcome]) -> None:
        """Print a line for each act."""
        for outcome in outcomes:
            self._console.print(summed_up(outcome))

    def _print(self, text: Text) -> None:
        self._console.print(text, no_wrap=True, overflow="ellipsis")

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._panel(), refresh=True)

    def _panel(self) -> Group:
        heading, moment = self._heading, self._moment
        seconds = f" · {moment.at:.0f} s" if moment else ""
        parts: list[Text | Rule] = [Rule(f"{heading.title}{seconds}", style="dim", align="left")]
        if moment is not None:
            parts += [_one_line(counted(moment)), _one_line(phase(moment))]
        parts += [_coloured(row) for row in self._rows()]
        parts += [self._legend(), _one_line(requests(merge(self._windows)))]
        return Group(*parts)

    def _rows(self) -> Sequence[Row]:
        width = min(self._console.width - _MARGIN, _CHART_WIDTH_MAX) // 10 * 10
        spare = self._console.height // 2 - _ROWS_BESIDE_CHART
        height = max(_CHART_HEIGHT_MIN, min(_CHART_HEIGHT_MAX, spare)) // 2 * 2
        return draw(self._windows, self._heading.new, width, height, WINDOW_SECONDS)

    def _legend(self) -> Text:
        new = self._heading.new
        share = merge(self._windows[-2:]).share(new).value
        return Text.assemble(
            ("█", _SHARE_STYLE),
            f" {share:.1%} of the requests are answered by {new}  ",
            ("█", _ERROR_STYLE),
            " with an error",
        )


def _one_line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _coloured(row: Row) -> Text:
    text = Text(row.label, "dim", no_wrap=True, overflow="crop")
    for column, cell in enumerate(row.cells):
        style = _ERROR_STYLE if column in row.error_cells else _SHARE_STYLE
        text.append(cell, "dim" if row.is_axis else style)
    return text
