"""Prometheus: instant and range queries (analysis 7.1)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

import orjson

from analysis_runner.core.samples import MeasurementError, Samples
from analysis_runner.providers.http import ProviderHttp
from analysis_runner.providers.oauth2 import bearer_token
from analysis_runner.providers.provider import InstantProvider, RunContext
from headrace.expression.conditions import evaluate_time
from headrace.expression.errors import ExpressionError
from headrace.expression.values import floats
from headrace.model.analysis import Metric
from headrace.model.providers import Authentication, PrometheusMetric, PrometheusRangeQuery
from headrace.model.quantities import Instant, parse_duration
from headrace.runtime.clock import Clock
from headrace.runtime.http_client import HttpAnswer, HttpRequest

TIMEOUT_SECONDS: Final = 30.0
"""Source: analysis 7.1."""

RESOLVED_QUERY: Final = "ResolvedPrometheusQuery"

_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
_NO_POST: Final = (405, 501)
_ERRORS_WITH_BODY: Final = (400, 422)
"""Codes with which Prometheus answers an error of the query, told in the body."""


@dataclass(frozen=True, slots=True)
class _Query:
    """Where to ask, and what."""

    path: str
    parameters: tuple[tuple[str, str], ...]


class PrometheusProvider(InstantProvider):
    """Asks Prometheus, or whatever speaks its HTTP API.

    Args:
        http: Sends requests.
        clock: Gives the time of a query.
        default_address: Where metrics go that name no address; empty for nowhere.
    """

    def __init__(self, http: ProviderHttp, clock: Clock, default_address: str = "") -> None:
        self._http = http
        self._clock = clock
        self._default_address = default_address

    def address(self, metric: Metric) -> str:
        """Return the address of the server."""
        return _config(metric).address or self._default_address

    def metadata(self, metric: Metric) -> Mapping[str, str]:
        """Return the query as it is sent."""
        query = _config(metric).query
        return {RESOLVED_QUERY: query} if query else {}

    async def run(self, metric: Metric, context: RunContext) -> Samples:
        """Send the query and return all numbers of its result."""
        config = _config(metric)
        address = _checked_address(self.address(metric))
        timeout_seconds = _timeout_seconds(config)
        headers = await self._headers(config, address, timeout_seconds)
        query = _query(config, self._clock.now())
        url = urlunsplit(
            (*urlsplit(address)[:2], urlsplit(address).path.rstrip("/") + query.path, "", "")
        )
        form = urlencode(query.parameters)
        request = HttpRequest(
            "POST",
            _without_credentials(url),
            headers if _names(headers, _FORM[0]) else (_FORM, *headers),
            form.encode(),
            timeout_seconds,
            config.insecure,
        )
        answer = await self._http.send(request)
        if answer.status in _NO_POST:
            url = f"{request.url}?{form}"
            request = HttpRequest("GET", url, headers, None, timeout_seconds, config.insecure)
            answer = await self._http.send(request)
        return _samples(_decoded(answer))

    async def _headers(
        self, config: PrometheusMetric, address: str, timeout_seconds: float
    ) -> tuple[tuple[str, str], ...]:
        """Return the headers to send; those of the metric win over authentication."""
        authentication = config.authentication
        _refuse_sigv4(authentication, address)
        headers = {header.key.lower(): (header.key, header.value) for header in config.headers}
        if "authorization" not in headers:
            value = _basic(authentication) or _url_credentials(address)
            if authentication.oauth2.token_url:
                token = await bearer_token(
                    self._http,
                    authentication.oauth2,
                    timeout_seconds=timeout_seconds,
                    is_insecure=config.insecure,
                )
                value = f"Bearer {token}"
            if value:
                headers["authorization"] = ("Authorization", value)
        return tuple(headers.values())


def _config(metric: Metric) -> PrometheusMetric:
    config = metric.provider.prometheus
    if config is None:
        raise MeasurementError("no prometheus in metric")
    return config


def _checked_address(address: str) -> str:
    if not address:
        raise MeasurementError("prometheus address is not configured")
    try:
        parts = urlsplit(address)
        is_url = bool(parts.scheme and parts.netloc)
    except ValueError:
        is_url = False
    if not is_url:
        raise MeasurementError("prometheus address is not is url format")
    return address


def _timeout_seconds(config: PrometheusMetric) -> float:
    if config.timeout is not None and config.timeout < 0:
        raise MeasurementError("prometheus timeout should not be negative")
    return float(config.timeout or TIMEOUT_SECONDS)


def _refuse_sigv4(authentication: Authentication, address: str) -> None:
    sigv4 = authentication.sigv4
    if "aps-workspaces" in address and (sigv4.region or sigv4.profile or sigv4.role_arn):
        raise MeasurementError("sigv4 authentication: not supported by this version")


def _basic(authentication: Authentication) -> str:
    basic = authentication.basic_auth
    if not basic.username and not basic.password:
        return ""
    if not basic.username or not basic.password:
        raise MeasurementError(
            "missing mandatory parameter in metric for basic auth setup: username|password"
        )
    return _basic_header(basic.username, basic.password)


def _url_credentials(address: str) -> str:
    parts = urlsplit(address)
    if parts.username is None:
        return ""
    return _basic_header(unquote(parts.username), unquote(parts.password or ""))


def _names(headers: Iterable[tuple[str, str]], name: str) -> bool:
    return any(known.lower() == name.lower() for known, _ in headers)


def _basic_header(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _query(config: PrometheusMetric, now: Instant) -> _Query:
    if config.range_query is None:
        return _Query("/api/v1/query", (("query", config.query), ("time", plain_decimal(now))))
    bounds = _range(config.range_query, now)
    return _Query("/api/v1/query_range", (("query", config.query), *bounds))


def _range(query: PrometheusRangeQuery, now: Instant) -> Iterable[tuple[str, str]]:
    for name, expression in (("start", query.start), ("end", query.end)):
        try:
            yield name, plain_decimal(evaluate_time(expression, now))
        except ExpressionError as error:
            raise MeasurementError(f"failed to parse rangeQuery.{name} as time: {error}") from error
    try:
        yield "step", plain_decimal(parse_duration(query.step))
    except ValueError as error:
        raise MeasurementError(f"failed to parse rangeQuery.step as duration: {error}") from error


def _decoded(answer: HttpAnswer) -> Mapping[str, Any]:
    """Return the body of an answer that is no error.

    Raises:
        MeasurementError: It is one, told as the API's own client tells it.
    """
    status = answer.status
    if status // 100 != 2 and status not in _ERRORS_WITH_BODY:
        kinds = {4: ("client_error", "client error"), 5: ("server_error", "server error")}
        kind, text = kinds.get(status // 100, ("bad_response", "bad response code"))
        separator = " " if kind == "bad_response" else ": "
        raise MeasurementError(f"{kind}: {text}{separator}{status}")
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise MeasurementError(f"bad_response: no JSON: {error}") from error
    if not isinstance(body, dict):
        raise MeasurementError("bad_response: no JSON object")
    if body.get("status") == "error":
        raise MeasurementError(f"{body.get('errorType', '')}: {body.get('error', '')}")
    if status // 100 != 2:
        raise MeasurementError("bad_response: inconsistent body for response code")
    return body


def _samples(body: Mapping[str, Any]) -> Samples:
    found = body.get("data")
    content = found if isinstance(found, dict) else {}
    metadata = _warnings(body)
    try:
        match content.get("resultType"):
            case "scalar":
                number = _number(content["result"])
                return Samples(number, plain_decimal(number), metadata)
            case "vector":
                numbers = [_number(series["value"]) for series in content["result"] or ()]
            case "matrix":
                numbers = [
                    _number(sample)
                    for series in content["result"] or ()
                    for sample in series["values"]
                ]
            case _:
                raise MeasurementError("Prometheus metric type not supported")
    except (KeyError, TypeError, IndexError, ValueError) as error:
        # Native histograms have no value either.
        raise MeasurementError("Prometheus metric type not supported") from error
    text = ",".join(plain_decimal(number) for number in numbers)
    return Samples(floats(numbers), f"[{text}]", metadata)


def _number(sample: Sequence[Any]) -> float:
    _, text = sample
    return float(text)


def _warnings(body: Mapping[str, Any]) -> Mapping[str, str] | None:
    warnings = body.get("warnings")
    if not isinstance(warnings, list) or not warnings:
        return None
    return {"warnings": ", ".join(f'"{warning}"' for warning in warnings)}


def plain_decimal(number: float) -> str:
    """Return a number without exponent, in its shortest form; `NaN`, `+Inf` and `-Inf`."""
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "+Inf" if number > 0 else "-Inf"
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
