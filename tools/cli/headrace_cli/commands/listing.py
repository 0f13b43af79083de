"""`headrace list`."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace_cli.arguments import (
    AllNamespaces,
    FlagCommand,
    FlagGroup,
    Watch,
    complete_rollout,
    group_of,
)
from headrace_cli.session import Session, on_cluster


class _Group(FlagGroup):
    aliases = {  # noqa: RUF012 - constant
        "ro": "rollouts",
        "rollout": "rollouts",
        "exp": "experiments",
        "experiment": "experiments",
    }


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = group_of(_Group)
    group.command("rollouts", cls=FlagCommand)(rollouts)
    group.command("experiments", cls=FlagCommand)(experiments)
    app.add_typer(group, name="list", help="List Rollouts or Experiments.")


@on_cluster
async def rollouts(
    session: Session,
    name: Annotated[
        str,
        typer.Option("--name", help="Only this Rollout.", autocompletion=complete_rollout),
    ] = "",
    all_namespaces: AllNamespaces = False,
    watch: Watch = False,
    timestamps: Annotated[
        bool, typer.Option("--timestamps", help="Lead each line with the time.")
    ] = False,
) -> None:
    """List Rollouts, one line each."""
    from headrace_cli.operations import listing
    from headrace_cli.views.listing import RolloutTable

    layout = RolloutTable(with_namespace=all_namespaces, with_time=timestamps)
    if watch:
        await listing.watch_rollouts(session, layout, name=name)
    else:
        await listing.list_rollouts(session, layout, name=name)


@on_cluster
async def experiments(session: Session, all_namespaces: AllNamespaces = False) -> None:
    """List Experiments, one line each."""
    from headrace_cli.operations import listing

    await listing.list_experiments(session, is_everywhere=all_namespaces)
