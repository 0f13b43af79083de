"""`headrace plan`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from headrace_cli.arguments import FlagCommand, NoColor
from headrace_cli.output import Terminal
from headrace_cli.session import told


class Form(StrEnum):
    """How the plan is printed."""

    TEXT = "text"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan", cls=FlagCommand)(plan)


def plan(
    filename: Annotated[
        list[Path],
        typer.Option(
            "--filename",
            "-f",
            metavar="FILE",
            help="YAML file, - for standard input; may be repeated.",
        ),
    ],
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the output.")] = Form.TEXT,
    no_color: NoColor = False,
) -> None:
    """Show how an update would go, without a cluster.

    The real engine runs on a cluster in memory and in virtual time: each step with its pods and
    its weight, the Services, the objects written, and the least time. Where it would wait for
    somebody, the plan goes on and marks it: a person promotes, analysis succeeds, the workers of
    step plugins are done. Experiments run for their duration.
    """
    from headrace_cli.operations import planning

    terminal = Terminal()
    with told(terminal):
        planning.plan(filename, terminal, is_json=output is Form.JSON, no_color=no_color)
