"""The state of one evaluation, which the compiled code passes along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from headrace.expression.limits import Budget
from headrace.expression.values import Value


class Elements(Protocol):
    """What a loop goes over."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Value: ...


@dataclass(slots=True)
class Scope:
    """Where a loop over a collection stands: what ``#``, ``#index`` and ``#acc`` mean."""

    elements: Elements
    index: int = 0
    accumulator: Value = None


@dataclass(slots=True)
class Evaluation:
    """One evaluation. ``now`` is in seconds since the Unix epoch."""

    environment: Mapping[str, Value]
    now: float
    variables: list[Value]
    budget: Budget = field(default_factory=Budget)
    scope: Scope | None = None


Code: TypeAlias = Callable[[Evaluation], Value]
"""A compiled node."""
