"""`list`: the Rollouts or Experiments of a namespace or of all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from headrace.kubernetes.resources import EXPERIMENTS, ROLLOUTS, Manifest, Resource
from headrace.runtime.cluster import Selection
from headrace_cli.failures import about
from headrace_cli.operations.following import follow
from headrace_cli.session import Session
from headrace_cli.views.listing import (
    RolloutTable,
    experiment_columns,
    experiment_row,
    rollout_cells,
)
from headrace_cli.views.objects import name_of, text

_NOTHING: Final = "No resources found."


async def list_rollouts(session: Session, layout: RolloutTable, *, name: str = "") -> None:
    """Print the Rollouts.

    Args:
        session: Where.
        layout: Which columns; with a namespace column all namespaces are listed.
        name: Only the one of this name; empty for all.
    """
    rollouts = await _list(session, ROLLOUTS, _selection(session, layout, name))
    if not rollouts:
        session.terminal.complain(_NOTHING)
        return
    _Changes(session, layout).print(rollouts)


async def watch_rollouts(session: Session, layout: RolloutTable, *, name: str = "") -> None:
    """Print the Rollouts, then each again whose line has changed, until the user ends it."""
    changes = _Changes(session, layout)
    selection = _selection(session, layout, name)
    async with follow(session.cluster, {ROLLOUTS: selection}) as followed:
        while True:
            changes.print(followed.all(ROLLOUTS))
            await followed.wait()


async def list_experiments(session: Session, *, is_everywhere: bool) -> None:
    """Print the Experiments of the namespace, or of all."""
    selection = Selection(None if is_everywhere else session.namespace)
    experiments = await _list(session, EXPERIMENTS, selection)
    if not experiments:
        session.terminal.complain(_NOTHING)
        return
    columns = experiment_columns(with_namespace=is_everywhere)
    now = session.clock.now()
    rows = [
        experiment_row(each, now, with_namespace=is_everywhere)
        for each in sorted(experiments, key=_place)
    ]
    lines = columns.lines(rows)
    session.terminal.print(columns.heading(), *lines)


class _Changes:
    """Prints the lines that differ from what was printed before."""

    def __init__(self, session: Session, layout: RolloutTable) -> None:
        self._session = session
        self._layout = layout
        self._columns = layout.columns()
        self._shown: dict[tuple[str, str], tuple[str, ...]] = {}

    def print(self, rollouts: Iterable[Manifest]) -> None:
        """Print what is new, under a heading the first time."""
        now = self._session.clock.now()
        is_first = not self._shown
        rows = []
        for rollout in sorted(rollouts, key=_place):
            cells = rollout_cells(rollout)
            if self._shown.get(_place(rollout)) != cells:
                self._shown[_place(rollout)] = cells
                rows.append(self._layout.row(rollout, now))
        lines = self._columns.lines(rows)
        if is_first and lines:
            self._session.terminal.print(self._columns.heading())
        self._session.terminal.print(*lines)


async def _list(session: Session, resource: Resource, selection: Selection) -> Iterable[Manifest]:
    with about(resource.plural):
        return (await session.cluster.list(resource, selection)).items


def _selection(session: Session, layout: RolloutTable, name: str) -> Selection:
    namespace = None if layout.with_namespace else session.namespace
    return Selection(namespace, fields=f"metadata.name={name}" if name else "")


def _place(manifest: Manifest) -> tuple[str, str]:
    return text(manifest, "metadata", "namespace"), name_of(manifest)
