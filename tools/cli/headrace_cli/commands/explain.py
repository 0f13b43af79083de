"""`headrace explain`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from headrace_cli.arguments import FlagCommand, NoColor, RolloutName
from headrace_cli.session import Session, on_cluster


class Form(StrEnum):
    """How the answers are printed."""

    TEXT = "text"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain", cls=FlagCommand)(explain)


@on_cluster
async def explain(
    session: Session,
    name: RolloutName,
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the output.")] = Form.TEXT,
    no_color: NoColor = False,
) -> None:
    """Say why a Rollout is where it is.

    What it waits for and since when, what will end the wait, when it is looked at next, and the
    story of its last decisions, each below its cause.
    """
    from headrace_cli.operations import explaining

    await explaining.explain(session, name, is_json=output is Form.JSON, no_color=no_color)
