"""`headrace lint`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace_cli.arguments import FlagCommand
from headrace_cli.output import Terminal
from headrace_cli.session import told


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lint", cls=FlagCommand)(lint)


def lint(
    filename: Annotated[
        Path,
        typer.Option(
            "--filename",
            "-f",
            metavar="FILE",
            help="YAML file with manifests; - reads standard input.",
        ),
    ],
) -> None:
    """Check the Rollouts of a file, without a cluster.

    Services of the same file are checked with them.
    """
    from headrace_cli.operations.linting import lint_file

    terminal = Terminal()
    with told(terminal):
        lint_file(filename, terminal)
