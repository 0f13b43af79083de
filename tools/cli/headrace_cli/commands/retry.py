"""`headrace retry`."""

from __future__ import annotations

import typer

from headrace_cli.arguments import ExperimentNames, FlagCommand, FlagGroup, RolloutNames, group_of
from headrace_cli.bus_options import BusOptions, Via, ViaOption, with_bus
from headrace_cli.session import Session, on_cluster


class _Group(FlagGroup):
    aliases = {  # noqa: RUF012 - constant
        "ro": "rollout",
        "rollouts": "rollout",
        "exp": "experiment",
        "experiments": "experiment",
    }
    default_command = "rollout"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = group_of(_Group)
    group.command("rollout", cls=FlagCommand)(rollout)
    group.command("experiment", cls=FlagCommand)(experiment)
    app.add_typer(group, name="retry", help="Begin an aborted Rollout again.")


@on_cluster
@with_bus
async def rollout(
    session: Session, bus: BusOptions, names: RolloutNames, via: ViaOption = Via.KUBERNETES
) -> None:
    """Begin aborted updates again; `retry NAME` is the same."""
    from headrace_cli.operations import changes, ways

    way = ways.choose(session, via, bus)
    for name in names:
        await changes.retry(session, way, name)


@on_cluster
async def experiment(session: Session, names: ExperimentNames) -> None:
    """Begin Experiments again."""
    from headrace_cli.operations import patching

    for name in names:
        await patching.retry_experiment(session, name)
