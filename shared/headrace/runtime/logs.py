"""Structured logs on standard error: a constant message, data in keys, secrets masked.

`configure` is called once by a service's `__main__`; modules take their logger with
`structlog.get_logger(__name__)`. What libraries log through the standard library comes out in
the same form.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error", "critical"]

MASK: Final = "***"

_SECRET_KEY: Final = re.compile(
    r"password|passwd|secret|token|authorization|credential|api_?key|private_?key|cookie",
    re.IGNORECASE,
)

_NOISY: Final = {
    # aiokafka repeats itself every 100 ms while the broker is away; `bus_up` and our own line
    # tell it once.
    "aiokafka": logging.CRITICAL,
    "asyncio": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "kubernetes_asyncio": logging.WARNING,
}


def configure(
    level: Level = "info",
    log_format: Literal["text", "json"] = "text",
    *,
    stream: TextIO | None = None,
    **bound: str,
) -> None:
    """Send all logs of this process to one stream.

    Args:
        level: Least severity that is written.
        log_format: One JSON object per line, or text for people.
        stream: Where to; standard error by default.
        bound: Keys for every line, as `service="traffic-router"`.
    """
    output = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
    ]
    rendered = [mask_secrets, *_renderers(log_format, is_terminal=output.isatty())]
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    # Our own lines do not go through the standard library: that would double what each costs.
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda name="": _Lines(name, handler),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound)


class _Lines:
    """The end of structlog's chain: writes a rendered line where the libraries' lines go.

    Attributes:
        name: Of the module that logs.
    """

    def __init__(self, name: str, handler: logging.StreamHandler[TextIO]) -> None:
        self.name = name
        self._handler = handler

    def msg(self, line: str) -> None:
        """Write one line; a stream that takes none must not end what is logged about."""
        stream = self._handler.stream
        try:
            stream.write(line + "\n")
            stream.flush()
        except (OSError, ValueError):  # full, broken or closed
            self._handler.handleError(logging.makeLogRecord({"name": self.name, "msg": line}))

    debug = info = warning = error = critical = exception = msg


def mask_secrets(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace values whose key names a secret, at any depth. A structlog processor."""
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: str, value: object) -> object:
    if isinstance(value, dict):
        return {name: _masked(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(key, inner) for inner in value]
    if value is not None and not isinstance(value, bool | int) and _SECRET_KEY.search(key):
        return MASK
    return value


def _renderers(log_format: Literal["text", "json"], *, is_terminal: bool) -> list[Processor]:
    if log_format == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(default=str, sort_keys=False),
        ]
    console = structlog.dev.ConsoleRenderer(
        colors=is_terminal,
        timestamp_key="time",
        # The one that is chosen by default shows local variables, secrets among them.
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [console]
