from __future__ import annotations

from headrace_lab.console import FIELD, HEADER, NULL, RECORD, ConsoleRecord, parse


def line(*fields: str) -> str:
    return FIELD.join(fields) + RECORD


def test_reads_headers_key_and_a_value_with_line_breaks() -> None:
    headers = HEADER.join(["ce_id:1", "ce_type:a:b,c"])

    records = parse(
        line("CreateTime:1795491867466", "Partition:2", "Offset:7", headers, "ns/x", "{\n}")
    )

    assert records == [
        ConsoleRecord(
            partition=2,
            offset=7,
            timestamp_ms=1795491867466,
            headers={"ce_id": "1", "ce_type": "a:b,c"},
            key="ns/x",
            value="{\n}",
        )
    ]


def test_null_is_not_the_word_null() -> None:
    (record,) = parse(line("CreateTime:1", "Partition:0", "Offset:0", f"h:{NULL}", NULL, "null"))

    assert (record.key, record.value, record.headers) == (None, "null", {"h": None})


def test_a_record_without_headers_has_none() -> None:
    (record,) = parse(line("CreateTime:1", "Partition:0", "Offset:0", "NO_HEADERS", "k", "v"))

    assert record.headers == {}


def test_what_is_no_record_is_left_out() -> None:
    assert parse("Processed a total of 0 messages\n") == []
