"""`headrace terminate`."""

from __future__ import annotations

import typer

from headrace_cli.arguments import (
    AnalysisRunNames,
    ExperimentNames,
    FlagCommand,
    FlagGroup,
    group_of,
)
from headrace_cli.session import Session, on_cluster


class _Group(FlagGroup):
    aliases = {  # noqa: RUF012 - constant
        "ar": "analysisrun",
        "analysisruns": "analysisrun",
        "exp": "experiment",
        "experiments": "experiment",
    }


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = group_of(_Group)
    group.command("analysisrun", cls=FlagCommand)(analysisrun)
    group.command("experiment", cls=FlagCommand)(experiment)
    app.add_typer(group, name="terminate", help="End AnalysisRuns or Experiments now.")


@on_cluster
async def analysisrun(session: Session, names: AnalysisRunNames) -> None:
    """End AnalysisRuns now."""
    from headrace_cli.operations import patching

    for name in names:
        await patching.terminate_analysis_run(session, name)


@on_cluster
async def experiment(session: Session, names: ExperimentNames) -> None:
    """End Experiments now."""
    from headrace_cli.operations import patching

    for name in names:
        await patching.terminate_experiment(session, name)
