"""How arguments are read: as kubectl reads them, on top of typer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from headrace_cli.target import within_group

_TRUE: Final = ("true", "t", "1", "TRUE", "True", "T")
_FALSE: Final = ("false", "f", "0", "FALSE", "False", "F")


class FlagCommand(TyperCommand):
    """A command whose flags may be written `--watch=false` and `-n=demo`, as those of kubectl."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        return super().parse_args(ctx, plain_flags(args, self.params))


class FlagGroup(TyperGroup):
    """A group whose commands have other names, too, and perhaps one that may be left out.

    Subclasses say which.
    """

    aliases: Mapping[str, str] = {}
    default_command: str | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments before the command."""
        # Flags of the command that is left out are for that one.
        ctx.ignore_unknown_options = self.default_command is not None
        return super().parse_args(ctx, plain_flags(args, self.params))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that is meant."""
        name = self.aliases.get(args[0], args[0])
        if self.default_command is not None and name not in self.commands:
            return super().resolve_command(ctx, [self.default_command, *args])
        return super().resolve_command(ctx, [name, *args[1:]])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return the commands, and what the one that may be left out takes in their place."""
        found = list(super().shell_complete(ctx, incomplete))
        default = self.commands.get(self.default_command or "")
        if default is not None:
            found += default.params[0].shell_complete(ctx, incomplete)
        return found


def group_of(cls: type[FlagGroup]) -> typer.Typer:
    """Return an empty group of commands of a cluster."""
    group = typer.Typer(cls=cls, no_args_is_help=True, rich_markup_mode=None)
    group.callback()(within_group)
    return group


class Misuse(typer.BadParameter):
    """Arguments that do not go together; told in its own words, below the usage."""

    def format_message(self) -> str:
        """Return the words."""
        return self.message


def plain_flags(args: Sequence[str], params: Sequence[Any]) -> list[str]:
    """Return arguments as typer reads them.

    No switch has a value, `--watch=false` is `--no-watch`; and the value of a letter is an
    argument of its own, `-n=demo` is `-n demo`.
    """
    switches: dict[str, tuple[str | None, str | None]] = {}
    letters: set[str] = set()
    for param in params:
        if getattr(param, "is_flag", False):
            negative = next((opt for opt in param.secondary_opts), None)
            for opt in param.opts:
                switches[opt] = (opt, negative)
        else:
            letters.update(opt for opt in param.opts if len(opt) == 2 and opt[0] == "-")
    plain: list[str] = []
    for position, arg in enumerate(args):
        if arg == "--":
            return [*plain, *args[position:]]
        name, is_assigned, value = arg.partition("=")
        if is_assigned and name in switches and value in (*_TRUE, *_FALSE):
            chosen = switches[name][0 if value in _TRUE else 1]
            plain += [chosen] if chosen is not None else []
        elif is_assigned and name in letters:
            plain += [name, value]
        else:
            plain.append(arg)
    return plain


def complete_rollout(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of Rollouts for the shell's completion."""
    from headrace.kubernetes.resources import ROLLOUTS
    from headrace_cli.operations.completing import names

    return names(ctx, ROLLOUTS, incomplete)


def complete_experiment(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of Experiments for the shell's completion."""
    from headrace.kubernetes.resources import EXPERIMENTS
    from headrace_cli.operations.completing import names

    return names(ctx, EXPERIMENTS, incomplete)


def complete_analysis_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of AnalysisRuns for the shell's completion."""
    from headrace.kubernetes.resources import ANALYSIS_RUNS
    from headrace_cli.operations.completing import names

    return names(ctx, ANALYSIS_RUNS, incomplete)


RolloutName = Annotated[
    str,
    typer.Argument(metavar="ROLLOUT", help="Name of a Rollout.", autocompletion=complete_rollout),
]
RolloutNames = Annotated[
    list[str],
    typer.Argument(metavar="ROLLOUT", help="Names of Rollouts.", autocompletion=complete_rollout),
]
ExperimentName = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT", help="Name of an Experiment.", autocompletion=complete_experiment
    ),
]
ExperimentNames = Annotated[
    list[str],
    typer.Argument(
        metavar="EXPERIMENT", help="Names of Experiments.", autocompletion=complete_experiment
    ),
]
AnalysisRunNames = Annotated[
    list[str],
    typer.Argument(
        metavar="ANALYSISRUN",
        help="Names of AnalysisRuns.",
        autocompletion=complete_analysis_run,
    ),
]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on and show each change.")]
NoColor = Annotated[
    bool, typer.Option("--no-color", help="No colours, even on a terminal (also NO_COLOR).")
]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")]
