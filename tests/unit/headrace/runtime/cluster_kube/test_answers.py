"""Answers of an API server as errors and manifests."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from headrace.errors import (
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    NotFound,
    PreconditionFailed,
    RateLimited,
    Rejected,
    RolloutError,
    Unavailable,
)
from headrace.runtime.cluster_kube.answers import error_of, error_of_status, slim


def status(reason: str = "", message: str = "", **details: Any) -> bytes:
    return orjson.dumps({"kind": "Status", "reason": reason, "message": message, **details})


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (400, "BadRequest", Rejected),
        (401, "Unauthorized", Forbidden),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (405, "MethodNotAllowed", Rejected),
        (408, "Timeout", Unavailable),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Expired),
        (413, "RequestEntityTooLarge", Rejected),
        (422, "Invalid", Rejected),
        (429, "TooManyRequests", RateLimited),
        (500, "InternalError", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (504, "Timeout", Unavailable),
    ],
)
def test_every_status_has_its_error(code: int, reason: str, expected: type[RolloutError]) -> None:
    error = error_of(code, status(reason, "because"))
    assert type(error) is expected
    assert str(error) == "because"


def test_tells_a_failed_test_from_an_invalid_result() -> None:
    failed = status("Invalid", "the server rejected our request due to an error in our request")
    assert type(error_of(422, failed, is_json_patch=True)) is PreconditionFailed
    assert type(error_of(422, failed)) is Rejected
    details = {"name": "web", "causes": [{"field": "spec.replicas"}]}
    invalid = status("Invalid", 'ReplicaSet "web" is invalid', details=details)
    assert type(error_of(422, invalid, is_json_patch=True)) is Rejected


def test_keeps_how_long_the_server_wants_us_to_wait() -> None:
    limited = error_of(429, status("TooManyRequests"), retry_after="7")
    assert isinstance(limited, RateLimited)
    assert limited.retry_after_seconds == 7.0
    busy = error_of(503, status(details={"retryAfterSeconds": 3}))
    assert isinstance(busy, Unavailable)
    assert busy.retry_after_seconds == 3.0
    silent = error_of(429, status("TooManyRequests"), retry_after="Tue, 24 Nov 2026 10:00:00 GMT")
    assert isinstance(silent, RateLimited)
    assert silent.retry_after_seconds is None


def test_understands_a_proxys_page() -> None:
    error = error_of(502, b"<html>Bad Gateway \xff</html>")
    assert type(error) is Unavailable
    assert str(error) == "502: <html>Bad Gateway \ufffd</html>"
    assert str(error_of(503, status("ServiceUnavailable"))) == "503 ServiceUnavailable"


def test_clips_long_texts() -> None:
    assert len(str(error_of(422, status("Invalid", "x" * 100_000)))) < 1100
    assert len(str(error_of(502, b"x" * 100_000))) < 1100


def test_understands_the_error_event_of_a_watch() -> None:
    error = error_of_status({"code": 410, "reason": "Expired", "message": "too old"})
    assert type(error) is Expired


def test_keeps_of_managed_fields_who_and_when() -> None:
    entry = {"manager": "kubectl", "operation": "Update", "time": "t", "fieldsV1": {"f:x": {}}}
    manifest = slim({"metadata": {"name": "a", "managedFields": [entry]}})
    assert manifest["metadata"]["managedFields"] == [
        {"manager": "kubectl", "operation": "Update", "time": "t"}
    ]
    assert slim({"metadata": {"name": "a"}}) == {"metadata": {"name": "a"}}
