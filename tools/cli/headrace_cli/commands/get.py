"""`headrace get`."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace_cli.arguments import (
    ExperimentName,
    FlagCommand,
    FlagGroup,
    NoColor,
    RolloutName,
    Watch,
    group_of,
)
from headrace_cli.session import Session, on_cluster


class _Group(FlagGroup):
    aliases = {  # noqa: RUF012 - constant
        "ro": "rollout",
        "rollouts": "rollout",
        "exp": "experiment",
        "experiments": "experiment",
    }


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = group_of(_Group)
    group.command("rollout", cls=FlagCommand)(rollout)
    group.command("experiment", cls=FlagCommand)(experiment)
    app.add_typer(group, name="get", help="Show a Rollout or Experiment in full.")


@on_cluster
async def rollout(
    session: Session,
    name: RolloutName,
    watch: Watch = False,
    no_color: NoColor = False,
    timeout_seconds: Annotated[
        int,
        typer.Option(
            "--timeout-seconds", metavar="N", min=0, help="End a watch after so long; 0: never."
        ),
    ] = 0,
) -> None:
    """Show how far a Rollout is.

    With its ReplicaSets, pods, Experiments and AnalysisRuns.
    """
    from headrace.kubernetes.resources import ROLLOUTS
    from headrace_cli.operations import showing

    if watch:
        seconds = float(timeout_seconds) or None
        await showing.watch(session, ROLLOUTS, name, no_color=no_color, seconds=seconds)
    else:
        await showing.show(session, ROLLOUTS, name, no_color=no_color)


@on_cluster
async def experiment(
    session: Session, name: ExperimentName, watch: Watch = False, no_color: NoColor = False
) -> None:
    """Show an Experiment.

    With its ReplicaSets, pods and AnalysisRuns.
    """
    from headrace.kubernetes.resources import EXPERIMENTS
    from headrace_cli.operations import showing

    if watch:
        await showing.watch(session, EXPERIMENTS, name, no_color=no_color, seconds=None)
    else:
        await showing.show(session, EXPERIMENTS, name, no_color=no_color)
