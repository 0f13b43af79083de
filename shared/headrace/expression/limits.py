"""What one expression may cost.

An expression is written by whoever may create an AnalysisTemplate, and evaluated in a process that
serves everybody. So its text, its tree, its work and what it produces are bounded. Where the
reference has a bound (memory units) ours is the same and fails with the same words.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.expression.errors import EvaluationError

MAX_EXPRESSION_CHARACTERS = 10_000
"""Longer texts are refused before they are read. The reference allows as many nodes."""

MAX_NESTING = 60
"""Levels of brackets, calls, conditionals… in a text. Reading each costs up to seven frames of the
Python stack (whose limit is 1000)."""

MAX_DEPTH = 100
"""Levels of the syntax tree, longer chains of operators included. Each costs up to four frames."""

MAX_VALUE_DEPTH = 200
"""Levels of nested values that are compared, flattened or printed."""

MAX_STEPS = 5_000_000
"""Nodes evaluated in loops, and what functions do in the time of so many: a second of one core.

A step is about 0.2 microseconds; the charges all over the package are measured against that."""

MAX_MEMORY_UNITS = 1_000_000
"""Elements of all collections that one evaluation makes, as in the reference."""

MAX_TEXT_CHARACTERS = 8_000_000
"""Characters of all texts that one evaluation makes."""

MAX_MESSAGE_CHARACTERS = 16_000
"""Longer messages of verdicts are cut: they may quote the expression and texts that it made."""

MAX_CACHED_PROGRAMS = 1024
"""Compiled expressions that are kept; the least recently used one goes first."""

MAX_CACHED_CHARACTERS = 1000
"""Longer expressions are compiled at each evaluation, so that the cache stays small."""

MAX_PATTERNS = 64
"""Regular expressions that stand in one expression."""

MAX_CACHED_PATTERNS = 128
"""Compiled regular expressions that are kept; the least recently used one goes first."""

MAX_PATTERN_MEMORY_BYTES = 1 << 18
"""What one compiled regular expression may hold."""

MAX_TIME_CHARACTERS = 1000
"""Longer texts are no times, durations or layouts."""


@dataclass(slots=True)
class Budget:
    """What one evaluation has left."""

    steps: int = MAX_STEPS
    memory_units: int = MAX_MEMORY_UNITS
    text_characters: int = MAX_TEXT_CHARACTERS

    def spend_steps(self, count: int) -> None:
        """Pays for visiting ``count`` nodes or elements.

        Raises:
            EvaluationError: nothing is left.
        """
        self.steps -= count
        if self.steps < 0:
            raise EvaluationError("evaluation budget exceeded")

    def spend_reading(self, characters: int) -> None:
        """Pays for comparing or searching a text.

        Raises:
            EvaluationError: nothing is left.
        """
        self.spend_steps(characters >> 8)

    def spend_memory(self, units: int) -> None:
        """Pays for a collection of ``units`` elements, before or after it is made.

        Raises:
            EvaluationError: nothing is left.
        """
        self.memory_units -= units
        if self.memory_units <= 0:
            raise EvaluationError("memory budget exceeded")

    def spend_text(self, characters: int) -> None:
        """Pays for a text, before it is made.

        Raises:
            EvaluationError: nothing is left.
        """
        self.text_characters -= characters
        if self.text_characters < 0:
            raise EvaluationError("memory budget exceeded")
