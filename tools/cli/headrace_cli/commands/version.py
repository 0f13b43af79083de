"""`headrace version`."""

from __future__ import annotations

import platform
from typing import Annotated

import typer

from headrace import __version__
from headrace_cli.arguments import FlagCommand
from headrace_cli.output import Terminal


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("version", cls=FlagCommand)(version)


def version(
    short: Annotated[bool, typer.Option("--short", help="Only the version.")] = False,
) -> None:
    """Show the version."""
    show(short=short)


def show(*, short: bool) -> None:
    """Print the version."""
    terminal = Terminal()
    terminal.print(f"headrace: v{__version__}")
    if not short:
        terminal.print(
            f"  Python: {platform.python_version()}",
            f"  Platform: {platform.system().lower()}/{platform.machine()}",
        )
