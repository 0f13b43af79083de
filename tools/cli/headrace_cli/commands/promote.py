"""`headrace promote`."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace_cli.arguments import FlagCommand, Misuse, RolloutName
from headrace_cli.bus_options import BusOptions, Via, ViaOption, with_bus
from headrace_cli.session import Session, on_cluster


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("promote", cls=FlagCommand)(promote)


def _alone(context: typer.Context, is_wanted: bool) -> bool:
    """Refuse one of the flags that skip when the other was given before it."""
    others = (context.params.get("skip_current_step"), context.params.get("skip_all_steps"))
    if is_wanted and any(others):
        raise Misuse("Cannot use skip-current-step and skip-all-steps flags at the same time")
    return is_wanted


@on_cluster
@with_bus
async def promote(
    session: Session,
    bus: BusOptions,
    name: RolloutName,
    full: Annotated[
        bool, typer.Option("--full", help="Skip all steps, pauses and analyses that are left.")
    ] = False,
    skip_current_step: Annotated[
        bool,
        typer.Option(
            "--skip-current-step", "-c", help="Skip only this step (deprecated).", callback=_alone
        ),
    ] = False,
    skip_all_steps: Annotated[
        bool,
        typer.Option(
            "--skip-all-steps", "-a", help="Skip all steps (deprecated).", callback=_alone
        ),
    ] = False,
    via: ViaOption = Via.KUBERNETES,
) -> None:
    """Move a Rollout past its pause or step."""
    from headrace_cli.operations import changes, ways

    way = ways.choose(session, via, bus)
    if skip_current_step or skip_all_steps:
        await changes.skip(session, way, name, all_steps=skip_all_steps)
    else:
        await changes.promote(session, way, name, full=full)
