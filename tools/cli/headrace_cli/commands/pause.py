"""`headrace pause`."""

from __future__ import annotations

import typer

from headrace_cli.arguments import FlagCommand, RolloutNames
from headrace_cli.bus_options import BusOptions, Via, ViaOption, with_bus
from headrace_cli.session import Session, on_cluster


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pause", cls=FlagCommand)(pause)


@on_cluster
@with_bus
async def pause(
    session: Session, bus: BusOptions, names: RolloutNames, via: ViaOption = Via.KUBERNETES
) -> None:
    """Hold Rollouts where they are.

    promote lets them go on.
    """
    from headrace_cli.operations import changes, ways

    way = ways.choose(session, via, bus)
    for name in names:
        await changes.pause(session, way, name)
