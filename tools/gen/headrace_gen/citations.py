"""Who cites which section of the contract: docstrings of modules, marks of tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace_gen.contract import Contract

PRODUCT: Final = ("shared", "services", "tools/cli")
TESTS: Final = "tests"


@dataclass(frozen=True, slots=True, order=True)
class Citation:
    """A file that names a section.

    Attributes:
        path: Relative to the repository.
        section: As written, `canary 5.4.6`.
    """

    path: str
    section: str


def of_modules(root: Path, contract: Contract) -> frozenset[Citation]:
    """Return what the docstrings of the product cite."""
    return frozenset(
        Citation(path.relative_to(root).as_posix(), name)
        for folder in PRODUCT
        for path in (root / folder).rglob("*.py")
        for text in _docstrings(path)
        for name in contract.cited(text)
    )


def of_tests(root: Path) -> frozenset[Citation]:
    """Return the sections that tests are marked with.

    Raises:
        ValueError: A mark is no constant, so that nobody could look it up.
    """
    return frozenset(
        Citation(path.relative_to(root).as_posix(), name)
        for path in (root / TESTS).rglob("test_*.py")
        for name in _marks(path)
    )


def _docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str):
                yield text


def _marks(path: Path) -> Iterator[str]:
    text = path.read_text("utf-8")
    if "mark.spec(" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.spec"):
            for argument in node.args:
                if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                    raise ValueError(f"{path.name}:{node.lineno}: a section must be a plain text")
                yield argument.value
