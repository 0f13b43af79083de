"""Substitution of arguments in metrics, and the secrets among them (analysis 3).

A metric is rendered as one JSON text, each `{{ args.<name> }}` in it is replaced by the value
with Go's escapes, and the text is read again: so a value can stand in every string field and
never change the structure. Values are not expanded again.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote as url_quote
from urllib.parse import quote_plus

from pydantic import ValidationError

from headrace.errors import InvalidSpec
from headrace.expression.text import quote
from headrace.kubernetes.resources import Manifest
from headrace.model.analysis import Argument, Metric, SecretKeyReference

SECRET_PLACEHOLDER: Final = "temp-for-secret"  # noqa: S105 - stands for a secret, is none
"""What plans see instead of a secret's value."""

REDACTED: Final = "*****"

_TAG: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_OPEN: Final = "{{"


class ArgumentError(InvalidSpec):
    """The arguments of a run cannot be resolved; the text is for its status."""


def secret_references(arguments: Iterable[Argument]) -> dict[str, SecretKeyReference]:
    """Return where the secret arguments come from, by the argument's name."""
    references = {}
    for argument in arguments:
        source = argument.value_from
        if source is not None and source.secret_key_ref is not None:
            references[argument.name] = source.secret_key_ref
    return references


def secret_value(reference: SecretKeyReference, secret: Manifest) -> str:
    """Return one value of a Secret.

    Raises:
        ArgumentError: The Secret has no such key, or its value is not base64.
    """
    encoded = (secret.get("data") or {}).get(reference.key)
    if encoded is None:
        raise ArgumentError(f"key '{reference.key}' does not exist in secret '{reference.name}'")
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError) as error:
        raise ArgumentError(
            f"key '{reference.key}' of secret '{reference.name}' is not base64"
        ) from error


def resolve_metrics(
    raw_metrics: Sequence[Mapping[str, Any]],
    arguments: Sequence[Argument],
    secrets: Mapping[str, str] | None = None,
) -> tuple[Metric, ...]:
    """Return the metrics with their arguments in place.

    Args:
        raw_metrics: As the run's spec has them.
        arguments: Of the run.
        secrets: Values of the secret arguments by name; None for planning, which uses a
            placeholder. A secret wins over a literal value of the same argument.

    Raises:
        ArgumentError: An argument has no value, a tag is unknown, or a metric is none any more.
    """
    values = _values(arguments, secrets)
    return tuple(_resolve(raw, arguments, values) for raw in raw_metrics)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the values of secrets, the longest first.

    A value is found as it is, as it stands in a URL or a form, and within quotes.
    """
    spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, REDACTED)
    return text


def _spellings(secret: str) -> tuple[str, ...]:
    in_url, in_path, in_form = url_quote(secret, safe=""), url_quote(secret), quote_plus(secret)
    return secret, in_url, in_path, in_form, quote(secret)[1:-1]


def _values(
    arguments: Sequence[Argument], secrets: Mapping[str, str] | None
) -> dict[str, str | None]:
    values: dict[str, str | None] = {argument.name: argument.value for argument in arguments}
    for name in secret_references(arguments):
        values[name] = SECRET_PLACEHOLDER if secrets is None else secrets[name]
    return values


def _resolve(
    raw: Mapping[str, Any], arguments: Sequence[Argument], values: Mapping[str, str | None]
) -> Metric:
    for argument in arguments:
        if values[argument.name] is None:
            raise ArgumentError(f'argument "{argument.name}" was not supplied')
    text = json.dumps(raw, ensure_ascii=False)
    if _OPEN in text:
        text = _expand(text, values)
    try:
        return Metric.load(json.loads(text))
    except ValidationError as error:
        raise ArgumentError(first_problem(error)) from error
    except ValueError as error:  # an escape of Go that JSON does not have, as \x00
        raise ArgumentError(str(error)) from error


def _expand(text: str, values: Mapping[str, str | None]) -> str:
    end = 0
    for match in _TAG.finditer(text):
        end = match.end()
    if _OPEN in text[end:]:
        raise ArgumentError(f"{_OPEN} without }}}}")
    return _TAG.sub(lambda match: _substitute(match[1], values), text)


def _substitute(tag: str, values: Mapping[str, str | None]) -> str:
    prefix, _, name = tag.strip().partition(".")
    value = values.get(name) if prefix == "args" else None
    if value is None:
        raise ArgumentError(f"failed to resolve {{{{{tag}}}}}")
    return quote(value)[1:-1]


def first_problem(error: ValidationError) -> str:
    """Return where a manifest is wrong, and why, without its values."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    return f"{path}: {first['msg']}"
