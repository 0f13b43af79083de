"""A tree of objects with columns: NAME, KIND, STATUS, AGE, INFO (cli-and-clients 4.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from headrace_cli.output import PLAIN, Cell, Colour, Palette, table
from headrace_cli.views import icons

_HEADING: Final = tuple(Cell(title) for title in ("NAME", "KIND", "STATUS", "AGE", "INFO"))

Words = tuple[tuple[str, Colour | None], ...]
"""Words with their colours."""


@dataclass(frozen=True, slots=True)
class Node:
    """One line of a tree, and what is below it.

    Attributes:
        sign: Of its kind.
        name: Of the object.
        kind: CamelCase; empty for a line that is no object.
        icon: Of its status.
        status: In one word.
        age: As kubectl shows it.
        info: Words of the last column, joined by commas.
        colour: Of the name.
        children: In order.
    """

    sign: str
    name: str
    kind: str = ""
    icon: str = ""
    status: str = ""
    age: str = ""
    info: Words = ()
    colour: Colour | None = None
    children: Sequence[Node] = ()


def tree_lines(root: Node, palette: Palette = PLAIN) -> list[str]:
    """Return a tree with its heading as lines."""
    rows = [_HEADING, _row(root, ""), *_rows(root, "")]
    return table(rows, palette)


def _rows(node: Node, indent: str) -> Iterator[tuple[Cell, ...]]:
    for position, child in enumerate(node.children):
        is_last = position == len(node.children) - 1
        yield _row(child, indent + ("└──" if is_last else "├──"))
        yield from _rows(child, indent + ("   " if is_last else "│  "))


def _row(node: Node, branch: str) -> tuple[Cell, ...]:
    status: Words = ((node.icon, icons.COLOURS.get(node.icon)), (f" {node.status}", None))
    return (
        Cell.of((f"{branch}{node.sign} ", None), (node.name, node.colour)),
        Cell(node.kind),
        Cell.of(*status) if node.status or node.icon else Cell(""),
        Cell(node.age),
        Cell.of(*_joined(node.info)),
    )


def _joined(words: Words) -> Iterator[tuple[str, Colour | None]]:
    for position, word in enumerate(words):
        if position:
            yield ",", None
        yield word
