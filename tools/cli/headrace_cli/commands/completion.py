"""`headrace completion`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from headrace_cli.arguments import FlagCommand
from headrace_cli.output import Terminal


class Shell(StrEnum):
    """Shells that we have a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("completion", cls=FlagCommand)(completion)


def completion(
    shell: Annotated[Shell, typer.Argument(help="Your shell.", metavar="SHELL")],
) -> None:
    """Print a script for the shell's completion.

    It completes commands, flags and the names of Rollouts. For this shell:
    source <(headrace completion bash). For all: write it to where your shell looks for
    completions.
    """
    script = get_completion_script(
        prog_name="headrace", complete_var="_HEADRACE_COMPLETE", shell=shell.value
    )
    Terminal().print(script)
