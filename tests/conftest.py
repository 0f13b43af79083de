"""What every test stands on."""

from __future__ import annotations

import asyncio


def pytest_configure() -> None:
    # Python 3.11 makes an event loop for whoever asks for the current one; pytest-asyncio asks,
    # and nobody would close it. Saying that there is none keeps it from being made.
    asyncio.set_event_loop(None)
