"""`get`: one Rollout or Experiment with all that belongs to it, once or again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    DEPLOYMENTS,
    EXPERIMENTS,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    Manifest,
    Resource,
)
from headrace.model.quantities import Instant
from headrace.runtime.cluster import Selection
from headrace_cli.failures import Failure
from headrace_cli.operations.following import Followed, follow
from headrace_cli.operations.naming import about_object, read, subject
from headrace_cli.output import Palette
from headrace_cli.session import Session
from headrace_cli.views.objects import Inventory, text
from headrace_cli.views.rollouts import experiment_lines, rollout_lines

_REDRAW_SECONDS_MIN: Final = 0.2
_AGE_SECONDS: Final = 1.0
"""How often a quiet screen is drawn again: ages grow."""

_PARTS: Final = (REPLICA_SETS, PODS, EXPERIMENTS, ANALYSIS_RUNS)

Render = Callable[[Manifest, Inventory, Instant, Palette], list[str]]


def _rollout(manifest: Manifest, inventory: Inventory, now: Instant, palette: Palette) -> list[str]:
    return rollout_lines(manifest, inventory, now=now, palette=palette)


def _experiment(
    manifest: Manifest, inventory: Inventory, now: Instant, palette: Palette
) -> list[str]:
    return experiment_lines(manifest, inventory, now=now, palette=palette)


_RENDERERS: Final[dict[Resource, Render]] = {ROLLOUTS: _rollout, EXPERIMENTS: _experiment}


async def show(session: Session, resource: Resource, name: str, *, no_color: bool) -> None:
    """Print a Rollout or Experiment once. Raises Failure."""
    manifest = await read(session, resource, name)
    await _check_workload(session, manifest)
    selection = Selection(session.namespace)
    with about_object(session, resource, name):
        lists = await asyncio.gather(*(session.cluster.list(part, selection) for part in _PARTS))
    inventory = Inventory(*(listing.items for listing in lists))
    palette = session.terminal.palette(no_color=no_color)
    lines = _RENDERERS[resource](manifest, inventory, session.clock.now(), palette)
    session.terminal.print(*lines)


async def watch(
    session: Session, resource: Resource, name: str, *, no_color: bool, seconds: float | None
) -> None:
    """Draw a Rollout or Experiment again whenever something of it changes.

    Args:
        session: Where.
        resource: Rollouts or Experiments.
        name: Of the object.
        no_color: True for no colours, even on a terminal.
        seconds: After which it ends; None for never.

    Raises:
        Failure: It does not exist (any more), or the API server stays away.
    """
    await _check_workload(session, await read(session, resource, name))
    palette = session.terminal.palette(no_color=no_color)
    screen = session.terminal.screen()
    ends_at = None if seconds is None else session.clock.monotonic() + seconds
    selections = dict.fromkeys((resource, *_PARTS), Selection(session.namespace))
    async with follow(session.cluster, selections) as followed:
        while ends_at is None or session.clock.monotonic() < ends_at:
            manifest = followed.store(resource).get(session.namespace, name)
            if manifest is None:
                raise Failure(f"{subject(session, resource, name)} was deleted")
            inventory = Inventory(*(followed.all(part) for part in _PARTS))
            screen.draw(_RENDERERS[resource](manifest, inventory, session.clock.now(), palette))
            await session.clock.sleep(_REDRAW_SECONDS_MIN)
            await _quiet(followed, session, ends_at)


async def _quiet(followed: Followed, session: Session, ends_at: float | None) -> None:
    left = _AGE_SECONDS - _REDRAW_SECONDS_MIN
    if ends_at is not None:
        left = min(left, max(ends_at - session.clock.monotonic(), 0.0))
    await followed.wait(left)


async def _check_workload(session: Session, manifest: Manifest) -> None:
    """Refuse a Rollout whose workload is missing: nothing of it can be shown."""
    name = text(manifest, "spec", "workloadRef", "name")
    if name:
        await read(session, DEPLOYMENTS, name)
