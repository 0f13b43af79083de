"""`headrace status`."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace_cli.arguments import FlagCommand, RolloutName
from headrace_cli.durations import duration, seconds_of
from headrace_cli.session import Session, on_cluster


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", cls=FlagCommand)(status)


@on_cluster
async def status(
    session: Session,
    name: RolloutName,
    watch: Annotated[
        bool, typer.Option("--watch/--no-watch", "-w", help="Wait until it is healthy or degraded.")
    ] = True,
    longest: Annotated[
        str,
        typer.Option(
            "--timeout",
            "-t",
            metavar="DURATION",
            help="Wait no longer than this; 0: for ever.",
            callback=duration,
        ),
    ] = "0",
) -> None:
    """Show the phase of a Rollout until it ends.

    For scripts: a watch ends with exit code 0 when the Rollout is healthy, with another when it
    is degraded or not healthy in time.
    """
    from headrace_cli.operations import status as operation

    seconds = seconds_of(longest)
    if watch:
        await operation.await_phase(session, name, seconds or None)
    else:
        await operation.print_phase(session, name)
