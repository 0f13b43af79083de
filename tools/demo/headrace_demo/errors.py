"""What can go wrong in a demo, and is no bug of the demo."""

from __future__ import annotations


class ActFailed(Exception):
    """The story did not go on as it should; the text says what was seen instead."""


class Stopped(Exception):
    """Somebody asked for the end before it was there."""
