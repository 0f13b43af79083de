"""`plan`: how an update would go, as a table of moments (what is assumed is marked)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from headrace_cli.durations import human_duration
from headrace_cli.output import PLAIN, Cell, Colour, Palette, table
from headrace_rehearsal.rehearse import Moment, Rehearsal

_HEADING: Final = ("AT", "NEW", "OLD", "EXPERIMENT", "WEIGHT", "WHAT")
_EXPERIMENT: Final = _HEADING.index("EXPERIMENT")
_COLOURS: Final = {
    "RolloutStepCompleted": Colour.GREEN,
    "RolloutCompleted": Colour.GREEN,
    "RolloutPaused": Colour.YELLOW,
}
_STOOD_IN: Final = {
    "person": "a person promotes at once",
    "analysis": "an analysis succeeds at once",
    "experiment": "a person ends an experiment that has no end of its own",
    "step plugin": "the worker of a step plugin succeeds at once",
}
_VERBS: Final = {"create": "created", "delete": "deleted", "patch": "changed", "update": "changed"}


def lines(rehearsal: Rehearsal, palette: Palette = PLAIN) -> list[str]:
    """Return a rehearsal for people.

    Args:
        rehearsal: What to show.
        palette: For the colours.
    """
    rows = [[Cell(title) for title in _HEADING], *map(_row, rehearsal.moments)]
    if not any(moment.experiment for moment in rehearsal.moments):
        rows = [row[:_EXPERIMENT] + row[_EXPERIMENT + 1 :] for row in rows]
    return [
        f"Update of Rollout {rehearsal.key} from another version to the one of the files.",
        "",
        *table(rows, palette),
        "",
        f"Takes at least {human_duration(rehearsal.least_seconds)}: pods are ready at once, and "
        "routes apply at once.",
        *_assumptions(rehearsal),
        "",
        "Objects written:",
        *(f"  {line}" for line in _writes(rehearsal)),
    ]


def _row(moment: Moment) -> list[Cell]:
    colour = Colour.BLUE if moment.is_assumed else _COLOURS.get(moment.reason)
    mark = "⚑ " if moment.is_assumed else ""
    return [
        Cell(human_duration(moment.seconds)),
        Cell(str(moment.new)),
        Cell(str(moment.old)),
        Cell(str(moment.experiment)),
        Cell(_weight(moment)),
        Cell.of((f"{mark}{moment.reason}", colour), (f": {moment.message}", None)),
    ]


def _weight(moment: Moment) -> str:
    """Return the weight of the canary, with that of an Experiment beside it: `20+5`."""
    if moment.weight is None:
        return "-"
    return f"{moment.weight}+{moment.additional}" if moment.additional else str(moment.weight)


def _assumptions(rehearsal: Rehearsal) -> Iterator[str]:
    for what, times in rehearsal.assumed.items():
        often = "once" if times == 1 else f"{times} times"
        yield f"Assumed (⚑): {_STOOD_IN[what]}, {often}."
    if rehearsal.made_up:
        yield f"Not in the files, made up: {', '.join(rehearsal.made_up)}."


def _writes(rehearsal: Rehearsal) -> list[str]:
    """Return a line for each object, in the order in which they are first written."""
    objects: dict[str, list[str]] = {}
    for (verb, resource, name), times in rehearsal.writes.items():
        often = "" if times == 1 else f" {times} times"
        objects.setdefault(f"{resource} {name}", []).append(f"{_VERBS[verb]}{often}")
    return [f"{name}: {', '.join(done)}" for name, done in objects.items()]


def document(rehearsal: Rehearsal) -> dict[str, Any]:
    """Return the same as a JSON document."""
    return {
        "rollout": rehearsal.key,
        "leastSeconds": rehearsal.least_seconds,
        "moments": [
            {
                "seconds": moment.seconds,
                "reason": moment.reason,
                "message": moment.message,
                "pods": {
                    "new": moment.new,
                    "old": moment.old,
                    "experiment": moment.experiment,
                },
                "weight": moment.weight,
                "split": dict(moment.split),
                "services": dict(moment.selects),
                "assumed": moment.is_assumed,
            }
            for moment in rehearsal.moments
        ],
        "writes": [
            {"verb": verb, "resource": resource, "name": name, "times": times}
            for (verb, resource, name), times in rehearsal.writes.items()
        ],
        "madeUp": rehearsal.made_up,
        "assumed": dict(rehearsal.assumed),
    }
