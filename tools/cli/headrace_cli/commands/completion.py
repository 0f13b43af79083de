"""`headrace completion`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer
from typer import completion as typer_completion

from headrace_cli.arguments import FlagCommand
from headrace_cli.output import Terminal

VARIABLE: Final = "_HEADRACE_COMPLETE"
"""Set by the shell's script when it asks for completions."""

NO_FILES: Final = ":4"
FILES: Final = ":0"
"""What kubectl's shell script does after the words: nothing, or offer the files of the folder."""


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
    script = typer_completion.get_completion_script(  # type: ignore[attr-defined]
        prog_name="headrace", complete_var=VARIABLE, shell=shell.value
    )
    Terminal().print(script)


def enable() -> None:
    """Let the shell's script ask this process for completions."""
    typer_completion.completion_init()  # type: ignore[attr-defined]
