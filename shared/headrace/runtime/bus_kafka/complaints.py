"""What is said about trouble with the broker: each thing once, with its reason."""

from __future__ import annotations

import logging
from typing import Final

import structlog
from aiokafka.errors import KafkaConnectionError

log = structlog.get_logger(__name__)

_CLIENT_LOGGER: Final = "aiokafka"


class ClientVoice(logging.Handler):
    """Hears what the client logs, and keeps the last error.

    The client says the same line every 100 ms while a broker is away, and tells only there why
    a connection failed (a wrong password, an untrusted certificate): its exception does not.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last_words = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep an error."""
        self.last_words = record.getMessage()

    @classmethod
    def listen(cls) -> ClientVoice:
        """Return the one voice of the process, which takes the place of the client's log."""
        logger = logging.getLogger(_CLIENT_LOGGER)
        for handler in logger.handlers:
            if isinstance(handler, cls):
                return handler
        voice = cls()
        logger.addHandler(voice)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        return voice


class Complaint:
    """Says each trouble once, not every time it is met."""

    def __init__(self) -> None:
        self._said = ""

    def is_new(self, error: BaseException) -> bool:
        """Log an error unless it was the last one said; return whether it was new."""
        text = _text(error)
        if text == self._said:
            return False
        self._said = text
        log.warning("bus is down, trying again with back-off", error=text)
        return True

    def clear(self) -> None:
        """Say the next error whatever it is."""
        self._said = ""


def _text(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, KafkaConnectionError):
        reason = ClientVoice.listen().last_words
        return f"{text}: {reason}" if reason else text
    return text
