"""What every test stands on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let files whose tests may take longest come first: processes that share them end together."""
    longest: dict[Path, float] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        seconds = float(limit.args[0]) if limit is not None else 0.0
        longest[item.path] = max(seconds, longest.get(item.path, 0.0))
    items.sort(key=lambda item: -longest[item.path])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show why a test was run once more: what passes at the second try hides what it found."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"rerun of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


@pytest.fixture(autouse=True)
def logs_of_its_own() -> Iterator[None]:
    """Take back what a test configures: a simulator without logs must silence no other test."""
    yield
    structlog.reset_defaults()
