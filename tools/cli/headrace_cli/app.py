"""The tree of commands."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from headrace_cli.arguments import FlagGroup
from headrace_cli.commands import (
    abort,
    completion,
    events,
    explain,
    get,
    lint,
    listing,
    pause,
    plan,
    promote,
    restart,
    retry,
    set_,
    status,
    terminate,
    undo,
    version,
)
from headrace_cli.target import Target, taking_flags

_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_ORDER: Final = (
    *("get", "list", "status", "explain", "events"),
    *("set", "promote", "pause", "abort", "retry", "undo", "restart", "terminate"),
    *("lint", "plan", "version", "completion"),
)


class _Root(FlagGroup):
    """Lists the commands in the order in which they are needed, groups among them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names for the help."""
        return [name for name in _ORDER if name in self.commands]


def build() -> typer.Typer:
    """Return the command line."""
    app = typer.Typer(
        name="headrace",
        cls=_Root,
        help="Release new versions step by step; see how far they are, promote, abort, go back.",
        context_settings=_SETTINGS,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(_everywhere)
    for module in (
        get,
        listing,
        status,
        explain,
        promote,
        abort,
        retry,
        undo,
        pause,
        restart,
        set_,
        terminate,
        events,
        lint,
        plan,
        version,
        completion,
    ):
        module.register(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        version.show(short=True)
        raise typer.Exit


@taking_flags
def _everywhere(
    context: typer.Context,
    *,
    _: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
    **arguments: Any,
) -> None:
    context.obj = Target.of(arguments)
