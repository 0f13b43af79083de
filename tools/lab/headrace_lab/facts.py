"""What may never be on the bus: a fact under two ids, or two facts under one.

Events may be repeated, late or out of order; what they say may not change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from headrace_lab.records import Record

_IDENTITY: Final = {
    "headrace.route.requested.v1": ("epoch", "route.renewal"),
    "headrace.route.applied.v1": ("epoch", "level"),
    "headrace.route.drifted.v1": ("resourceVersion",),
    "headrace.analysis.requested.v1": ("runUid",),
    "headrace.analysis.measured.v1": ("runUid", "metric", "index"),
    "headrace.analysis.judged.v1": ("runUid",),
    "headrace.step.entered.v1": ("epoch", "ordinal"),
    "headrace.step.completed.v1": ("epoch", "ordinal"),
}
"""What tells facts of one type and Rollout apart; of all other types it is the ordinal."""

_ONCE: Final = {
    "headrace.rollout.updated.v1": ("revision", "podHash"),
    "headrace.rollout.promoted.v1": ("revision", "podHash"),
    "headrace.analysis.judged.v1": ("run",),
}
"""What happens only once in the life of a revision that nobody aborted or retried."""


def doubled_facts(records: Iterable[Record]) -> list[str]:
    """Return what is said under more than one id, and ids that say more than one thing."""
    said = list(records)
    found = _doubled(said, _IDENTITY, "has the ids")
    things = defaultdict(set)
    for record in said:
        if record.type in _IDENTITY or "ordinal" in record.payload:
            things[record.id].add((record.type, _identity(record)))
    found += [f"{id} says {sorted(each)}" for id, each in things.items() if len(each) > 1]
    return found


def repeated_steps(records: Iterable[Record]) -> list[str]:
    """Return steps, updates and verdicts that happened twice.

    For a release that was neither aborted nor retried: each revision goes through each step once.
    """
    steps = {
        f"headrace.step.{what}.v1": ("revision", "podHash", "step")
        for what in ("entered", "completed")
    }
    return _doubled(list(records), {**_ONCE, **steps}, "happened as")


def _doubled(records: list[Record], fields: dict[str, tuple[str, ...]], what: str) -> list[str]:
    ids: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for record in records:
        if record.type in fields:
            values = (str(_field(record.payload, name)) for name in fields[record.type])
            ids[(record.type, str(record.payload.get("uid")), *values)].add(record.id)
    return [
        f"{' '.join(fact)} {what} {sorted(each)}" for fact, each in ids.items() if len(each) > 1
    ]


def _identity(record: Record) -> str:
    names = _IDENTITY.get(record.type, ("ordinal",))
    return " ".join(str(_field(record.payload, name)) for name in names)


def _field(payload: dict[str, Any], path: str) -> Any:
    value: Any = payload
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
