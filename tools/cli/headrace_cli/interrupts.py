"""What ^C does.

While Python and the command's modules are being loaded there is nothing to clean up: ^C ends the
process as it ends any program, at once and without a traceback. A command that runs is cancelled
instead, closes its connections, and ends with exit code 130.

A process that was started with ^C ignored (`headrace … &` in a script) goes on ignoring it, as
programs do; SIGTERM ends it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_CODE = 130
"""After ^C, as shells have it."""


def end_at_once() -> None:
    """Let ^C end the process by itself."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def raised() -> Iterator[None]:
    """Let ^C raise KeyboardInterrupt within the block, or cancel what asyncio runs there."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if before is signal.SIG_DFL:
            signal.signal(signal.SIGINT, before)
