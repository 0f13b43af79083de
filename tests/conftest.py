"""What every test stands on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=2_000)


def pytest_configure() -> None:
    # What CI says must not depend on chance; HYPOTHESIS_PROFILE=search looks for new cases.
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
    # Python 3.11 makes an event loop for whoever asks for the current one; pytest-asyncio asks,
    # and nobody would close it. Saying that there is none keeps it from being made.
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def logs_of_its_own() -> Iterator[None]:
    """Take back what a test configures: a simulator without logs must silence no other test."""
    yield
    structlog.reset_defaults()
