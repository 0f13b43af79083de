"""What goes wrong, and when: named ratios for chance, or a script of single faults.

Every place where something may go wrong asks `Faults.strikes`. By chance, the answer is drawn and
what strikes is noted with the number of the question; a script strikes at exactly the noted
questions. So a run by chance can be played again from its list, and the list made shorter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from random import Random
from typing import Any, Final, Self

_SIZE_MAX: Final = 0.9999
"""Sizes stand in files with four digits, and none is 1."""


class Kind(StrEnum):
    """The kinds of faults."""

    EVENT_LOSS = "event-loss"
    EVENT_DUPLICATE = "event-duplicate"
    EVENT_DELAY = "event-delay"
    WATCH_DELAY = "watch-delay"
    WATCH_GAP = "watch-gap"
    REQUEST_DELAY = "request-delay"
    REQUEST_ERROR = "request-error"
    ANSWER_LOSS = "answer-loss"
    CONFLICT = "conflict"
    CRASH = "crash"
    FREEZE = "freeze"
    PARTITION = "partition"
    BROKER_OUTAGE = "broker-outage"
    API_OUTAGE = "api-outage"
    METRICS_GAP = "metrics-gap"
    CALL_LOSS = "call-loss"
    CALL_DELAY = "call-delay"
    POD_DEATH = "pod-death"
    POD_SLOW = "pod-slow"
    POD_CRASH = "pod-crash"
    HAND_EDIT = "hand-edit"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a run.

    Attributes:
        kind: What goes wrong.
        where: Who is hit: a node, a kind of object, a Rollout.
        number: Which question of this kind and place, from 1.
        size: From 0, below 1; how long, how much or which, as the kind has it.
    """

    kind: Kind
    where: str
    number: int
    size: float

    def dump(self) -> list[Any]:
        """Return it for a file."""
        return [str(self.kind), self.where, self.number, self.size]

    @classmethod
    def load(cls, raw: list[Any]) -> Self:
        """Return what `dump` wrote."""
        kind, where, number, size = raw
        return cls(Kind(kind), str(where), int(number), float(size))


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How often what goes wrong, by chance: a ratio of the occasions, 0 to 1, and sizes.

    Occasions: a delivery to one service, a delivery to one cache, a request, a pass of a node, a
    tick of the world (once a second).
    """

    event_loss_ratio: float = 0.0
    event_duplicate_ratio: float = 0.0
    event_delay_ratio: float = 0.0
    watch_delay_ratio: float = 0.0
    watch_gap_ratio: float = 0.0
    request_delay_ratio: float = 0.0
    request_error_ratio: float = 0.0
    answer_loss_ratio: float = 0.0
    conflict_ratio: float = 0.0
    crash_ratio: float = 0.0
    freeze_ratio: float = 0.0
    partition_ratio: float = 0.0
    broker_outage_ratio: float = 0.0
    api_outage_ratio: float = 0.0
    metrics_gap_ratio: float = 0.0
    call_loss_ratio: float = 0.0
    call_delay_ratio: float = 0.0
    pod_death_ratio: float = 0.0
    pod_slow_ratio: float = 0.0
    pod_crash_ratio: float = 0.0
    hand_edit_ratio: float = 0.0
    user_ratio: float = 0.0
    clock_skew_seconds_max: float = 0.0

    def ratio(self, kind: Kind) -> float:
        """Return how often a kind strikes."""
        ratio: float = getattr(self, f"{kind.name.lower()}_ratio")
        return ratio

    def with_ratios(self, ratios: dict[str, float]) -> FaultPlan:
        """Return the plan with some numbers replaced. Raises ValueError for an unknown name."""
        unknown = ratios.keys() - {field.name for field in fields(self)}
        if unknown:
            raise ValueError(f"no such ratios: {', '.join(sorted(unknown))}")
        return replace(self, **ratios)


NONE = FaultPlan()

STORM = FaultPlan(
    event_loss_ratio=0.05,
    event_duplicate_ratio=0.1,
    event_delay_ratio=0.1,
    watch_delay_ratio=0.02,
    watch_gap_ratio=0.01,
    request_delay_ratio=0.05,
    request_error_ratio=0.02,
    answer_loss_ratio=0.01,
    conflict_ratio=0.02,
    crash_ratio=0.005,
    freeze_ratio=0.004,
    partition_ratio=0.004,
    broker_outage_ratio=0.004,
    api_outage_ratio=0.002,
    metrics_gap_ratio=0.05,
    call_loss_ratio=0.1,
    call_delay_ratio=0.1,
    pod_death_ratio=0.01,
    pod_slow_ratio=0.01,
    pod_crash_ratio=0.005,
    hand_edit_ratio=0.004,
    user_ratio=0.02,
    clock_skew_seconds_max=90.0,
)
"""What a hunt runs under."""


class Faults:
    """Decides at each occasion whether something goes wrong, and remembers what did.

    Args:
        plan: Ratios for chance; ignored with a script.
        rng: For chance.
        script: Exactly these faults and no others; None for chance.
    """

    def __init__(self, plan: FaultPlan, rng: Random, script: Iterable[Fault] | None = None) -> None:
        self.plan = plan
        self.is_over = False
        self.struck: list[Fault] = []
        self._rng = rng
        self._ratios = {kind: plan.ratio(kind) for kind in Kind}
        self._asked: Counter[tuple[Kind, str]] = Counter()
        self._script = None if script is None else {(f.kind, f.where, f.number): f for f in script}

    def strikes(self, kind: Kind, where: str) -> Fault | None:
        """Return the fault that strikes now, None when all is well."""
        if self.is_over:
            return None
        if self._script is None:
            ratio = self._ratios[kind]
            if not ratio:
                return None
            number = self._count(kind, where)
            if self._rng.random() >= ratio:
                return None
            size = min(round(self._rng.random(), 4), _SIZE_MAX)
            fault: Fault | None = Fault(kind, where, number, size)
        else:
            fault = self._script.get((kind, where, self._count(kind, where)))
        if fault is not None:
            self.struck.append(fault)
        return fault

    def counts(self) -> Counter[str]:
        """Return how often which kind struck."""
        return Counter(str(fault.kind) for fault in self.struck)

    def _count(self, kind: Kind, where: str) -> int:
        self._asked[kind, where] += 1
        return self._asked[kind, where]
