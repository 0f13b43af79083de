"""`headrace restart`."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace_cli.arguments import FlagCommand, RolloutName
from headrace_cli.bus_options import BusOptions, Via, ViaOption, with_bus
from headrace_cli.durations import duration, seconds_of
from headrace_cli.session import Session, on_cluster


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("restart", cls=FlagCommand)(restart)


@on_cluster
@with_bus
async def restart(
    session: Session,
    bus: BusOptions,
    name: RolloutName,
    delay: Annotated[
        str,
        typer.Option(
            "--in",
            "-i",
            metavar="DURATION",
            help="Wait so long first, as 10s.",
            callback=duration,
        ),
    ] = "0s",
    via: ViaOption = Via.KUBERNETES,
) -> None:
    """Replace all pods, a few at a time."""
    from headrace_cli.operations import changes, ways

    way = ways.choose(session, via, bus)
    await changes.restart(session, way, name, delay=delay, seconds=seconds_of(delay))
