from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from headrace.runtime.bus_kafka.complaints import ClientVoice, Complaint


@pytest.fixture
def voice() -> Iterator[ClientVoice]:
    logger = logging.getLogger("aiokafka")
    before = (logger.level, logger.propagate)
    voice = ClientVoice.listen()
    yield voice
    logger.removeHandler(voice)
    logger.setLevel(before[0])
    logger.propagate = before[1]


def test_a_trouble_is_said_once_until_it_changes_or_is_over() -> None:
    complaint = Complaint()
    with capture_logs() as lines:
        said = [complaint.is_new(OSError(text)) for text in ("a", "a", "b", "b", "")]
        complaint.clear()
        said.append(complaint.is_new(OSError("")))
    assert said == [True, False, True, False, True, True]
    assert [line["error"] for line in lines] == ["a", "b", "OSError", "OSError"]


def test_the_client_is_heard_once_and_not_printed(voice: ClientVoice) -> None:
    assert ClientVoice.listen() is voice
    logging.getLogger("aiokafka").error("Unable connect to %s", "a:9092")
    logging.getLogger("aiokafka.consumer.fetcher").warning("never mind")
    assert voice.last_words == "Unable connect to a:9092"
    assert not logging.getLogger("aiokafka").propagate


def test_a_failed_connection_is_said_with_its_reason(voice: ClientVoice) -> None:
    voice.last_words = "Authentication failed"
    with capture_logs() as lines:
        Complaint().is_new(KafkaConnectionError("Unable to bootstrap"))
        voice.last_words = ""
        Complaint().is_new(KafkaConnectionError("Unable to bootstrap"))
    assert [line["error"] for line in lines] == [
        "KafkaConnectionError: Unable to bootstrap: Authentication failed",
        "KafkaConnectionError: Unable to bootstrap",
    ]
