from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from headrace.runtime import logs


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_writes_one_json_object_per_line_with_the_data_in_keys() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream=stream, service="traffic-router")
    structlog.get_logger("x").info("route applied", rollout="ns/a", epoch=7)
    (line,) = lines(stream)
    assert line["message"] == "route applied"
    assert (line["rollout"], line["epoch"], line["level"]) == ("ns/a", 7, "info")
    assert line["service"] == "traffic-router"
    assert line["time"].endswith("Z")


def test_writes_what_libraries_log_in_the_same_form() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream=stream, service="traffic-router")
    logging.getLogger("some.library").warning("lost %s", "it", extra={"attempt": 2})
    (line,) = lines(stream)
    assert (line["message"], line["level"], line["logger"]) == (
        "lost it",
        "warning",
        "some.library",
    )
    assert (line["attempt"], line["service"]) == (2, "traffic-router")


def test_leaves_out_what_is_below_the_level() -> None:
    stream = io.StringIO()
    logs.configure("warning", "json", stream=stream)
    structlog.get_logger("x").info("chatter")
    logging.getLogger("x").info("chatter")
    assert stream.getvalue() == ""


def test_masks_secrets_by_the_name_of_their_key() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream=stream)
    structlog.get_logger("x").info(
        "connected",
        kafka_password="hunter2",
        headers={"Authorization": "Bearer hunter2", "Accept": "*/*"},
        tokens=["hunter2"],
        token_count=3,
    )
    logging.getLogger("x").info("connected", extra={"api_key": "hunter2"})
    assert "hunter2" not in stream.getvalue()
    assert lines(stream)[0]["headers"]["Accept"] == "*/*"
    assert lines(stream)[0]["token_count"] == 3


def test_writes_the_traceback_of_an_exception() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("x").exception("reconcile crashed")
    assert "ValueError: broken" in lines(stream)[0]["exception"]


def test_a_traceback_does_not_show_local_variables() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream=stream)
    kafka_password = "".join(["hunter", "2"])
    try:
        raise ValueError("broken" if kafka_password else "")
    except ValueError:
        structlog.get_logger("x").exception("reconcile crashed")
    assert "ValueError: broken" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_text_form_has_no_colours_outside_a_terminal() -> None:
    stream = io.StringIO()
    logs.configure("info", "text", stream=stream)
    structlog.get_logger("x").info("route applied", epoch=7)
    assert "route applied" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


class _Broken(io.StringIO):
    def write(self, s: str) -> int:
        raise OSError("No space left on device")


def test_a_stream_that_takes_no_line_does_not_end_what_is_logged_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("info", "json", stream=_Broken())
    structlog.get_logger("x").info("route applied", epoch=7)
    assert "No space left on device" in capsys.readouterr().err


def test_names_the_module_that_logs() -> None:
    stream = io.StringIO()
    logs.configure("info", "json", stream=stream)
    structlog.get_logger("headrace.x").info("route applied")
    assert lines(stream)[0]["logger"] == "headrace.x"
