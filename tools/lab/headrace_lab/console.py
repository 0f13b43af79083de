"""Reads a topic with Kafka's own console consumer, as somebody who knows nothing of Headrace."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headrace_lab.errors import LabError

MAIN: Final = "org.apache.kafka.tools.consumer.ConsoleConsumer"
# Characters that no key, header or JSON payload of ours can hold.
FIELD: Final = "\x1f"
HEADER: Final = "\x1e"
RECORD: Final = "\x1d"
NULL: Final = "\x1c"
FIELDS: Final = 6

_IDLE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class ConsoleRecord:
    """One record as the console consumer printed it; text is UTF-8, None is null."""

    partition: int
    offset: int
    timestamp_ms: int
    headers: dict[str, str | None]
    key: str | None
    value: str | None


def read_topic(
    java: Sequence[str],
    bootstrap_servers: str,
    topic: str,
    *,
    records_max: int,
) -> list[ConsoleRecord]:
    """Return a topic's first records.

    Args:
        java: Start of the Java command with Kafka's jars.
        bootstrap_servers: The broker.
        topic: Its name.
        records_max: How many; fewer when no more come for a while, its start included.

    Raises:
        LabError: The consumer failed.
    """
    properties = {
        "print.timestamp": "true",
        "print.partition": "true",
        "print.offset": "true",
        "print.headers": "true",
        "print.key": "true",
        "print.value": "true",
        "key.separator": FIELD,
        "headers.separator": HEADER,
        "line.separator": RECORD,
        "null.literal": NULL,
    }
    argv = [*java, MAIN, "--bootstrap-server", bootstrap_servers, "--topic", topic]
    argv += ["--from-beginning", "--max-messages", str(records_max)]
    argv += ["--timeout-ms", str(int(_IDLE_SECONDS * 1000))]
    for name, value in properties.items():
        argv += ["--property", f"{name}={value}"]
    answer = subprocess.run(argv, capture_output=True, check=False)
    errors = answer.stderr.decode(errors="replace")
    if answer.returncode != 0 and "TimeoutException" not in errors:
        raise LabError(f"the console consumer ended with {answer.returncode}: {errors[-2000:]}")
    return parse(answer.stdout.decode())


def parse(output: str) -> list[ConsoleRecord]:
    """Parse what the console consumer prints with the separators above."""
    return [_record(line) for line in output.split(RECORD) if FIELD in line]


def _record(line: str) -> ConsoleRecord:
    time, partition, offset, headers, key, value = line.split(FIELD, FIELDS - 1)
    return ConsoleRecord(
        partition=int(partition.removeprefix("Partition:")),
        offset=int(offset.removeprefix("Offset:")),
        timestamp_ms=int(time.partition(":")[2] or 0),
        headers=_headers(headers),
        key=_text(key),
        value=_text(value),
    )


def _headers(text: str) -> dict[str, str | None]:
    if text in ("", "NO_HEADERS"):
        return {}
    pairs = (header.partition(":") for header in text.split(HEADER))
    return {name: _text(value) for name, _, value in pairs}


def _text(value: str) -> str | None:
    return None if value == NULL else value
