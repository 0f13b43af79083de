"""Names of objects for the shell's completion."""

from __future__ import annotations

import asyncio
from typing import Final

import typer

from headrace.errors import RolloutError
from headrace.kubernetes.resources import Resource
from headrace.runtime.cluster import Selection
from headrace_cli.failures import Failure
from headrace_cli.output import Terminal
from headrace_cli.session import open_session
from headrace_cli.target import Target
from headrace_cli.views.objects import name_of

_SECONDS_MAX: Final = 3.0
"""A shell that waits longer for its completion is worse than none."""


def names(context: typer.Context, resource: Resource, incomplete: str) -> list[str]:
    """Return the names that begin so; none when the cluster does not answer in time."""
    try:
        found = asyncio.run(_list(_target(context), resource))
    except (Failure, RolloutError, TimeoutError):
        return []
    return [name for name in found if name.startswith(incomplete)]


async def _list(target: Target, resource: Resource) -> list[str]:
    async with asyncio.timeout(_SECONDS_MAX):
        session = await open_session(target, Terminal())
        try:
            listing = await session.cluster.list(resource, Selection(session.namespace))
        finally:
            await session.cluster.close()
    return sorted(name_of(item) for item in listing.items)


def _target(context: typer.Context) -> Target:
    """Return the flags of the command, of its group and of all, the nearest first."""
    target, outer = Target.of(context.params), context.parent
    while outer is not None:
        target, outer = target.over(Target.of(outer.params)), outer.parent
    return target
