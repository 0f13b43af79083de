"""What an API server answers, as errors and manifests of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

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
from headrace.kubernetes.resources import Manifest

_TEXT_LENGTH_MAX: Final = 1000


def error_of(
    status: int, body: bytes, *, retry_after: str | None = None, is_json_patch: bool = False
) -> RolloutError:
    """Return the error that an answer of status 400 or above means.

    Args:
        status: HTTP status.
        body: A `Status` object, or any text (a proxy's page).
        retry_after: The header, in seconds.
        is_json_patch: Whether the request was one: then 422 can mean a failed `test`.
    """
    answer = _status_of(body)
    return error_of_status({**answer, "code": status}, retry_after, is_json_patch=is_json_patch)


def error_of_status(
    answer: Mapping[str, Any], retry_after: str | None = None, *, is_json_patch: bool = False
) -> RolloutError:
    """Return the error that a `Status` object means, as in the ERROR event of a watch.

    Its text is the server's message alone: conditions and Events show it as every client of
    Kubernetes does.
    """
    code = answer.get("code", 500)
    text = _clipped(str(answer.get("message") or ""))
    if not answer.get("reason") or not text:  # of a proxy, say: at least what the code tells
        text = ": ".join(filter(None, (f"{code} {answer.get('reason', '')}".strip(), text)))
    seconds = _retry_seconds(answer, retry_after)
    match code:
        case 401 | 403:
            return Forbidden(text)
        case 404:
            return NotFound(text)
        case 409 if answer.get("reason") == "AlreadyExists":
            return AlreadyExists(text)
        case 409:
            return Conflict(text)
        case 410:
            return Expired(text)
        case 422 if is_json_patch and _is_unapplied(answer):
            return PreconditionFailed(text)
        case 429:
            return RateLimited(text, retry_after_seconds=seconds)
        case 408:
            return Unavailable(text, retry_after_seconds=seconds)
        case _ if 400 <= code < 500:
            return Rejected(text)
        case _:
            return Unavailable(text, retry_after_seconds=seconds)


def slim(manifest: Manifest) -> Manifest:
    """Reduce managedFields to manager, operation and time, in place, and return the object.

    They are a third of a typical object; who wrote last is all that is ever read of them.
    """
    metadata = manifest["metadata"]
    fields = metadata.get("managedFields")
    if fields:
        metadata["managedFields"] = [
            {key: entry[key] for key in ("manager", "operation", "time") if key in entry}
            for entry in fields
        ]
    return manifest


def _status_of(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if isinstance(answer, dict):
        return answer
    return {"message": body[:_TEXT_LENGTH_MAX].decode(errors="replace")}


def _is_unapplied(answer: Mapping[str, Any]) -> bool:
    """Whether a JSON patch could not be applied: a `test` failed or a path is missing.

    The API server answers 422 Invalid for that and for an invalid result alike; only the latter
    names the object and the fields.
    """
    details = answer.get("details") or {}
    return not details.get("name") and not details.get("causes")


def _retry_seconds(answer: Mapping[str, Any], header: str | None) -> float | None:
    if header is not None and header.isdecimal():
        return float(header)
    seconds = (answer.get("details") or {}).get("retryAfterSeconds")
    return float(seconds) if seconds else None


def _clipped(text: str) -> str:
    return text if len(text) <= _TEXT_LENGTH_MAX else text[: _TEXT_LENGTH_MAX - 1] + "…"
