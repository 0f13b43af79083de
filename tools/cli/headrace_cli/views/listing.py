"""`list rollouts` and `list experiments`: one line each (cli-and-clients 2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace.kubernetes.resources import Manifest
from headrace.model.meta import format_time
from headrace.model.quantities import Instant, parse_duration
from headrace_cli.durations import human_duration
from headrace_cli.views.objects import count, created_at, name_of, section, text, time_of
from headrace_cli.views.phase import desired_replicas, phase_of
from headrace_cli.views.weights import set_weight, step_text, strategy_of

_ROLLOUT_COLUMNS: Final = (
    ("NAME", 10),
    ("STRATEGY", 9),
    ("STATUS", 12),
    ("STEP", 4),
    ("SET-WEIGHT", 10),
    ("READY", 5),
    ("DESIRED", 7),
    ("UP-TO-DATE", 10),
    ("AVAILABLE", 9),
)
"""Headings and least widths: room for what a watch may bring later."""

_EXPERIMENT_COLUMNS: Final = (
    ("NAME", 0),
    ("STATUS", 0),
    ("DURATION", 0),
    ("REMAINING", 0),
    ("AGE", 0),
)
_ENDED: Final = ("Successful", "Failed", "Error", "Inconclusive")
_GAP: Final = "  "


@dataclass(slots=True)
class Columns:
    """Columns that keep their widths, so that lines which come later stand below the first.

    Attributes:
        titles: Headings.
        widths: Least widths; they grow with what is shown.
    """

    titles: Sequence[str]
    widths: list[int]

    @classmethod
    def of(cls, chosen: Sequence[tuple[str, int]]) -> Columns:
        """Return columns of these headings and least widths."""
        return cls([title for title, _ in chosen], [width for _, width in chosen])

    def heading(self) -> str:
        """Return the line of the headings."""
        return self._line(self.titles)

    def lines(self, rows: Sequence[Sequence[str]]) -> list[str]:
        """Return rows as lines, after widening the columns for them."""
        for row in (self.titles, *rows):
            self.widths = [max(w, len(text)) for w, text in zip(self.widths, row, strict=True)]
        return [self._line(row) for row in rows]

    def _line(self, row: Sequence[str]) -> str:
        padded = (
            text.ljust(width)
            for text, width in zip(row, self.widths or [0] * len(row), strict=True)
        )
        return _GAP.join(padded).rstrip()


@dataclass(frozen=True, slots=True)
class RolloutTable:
    """How Rollouts are listed.

    Attributes:
        with_namespace: Lead with the namespace.
        with_time: Lead with the time of the line.
    """

    with_namespace: bool = False
    with_time: bool = False

    def columns(self) -> Columns:
        """Return the columns."""
        leading = [
            *([("TIMESTAMP", 20)] if self.with_time else []),
            *([("NAMESPACE", 9)] if self.with_namespace else []),
        ]
        chosen = [*leading, *_ROLLOUT_COLUMNS]
        return Columns.of(chosen)

    def row(self, rollout: Manifest, now: Instant) -> tuple[str, ...]:
        """Return the cells of a Rollout."""
        return (
            *((format_time(now),) if self.with_time else ()),
            *((text(rollout, "metadata", "namespace"),) if self.with_namespace else ()),
            *rollout_cells(rollout),
        )


def rollout_cells(rollout: Manifest) -> tuple[str, ...]:
    """Return what is listed of a Rollout, from NAME to AVAILABLE."""
    strategy = strategy_of(rollout)
    ready = count(rollout, "status", "readyReplicas")
    return (
        name_of(rollout),
        strategy,
        phase_of(rollout).name,
        step_text(rollout) or "-",
        str(set_weight(rollout)) if strategy == "Canary" else "-",
        f"{ready}/{count(rollout, 'status', 'replicas')}",
        str(desired_replicas(rollout)),
        str(count(rollout, "status", "updatedReplicas")),
        str(count(rollout, "status", "availableReplicas")),
    )


def experiment_columns(*, with_namespace: bool) -> Columns:
    """Return the columns of a list of Experiments."""
    chosen = [*([("NAMESPACE", 0)] if with_namespace else []), *_EXPERIMENT_COLUMNS]
    return Columns.of(chosen)


def experiment_row(
    experiment: Manifest, now: Instant, *, with_namespace: bool = False
) -> tuple[str, ...]:
    """Return what is listed of an Experiment."""
    created = created_at(experiment)
    return (
        *((text(experiment, "metadata", "namespace"),) if with_namespace else ()),
        name_of(experiment),
        text(experiment, "status", "phase") or "-",
        text(experiment, "spec", "duration") or "-",
        _remaining(experiment, now),
        "-" if created is None else human_duration(now - created),
    )


def _remaining(experiment: Manifest, now: Instant) -> str:
    available = time_of(text(experiment, "status", "availableAt"))
    duration = section(experiment, "spec").get("duration")
    if available is None or not duration or text(experiment, "status", "phase") in _ENDED:
        return "-"
    try:
        left = available + parse_duration(str(duration)) - now
    except ValueError:
        return "-"
    return human_duration(max(left, 0.0))
