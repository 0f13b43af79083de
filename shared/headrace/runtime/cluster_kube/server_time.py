"""The API server's clock, as far as the `Date` headers of its answers tell.

A raise of traffic expires in API server time (architecture: The route document), so each side
must know how its own clock differs. `Date` has a resolution of one second; but each answer bounds
the offset from both sides, and answers fall anywhere within a second, so the bounds close in
quickly: a hundred answers leave about ten milliseconds.

Source: Marzullo, "Maintaining the Time in a Distributed System", for intersecting bounds.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

_RESOLUTION_SECONDS: Final = 1.0
_DRIFT_RATIO: Final = 1e-4
"""How fast two clocks may part, at most: an unsteered quartz keeps within 100 ppm."""


class ServerTime:
    """Bounds of server time minus own time, closed in by every answer."""

    def __init__(self) -> None:
        self._low = 0.0
        self._high = 0.0
        self._at: float | None = None
        self._date = ""
        self._seconds = 0.0

    def observe(self, date: str, sent_at: float, received_at: float) -> None:
        """Take one answer's `Date`; one that cannot be read says nothing.

        Args:
            date: The header, as `Tue, 24 Nov 2026 03:54:27 GMT`: when the answer was begun, cut
                to the second.
            sent_at: Own time before the request was sent.
            received_at: Own time when the answer's headers were here, >= sent_at.
        """
        seconds = self._parse(date)
        if seconds is None:
            return
        low = seconds - received_at
        high = seconds + _RESOLUTION_SECONDS - sent_at
        if self._at is not None:
            slack = abs(received_at - self._at) * _DRIFT_RATIO
            closer_low = max(low, self._low - slack)
            closer_high = min(high, self._high + slack)
            if closer_low <= closer_high:
                low, high = closer_low, closer_high
            # Else one of the clocks was set: only the newest answer counts.
        self._low, self._high, self._at = low, high, received_at

    def offset_seconds(self) -> float | None:
        """Return server time minus own time, the middle of the bounds; None before an answer."""
        return None if self._at is None else (self._low + self._high) / 2

    def error_seconds(self) -> float | None:
        """Return how far the offset may be off, in seconds; None before an answer."""
        return None if self._at is None else (self._high - self._low) / 2

    def _parse(self, date: str) -> float | None:
        if date != self._date:  # hundreds of answers a second carry the same text
            try:
                self._seconds = parsedate_to_datetime(date).timestamp()
            except ValueError:
                return None
            self._date = date
        return self._seconds
