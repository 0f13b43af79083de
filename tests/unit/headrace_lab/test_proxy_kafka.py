from __future__ import annotations

import struct

import pytest

from headrace_lab.proxy_kafka import decode

RECORDS = b"route.applied"


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def compact(value: bytes) -> bytes:
    return bytes([len(value) + 1]) + value


def produce(version: int, *topics: str) -> bytes:
    """A Produce request of the fixed layout, two partitions per topic."""
    frame = struct.pack(">hhi", 0, version, 1) + text("client")
    frame += struct.pack(">h", -1) + struct.pack(">hi", -1, 1000)
    frame += struct.pack(">i", len(topics))
    for topic in topics:
        frame += text(topic) + struct.pack(">i", 2)
        for partition in range(2):
            frame += struct.pack(">ii", partition, len(RECORDS)) + RECORDS
    return frame


def produce_flexible(version: int, *topics: str) -> bytes:
    """The same with lengths that vary, and a tagged field in the header."""
    frame = struct.pack(">hhi", 0, version, 1) + text("client") + bytes([1, 0, 3]) + b"tag"
    frame += bytes([0]) + struct.pack(">hi", -1, 1000)
    frame += bytes([len(topics) + 1])
    for topic in topics:
        frame += compact(topic.encode()) + bytes([3])
        for partition in range(2):
            frame += struct.pack(">i", partition) + compact(RECORDS) + bytes([0])
        frame += bytes([0])
    return frame + bytes([0])


@pytest.mark.parametrize("version", [3, 7, 8])
def test_reads_the_topics_of_a_produce_request(version: int) -> None:
    frame = produce(version, "headrace.default.steps", "other")

    exchange = decode(frame)

    assert (exchange.kind, exchange.target) == ("Produce", "headrace.default.steps other")
    assert RECORDS in exchange.body


@pytest.mark.parametrize("version", [9, 12])
def test_reads_the_topics_of_a_flexible_produce_request(version: int) -> None:
    assert decode(produce_flexible(version, "one", "two")).target == "one two"


@pytest.mark.parametrize(("api", "kind"), [(3, "Metadata"), (18, "ApiVersions"), (77, "Api77")])
def test_names_other_requests(api: int, kind: str) -> None:
    exchange = decode(struct.pack(">hhi", api, 1, 1) + text("client"))

    assert (exchange.kind, exchange.target) == (kind, "")


def test_a_produce_request_that_it_does_not_understand_has_no_topics() -> None:
    assert decode(produce(3, "topic")[:25]).target == ""
    assert decode(struct.pack(">hhi", 0, 13, 1)).target == ""
