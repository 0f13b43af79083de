"""What can go wrong with an expression.

::

    ExpressionError
    ├─ CompileError       the text, its names or its static types are wrong
    └─ EvaluationError    the values it met are wrong, or it costs too much

The message of an error is the message of the reference implementation where the reference has one,
without a position.
"""

from __future__ import annotations


class ExpressionError(ValueError):
    """An expression has no value; the text says why, in words for the author of the expression."""


class CompileError(ExpressionError):
    """The expression is wrong whatever values it meets."""


class EvaluationError(ExpressionError):
    """The expression failed on the values it met, or went over a limit."""
