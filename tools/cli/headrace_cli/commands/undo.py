"""`headrace undo`."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace_cli.arguments import FlagCommand, RolloutName
from headrace_cli.bus_options import BusOptions, Via, ViaOption, with_bus
from headrace_cli.session import Session, on_cluster


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("undo", cls=FlagCommand)(undo)


@on_cluster
@with_bus
async def undo(
    session: Session,
    bus: BusOptions,
    name: RolloutName,
    to_revision: Annotated[
        int,
        typer.Option(
            "--to-revision", metavar="N", min=0, help="Revision to go to; 0: the one before."
        ),
    ] = 0,
    via: ViaOption = Via.KUBERNETES,
) -> None:
    """Go back to an earlier version."""
    from headrace_cli.operations import changes, ways

    await changes.undo(session, ways.choose(session, via, bus), name, to_revision)
