"""`headrace abort`."""

from __future__ import annotations

import typer

from headrace_cli.arguments import FlagCommand, RolloutNames
from headrace_cli.bus_options import BusOptions, Via, ViaOption, with_bus
from headrace_cli.session import Session, on_cluster


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("abort", cls=FlagCommand)(abort)


@on_cluster
@with_bus
async def abort(
    session: Session, bus: BusOptions, names: RolloutNames, via: ViaOption = Via.KUBERNETES
) -> None:
    """Take all traffic back to the stable version.

    The new version is scaled down; retry begins again, undo or another image ends the abort.
    """
    from headrace_cli.operations import changes, ways

    way = ways.choose(session, via, bus)
    for name in names:
        await changes.abort(session, way, name)
