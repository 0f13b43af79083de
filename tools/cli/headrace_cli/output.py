"""What the user sees: lines, tables, colours, and a screen that is drawn again.

Colours and cursor movements only go to a terminal; what is piped is plain text.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TextIO

_COLUMN_GAP: Final = "  "
_RESET: Final = "\x1b[0m"
_HOME: Final = "\x1b[H"
_CLEAR_SCREEN: Final = "\x1b[2J"
_CLEAR_LINE: Final = "\x1b[K"
_CLEAR_BELOW: Final = "\x1b[J"
_COLOURING: Final = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL: Final = re.compile(r"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All but tabs and ends of lines; what objects say must not move anybody's cursor."""


class Colour(StrEnum):
    """A colour as the terminal's own palette has it, so that it fits the user's theme."""

    RED = "\x1b[31m"
    GREEN = "\x1b[32m"
    YELLOW = "\x1b[33m"
    BLUE = "\x1b[94m"
    DIM = "\x1b[2m"


@dataclass(frozen=True, slots=True)
class Palette:
    """Gives words their colours, or leaves them as they are."""

    is_on: bool = False

    def paint(self, text: str, colour: Colour | None) -> str:
        """Return the text in a colour; plain when colours are off or there is none."""
        return f"{colour}{text}{_RESET}" if self.is_on and colour and text else text


PLAIN: Final = Palette()


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a table with its colour, which takes no room."""

    text: str
    parts: tuple[tuple[str, Colour | None], ...] = ()

    @classmethod
    def of(cls, *parts: tuple[str, Colour | None]) -> Cell:
        """Return a cell of parts that have colours of their own."""
        return cls("".join(text for text, _ in parts), parts)

    def painted(self, palette: Palette) -> str:
        """Return the text with its colours."""
        if not self.parts:
            return self.text
        return "".join(palette.paint(text, colour) for text, colour in self.parts)


def table(rows: Sequence[Sequence[Cell]], palette: Palette = PLAIN) -> list[str]:
    """Return rows as lines whose columns are as wide as their widest cell and two blanks.

    Args:
        rows: All of the same length, the heading among them.
        palette: For the colours.
    """
    widths = [max(len(cell.text) for cell in column) for column in zip(*rows, strict=True)]
    return [_line(row, widths, palette) for row in rows]


def _line(row: Sequence[Cell], widths: Sequence[int], palette: Palette) -> str:
    used = max((i for i, cell in enumerate(row) if cell.text.strip()), default=0) + 1
    parts = [
        cell.painted(palette) + " " * (width - len(cell.text))
        for cell, width in zip(row[:used], widths, strict=False)
    ]
    return _COLUMN_GAP.join(parts).rstrip()


@dataclass(slots=True)
class Terminal:
    """Where output goes.

    Attributes:
        out: For what the user asked for.
        err: For errors and notes.
        environ: Decides about colours (`NO_COLOR`, `TERM`).
    """

    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def is_interactive(self) -> bool:
        """Whether a person looks at it, so that the screen may be drawn again."""
        return self.out.isatty() and self.environ.get("TERM", "") != "dumb"

    def palette(self, *, no_color: bool = False) -> Palette:
        """Return colours for a terminal, none for a pipe or where the user wants none."""
        return Palette(
            self.is_interactive and not no_color and not self.environ.get("NO_COLOR", "")
        )

    def print(self, *lines: str) -> None:
        """Write lines."""
        is_coloured = self.is_interactive
        self.write("".join(f"{visible(line, is_coloured=is_coloured)}\n" for line in lines))

    def write(self, text: str) -> None:
        """Write text as it is."""
        self.out.write(text)
        self.out.flush()

    def complain(self, text: str) -> None:
        """Write a line to standard error."""
        self.err.write(f"{visible(text)}\n")
        self.err.flush()

    def screen(self) -> Screen:
        """Return a screen whose frames replace each other; in a pipe they follow each other."""
        return Screen(self)


class Screen:
    """Shows one frame after the other, without flicker."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._shown: list[str] = []

    def draw(self, lines: Sequence[str]) -> None:
        """Show a frame; one equal to the last is not drawn again."""
        frame = [part for line in lines for part in visible(line, is_coloured=True).split("\n")]
        if frame == self._shown:
            return
        if self._terminal.is_interactive:
            size = shutil.get_terminal_size()
            start = _HOME if self._shown else _HOME + _CLEAR_SCREEN
            shown = _fitting(frame, rows=size.lines - 1, columns=size.columns)
            text = "".join(f"{line}{_line_end(line, size.columns)}" for line in shown)
            self._terminal.write(f"{start}{text}{_CLEAR_BELOW}")
        else:
            self._terminal.print(*([""] if self._shown else []), *frame)
        self._shown = frame


def visible(text: str, *, is_coloured: bool = False) -> str:
    """Return a text with its control characters in sight (`^[`), as kubectl shows them.

    Args:
        text: Perhaps of an object, that is, of anybody.
        is_coloured: True to leave changes of the colour in it.
    """

    def shown(found: re.Match[str]) -> str:
        if found[1] and is_coloured:
            return found[1]
        code = ord(found[0][0])
        head = f"^{chr(code ^ 64)}" if code < 127 else f"\\u{code:04x}"  # as JSON has it
        return head + found[0][1:]

    return _CONTROL.sub(shown, text)


def _fitting(frame: Sequence[str], *, rows: int, columns: int) -> Sequence[str]:
    """Cut what the terminal has no rows for: a scrolled screen cannot be drawn again."""
    heights = [_height(line, columns) for line in frame]
    if sum(heights) <= rows:
        return frame
    kept, used = 0, 1
    while used + heights[kept] <= rows:
        used += heights[kept]
        kept += 1
    return [*frame[:kept], f"… {len(frame) - kept} more lines"]


def _height(line: str, columns: int) -> int:
    """Return how many rows a line takes: what is too wide goes on in the next."""
    return max(1, -(-_width(line) // columns))


def _width(line: str) -> int:
    return len(_COLOURING.sub("", line))


def _line_end(line: str, columns: int) -> str:
    """End a line, and clear what an older one left behind it.

    At the margin there is nothing behind; clearing would take the last letter.
    """
    is_full = _width(line) > 0 and _width(line) % columns == 0
    return "\n" if is_full else f"{_CLEAR_LINE}\n"
