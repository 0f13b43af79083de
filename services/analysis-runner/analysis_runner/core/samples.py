"""What a metric provider answers; judged by `judge`, never by the provider itself.

Most providers give samples, on which the conditions of the metric decide. Some judge by
themselves (a Job succeeds or fails), and some take longer than one request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from headrace.errors import PermanentError
from headrace.expression.values import Value
from headrace.model.analysis import AnalysisPhase
from headrace.model.quantities import Instant


class MeasurementError(PermanentError):
    """A measurement has no result; the text becomes its message, its phase is Error."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What was measured.

    Attributes:
        result: What conditions see as `result` (headrace.expression.values).
        text: What the status shows as the measurement's value.
        metadata: What the status shows beside it; None for nothing.
    """

    result: Value
    text: str
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """The provider's own judgement; the conditions of the metric do not count.

    Attributes:
        phase: A completed one.
        message: Why.
        value: As in the status.
        metadata: As in the status; None for nothing.
    """

    phase: AnalysisPhase
    message: str = ""
    value: str = ""
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The measurement goes on: the provider is asked again later.

    Attributes:
        resume_at: When.
        metadata: What the provider needs to go on, kept in the status.
        message: For people.
    """

    resume_at: Instant
    metadata: Mapping[str, str] | None = None
    message: str = ""


Answer: TypeAlias = Samples | Judged | Unfinished
