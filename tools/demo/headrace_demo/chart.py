"""The share of traffic over time, drawn in text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace_lab.load_report import NO_VERSION, Report, merge

_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_BAR_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_LABEL_WIDTH: Final = 7
_TICK_COLUMNS: Final = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a chart.

    Attributes:
        label: The axis, with what stands at it.
        cells: One character per column.
        error_cells: Columns in which the cell stands for answers that were errors.
        is_axis: True when the cells are no shares.
    """

    label: str
    cells: str
    error_cells: frozenset[int] = frozenset()
    is_axis: bool = False


def draw(
    windows: Sequence[Report], version: str, width: int, height: int, seconds: float
) -> list[Row]:
    """Return the share of a version over time: one column for each window, oldest first.

    Args:
        windows: What requests saw in equally long times.
        version: Whose share is drawn; its errors are at the foot of the columns.
        width: Columns at most; where there are more windows, some share a column.
        height: Rows of the columns, even; the axis takes two more.
        seconds: Length of a window.
    """
    size = max(1, math.ceil(len(windows) / width))
    columns = [merge(windows[begin : begin + size]) for begin in range(0, len(windows), size)]
    shares = [column.share(version).value * height for column in columns]
    errors = [_error_share(column, version) * height for column in columns]
    rows = [_row(shares, errors, bottom, height) for bottom in reversed(range(height))]
    return [*rows, *_time_axis(width, size * seconds)]


def bar(share: float, width: int) -> str:
    """Return a horizontal bar of a share, 0 to 1, padded to its width."""
    full, rest = divmod(round(share * width * 8), 8)
    return ("█" * full + (_BAR_EIGHTHS[rest] if rest else "")).ljust(width)


def _row(shares: Sequence[float], errors: Sequence[float], bottom: int, height: int) -> Row:
    """Return the row that shows values from `bottom` to `bottom` + 1."""
    cells = "".join(_cell(share - bottom, is_last=bottom == 0) for share in shares)
    error_cells = frozenset(
        column for column, error in enumerate(errors) if error - bottom > 0.5 or error > bottom == 0
    )
    label = {height: "100 %", height // 2: "50 %"}.get(bottom + 1, "")
    return Row(f"{label:>{_LABEL_WIDTH}} {'┤' if label else '│'}", cells, error_cells)


def _cell(filled: float, *, is_last: bool) -> str:
    """Return a cell filled to some part; a little is shown as a little, never as nothing."""
    eighths = min(8, max(0, round(filled * 8)))
    return _EIGHTHS[max(eighths, 1) if is_last and filled > 0 else eighths]


def _error_share(window: Report, version: str) -> float:
    answered = window.total - sum(window.statuses(NO_VERSION).values())
    errors = sum(count for status, count in window.statuses(version).items() if status >= 400)
    return errors / answered if answered else 0.0


def _time_axis(width: int, seconds: float) -> list[Row]:
    """Return the axis of a chart whose columns are `seconds` long each."""
    line = ("─" * (_TICK_COLUMNS - 1) + "┴") * (width // _TICK_COLUMNS)
    ticks = range(_TICK_COLUMNS, width + 1, _TICK_COLUMNS)
    numbers = "".join(f"{tick * seconds:>{_TICK_COLUMNS}g}" for tick in ticks)
    return [
        Row(f"{'0 %':>{_LABEL_WIDTH}} ┼", line.ljust(width, "─"), is_axis=True),
        Row(f"{'':>{_LABEL_WIDTH}}  ", numbers + " s", is_axis=True),
    ]
