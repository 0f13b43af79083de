"""`headrace events`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from headrace_cli.arguments import AllNamespaces, FlagCommand, complete_rollout
from headrace_cli.bus_options import BusOptions, with_bus
from headrace_cli.durations import duration, seconds_of
from headrace_cli.session import Session, on_cluster


class Form(StrEnum):
    """How events are printed."""

    TEXT = "text"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("events", cls=FlagCommand)(events)


@on_cluster
@with_bus
async def events(
    session: Session,
    bus: BusOptions,
    name: Annotated[
        str,
        typer.Argument(
            metavar="ROLLOUT",
            help="Name of a Rollout; default: all of the namespace.",
            autocompletion=complete_rollout,
        ),
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the output.")] = Form.TEXT,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="DURATION",
            help="How far back; 0: all there is.",
            callback=duration,
        ),
    ] = "24h",
    all_namespaces: AllNamespaces = False,
) -> None:
    """Show what happened, and what caused it.

    From commands to traffic: each event stands below its cause.

    Events come from Kafka where --bootstrap-servers or HEADRACE_BOOTSTRAP_SERVERS says where it
    is; else from what the Rollouts remember (their last ten transitions and newest route) and
    from Kubernetes Events.
    """
    from headrace_cli.operations.events import EventQuery, show_events

    age = seconds_of(since)
    query = EventQuery(
        name=name,
        is_everywhere=all_namespaces,
        since=session.clock.now() - age if age else 0.0,
        is_followed=follow,
        is_json=output is Form.JSON,
    )
    await show_events(session, query, bus)
