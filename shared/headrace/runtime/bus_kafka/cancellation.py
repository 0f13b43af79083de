"""Tells our own cancellation from what the client library cancels inside itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def client_cancels() -> Iterator[None]:
    """Raise ConnectionError for a cancellation that nobody sent to this task.

    The client cancels its own requests when their connection goes, as after a process was
    frozen, and whoever awaits one gets the CancelledError. It would end our task without a word,
    since a TaskGroup takes a cancelled child for one that was meant to end.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the client gave up a request of its own") from error
