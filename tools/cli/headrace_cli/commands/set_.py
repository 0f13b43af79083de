"""`headrace set`."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace_cli.arguments import FlagCommand, FlagGroup, RolloutName, group_of
from headrace_cli.bus_options import BusOptions, Via, ViaOption, with_bus
from headrace_cli.session import Session, on_cluster


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = group_of(FlagGroup)
    group.command("image", cls=FlagCommand)(image)
    app.add_typer(group, name="set", help="Change a Rollout: release an image.")


def _assignment(text: str) -> str:
    container, _, image = text.partition("=")
    if text.count("=") != 1 or not container or not image:
        raise typer.BadParameter(f"{text!r} is not CONTAINER=IMAGE")
    return text


@on_cluster
@with_bus
async def image(
    session: Session,
    bus: BusOptions,
    name: RolloutName,
    assignment: Annotated[
        str,
        typer.Argument(
            metavar="CONTAINER=IMAGE",
            help="The container (* for all) and its image.",
            callback=_assignment,
        ),
    ],
    via: ViaOption = Via.KUBERNETES,
) -> None:
    """Give a container another image.

    That releases a new version.
    """
    container, _, new_image = assignment.partition("=")
    from headrace_cli.operations import changes, ways

    await changes.set_image(session, ways.choose(session, via, bus), name, container, new_image)
