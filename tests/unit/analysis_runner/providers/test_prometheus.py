"""The Prometheus provider against a server on loopback (analysis 7.1)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from analysis_runner.core.samples import MeasurementError, Samples
from analysis_runner.providers.http import ProviderHttp
from analysis_runner.providers.prometheus import PrometheusProvider, plain_decimal
from analysis_runner.providers.provider import RunContext
from headrace.expression.values import TypedList
from headrace.model.analysis import Metric
from headrace.runtime.clock import VirtualClock

NOW = 1_700_000_000.25
CONTEXT = RunContext("shop", "run", "uid", None, 0)
SIZE_MAX = 10_000


class Store:
    """A server that records what it is asked and answers what it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = _vector()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        self.server = TestServer(application)

    @property
    def url(self) -> str:
        return f"http://{self.server.host}:{self.server.port}"

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        form = dict(await request.post()) if request.method == "POST" else dict(request.query)
        self.requests.append(
            (
                request.method,
                request.path,
                {key: str(value) for key, value in form.items()},
                {key.lower(): value for key, value in request.headers.items()},
            )
        )
        return await self.answer(request)


def _answering(
    body: Any, status: int = 200
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    text = body if isinstance(body, str) else json.dumps(body)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, content_type="application/json")

    return answer


def _data(kind: str, result: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}, **more}


def _vector(*values: str, **more: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    series = [{"metric": {"n": str(n)}, "value": [NOW, value]} for n, value in enumerate(values)]
    return _answering(_data("vector", series, **more))


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = Store()
    await store.server.start_server()
    yield store
    await store.server.close()


@pytest.fixture
async def http() -> AsyncIterator[ProviderHttp]:
    client = ProviderHttp(SIZE_MAX)
    yield client
    await client.close()


def metric(address: str, query: str = "up", **fields: Any) -> Metric:
    prometheus = {"address": address, "query": query, **fields}
    return Metric.load({"name": "m", "provider": {"prometheus": prometheus}})


async def measured(http: ProviderHttp, asked: Metric, default_address: str = "") -> Samples:
    provider = PrometheusProvider(http, VirtualClock(NOW), default_address)
    return await provider.run(asked, CONTEXT)


async def error_of(http: ProviderHttp, asked: Metric) -> str:
    with pytest.raises(MeasurementError) as caught:
        await measured(http, asked)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["0.95"], "[0.95]"),
        ([], "[]"),
        (["1", "2.50"], "[1,2.5]"),
        (["NaN"], "[NaN]"),
        (["+Inf", "-Inf"], "[+Inf,-Inf]"),
        (["1e+21", "1e-07"], "[1000000000000000000000,0.0000001]"),
    ],
)
async def test_a_vector_is_a_list_of_its_values(
    store: Store, http: ProviderHttp, values: list[str], text: str
) -> None:
    store.answer = _vector(*values)
    samples = await measured(http, metric(store.url))
    assert samples.text == text
    assert isinstance(samples.result, TypedList)
    assert [plain_decimal(number) for number in samples.result] == text[1:-1].split(",") * bool(
        values
    )


async def test_a_scalar_is_a_number(store: Store, http: ProviderHttp) -> None:
    store.answer = _answering(_data("scalar", [NOW, "42"]))
    samples = await measured(http, metric(store.url))
    assert (samples.result, samples.text, type(samples.result)) == (42.0, "42", float)


async def test_a_matrix_is_all_samples_in_a_row(store: Store, http: ProviderHttp) -> None:
    series = [{"values": [[1, "1"], [2, "2"]]}, {"values": [[1, "3"]]}]
    store.answer = _answering(_data("matrix", series))
    assert (await measured(http, metric(store.url))).text == "[1,2,3]"


async def test_warnings_are_shown(store: Store, http: ProviderHttp) -> None:
    store.answer = _vector("1", warnings=["w1", "w2"])
    samples = await measured(http, metric(store.url))
    assert samples.metadata == {"warnings": '"w1", "w2"'}


@pytest.mark.parametrize(
    "body",
    [
        _data("string", [NOW, "x"]),
        _data("vector", [{"metric": {}, "histogram": [NOW, {}]}]),
        _data("vector", {"a": 1}),
        _data("matrix", [{}]),
        _data("scalar", "x"),
        {"status": "success"},
        {"status": "success", "data": []},
    ],
)
async def test_other_results_are_not_supported(
    store: Store, http: ProviderHttp, body: dict[str, Any]
) -> None:
    store.answer = _answering(body)
    assert await error_of(http, metric(store.url)) == "Prometheus metric type not supported"


async def test_asks_for_now_by_a_form(store: Store, http: ProviderHttp) -> None:
    await measured(http, metric(f"{store.url}/prefix/", 'sum(x{a="b"}) + 1'))
    ((verb, path, form, headers),) = store.requests
    assert (verb, path) == ("POST", "/prefix/api/v1/query")
    assert form == {"query": 'sum(x{a="b"}) + 1', "time": "1700000000.25"}
    assert headers["content-type"] == "application/x-www-form-urlencoded"


async def test_asks_again_by_get_where_post_is_not_allowed(
    store: Store, http: ProviderHttp
) -> None:
    ok, refused = _vector("1"), _answering("no", 405)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (ok if request.method == "GET" else refused)(request)

    store.answer = answer
    assert (await measured(http, metric(store.url, "a b"))).text == "[1]"
    assert [request[0] for request in store.requests] == ["POST", "GET"]
    assert store.requests[1][2]["query"] == "a b"


async def test_a_range_is_bounded_by_expressions(store: Store, http: ProviderHttp) -> None:
    store.answer = _answering(_data("matrix", []))
    bounds = {"start": 'now() - duration("1h")', "end": "now()", "step": "1m30s"}
    samples = await measured(http, metric(store.url, rangeQuery=bounds))
    assert samples.text == "[]"
    ((_, path, form, _),) = store.requests
    assert path == "/api/v1/query_range"
    assert form == {"query": "up", "start": "1699996400.25", "end": "1700000000.25", "step": "90"}


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"start": "1", "end": "now()", "step": "1m"}, "rangeQuery.start as time: expected time"),
        ({"start": "now()", "end": "(", "step": "1m"}, "rangeQuery.end as time: "),
        ({"start": "now()", "end": "now()", "step": "x"}, "rangeQuery.step as duration: time: "),
    ],
)
async def test_refuses_bounds_that_are_none(
    store: Store, http: ProviderHttp, bounds: dict[str, str], message: str
) -> None:
    error = await error_of(http, metric(store.url, rangeQuery=bounds))
    assert error.startswith(f"failed to parse {message}")
    assert store.requests == []


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (
            400,
            {"status": "error", "errorType": "bad_data", "error": "parse error"},
            "bad_data: parse error",
        ),
        (
            422,
            {"status": "error", "errorType": "execution", "error": "too many"},
            "execution: too many",
        ),
        (
            200,
            {"status": "error", "errorType": "timeout", "error": "too slow"},
            "timeout: too slow",
        ),
        (400, {"status": "success"}, "bad_response: inconsistent body for response code"),
        (404, "not here", "client_error: client error: 404"),
        (503, "<html>", "server_error: server error: 503"),
        (304, "", "bad_response: bad response code 304"),
    ],
)
async def test_tells_what_the_server_says(
    store: Store, http: ProviderHttp, status: int, body: Any, message: str
) -> None:
    store.answer = _answering(body, status)
    assert await error_of(http, metric(store.url)) == message


@pytest.mark.parametrize("body", ["<html>", "", "[]", "1"])
async def test_an_answer_that_is_no_json_object_is_an_error(
    store: Store, http: ProviderHttp, body: str
) -> None:
    store.answer = _answering(body)
    assert (await error_of(http, metric(store.url))).startswith("bad_response: no JSON")


async def test_a_slow_server_is_given_up(store: Store, http: ProviderHttp) -> None:
    release = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    store.answer = answer
    error = await error_of(http, metric(store.url, timeout=1))
    assert error == f'Post "{store.url}/api/v1/query": context deadline exceeded'
    release.set()


async def test_a_huge_answer_is_given_up(store: Store, http: ProviderHttp) -> None:
    store.answer = _answering("x" * (SIZE_MAX + 1))
    assert await error_of(http, metric(store.url)) == (
        f"the answer of {store.url}/api/v1/query is larger than {SIZE_MAX} bytes"
    )


async def test_a_dead_server_is_told(store: Store, http: ProviderHttp) -> None:
    url = store.url
    await store.server.close()
    error = await error_of(http, metric(url))
    host = url.removeprefix("http://")
    assert error == f'Post "{url}/api/v1/query": dial tcp {host}: connect: connection refused'


async def test_a_connection_that_breaks_is_told(store: Store, http: ProviderHttp) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    store.answer = answer
    assert (await error_of(http, metric(store.url))).startswith("Post ")


@pytest.mark.parametrize(
    ("address", "fields", "message"),
    [
        ("", {}, "prometheus address is not configured"),
        ("prometheus:9090", {}, "prometheus address is not is url format"),
        ("/only/a/path", {}, "prometheus address is not is url format"),
        ("http://[", {}, "prometheus address is not is url format"),
        ("http://p", {"timeout": -1}, "prometheus timeout should not be negative"),
        (
            "http://p",
            {"authentication": {"basicAuth": {"username": "u"}}},
            "missing mandatory parameter in metric for basic auth setup: username|password",
        ),
        (
            "http://p",
            {"authentication": {"oauth2": {"tokenUrl": "http://t", "clientId": "c"}}},
            "missing mandatory parameter in metric for OAuth2 setup",
        ),
        (
            "https://aps-workspaces.eu.amazonaws.com/w",
            {"authentication": {"sigv4": {"region": "eu"}}},
            "sigv4 authentication: not supported by this version",
        ),
    ],
)
async def test_refuses_what_is_configured_wrong(
    http: ProviderHttp, address: str, fields: Mapping[str, Any], message: str
) -> None:
    assert await error_of(http, metric(address, **fields)) == message


async def test_a_metric_without_address_goes_to_the_default(
    store: Store, http: ProviderHttp
) -> None:
    assert (await measured(http, metric(""), store.url)).text == "[]"


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


async def test_sends_headers_and_basic_auth(store: Store, http: ProviderHttp) -> None:
    authentication = {"basicAuth": {"username": "u", "password": "p:w"}}
    headers = [{"key": "X-Scope-OrgID", "value": "tenant"}]
    await measured(http, metric(store.url, headers=headers, authentication=authentication))
    sent = store.requests[0][3]
    assert (sent["x-scope-orgid"], sent["authorization"]) == ("tenant", basic("u", "p:w"))


async def test_headers_of_the_metric_win(store: Store, http: ProviderHttp) -> None:
    authentication = {"basicAuth": {"username": "u", "password": "p"}}
    headers = [{"key": "Authorization", "value": "Bearer mine"}]
    await measured(http, metric(store.url, headers=headers, authentication=authentication))
    assert store.requests[0][3]["authorization"] == "Bearer mine"


async def test_credentials_of_the_address_are_sent_and_not_shown(
    store: Store, http: ProviderHttp
) -> None:
    address = store.url.replace("http://", "http://u:hidden@")
    store.answer = _answering("x" * (SIZE_MAX + 1))
    assert "hidden" not in await error_of(http, metric(address))
    assert store.requests[0][3]["authorization"] == basic("u", "hidden")


async def test_fetches_a_token_by_client_credentials(store: Store, http: ProviderHttp) -> None:
    token, ok = _answering({"access_token": "abc"}), _vector("1")

    async def answer(request: web.Request) -> web.StreamResponse:
        return await (token if request.path == "/token" else ok)(request)

    store.answer = answer
    oauth2 = {
        "tokenUrl": f"{store.url}/token",
        "clientId": "id",
        "clientSecret": "s/cret",
        "scopes": ["a", "b"],
    }
    await measured(http, metric(store.url, authentication={"oauth2": oauth2}))
    (_, _, form, asked), (_, _, _, sent) = store.requests
    assert form == {"grant_type": "client_credentials", "scope": "a b"}
    assert asked["authorization"] == basic("id", "s%2Fcret")
    assert sent["authorization"] == "Bearer abc"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, "{}", "oauth2: cannot fetch token: 401"),
        (200, "<html>", "oauth2: cannot parse json"),
        (200, "[]", "oauth2: cannot parse json"),
        (200, "{}", "oauth2: server response missing access_token"),
    ],
)
async def test_a_token_that_is_not_given_is_an_error(
    store: Store, http: ProviderHttp, status: int, body: str, message: str
) -> None:
    store.answer = _answering(body, status)
    oauth2 = {"tokenUrl": store.url, "clientId": "id", "clientSecret": "s"}
    asked = metric(store.url, authentication={"oauth2": oauth2})
    assert await error_of(http, asked) == message


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("X-A", "one\r\nX-B: two", 'value for "X-A"'),
        ("X-A", "of a Secret\n", 'value for "X-A"'),
        ("X A", "one", 'name "X A"'),
        ("", "one", 'name ""'),
    ],
)
async def test_a_header_that_cannot_be_sent_is_an_error(
    store: Store, http: ProviderHttp, name: str, value: str, problem: str
) -> None:
    headers = [{"key": name, "value": value}]
    error = await error_of(http, metric(store.url, headers=headers))
    assert error == f'Post "{store.url}/api/v1/query": net/http: invalid header field {problem}'
    assert store.requests == []


async def test_a_header_of_the_metric_takes_the_place_of_ours(
    store: Store, http: ProviderHttp
) -> None:
    form = "application/x-www-form-urlencoded; charset=utf-8"
    headers = [{"key": "content-type", "value": form}, {"key": "user-agent", "value": "mine"}]
    await measured(http, metric(store.url, headers=headers))
    _, _, asked, sent = store.requests[0]
    assert (asked["query"], sent["content-type"], sent["user-agent"]) == ("up", form, "mine")


async def test_credentials_of_the_address_are_decoded(store: Store, http: ProviderHttp) -> None:
    await measured(http, metric(store.url.replace("http://", "http://u%40x:p%3Aw%2F@")))
    assert store.requests[0][3]["authorization"] == basic("u@x", "p:w/")


async def test_a_scheme_that_is_not_spoken_is_told(http: ProviderHttp) -> None:
    error = await error_of(http, metric("ftp://p"))
    assert error == 'Post "ftp://p/api/v1/query": unsupported protocol scheme "ftp"'


@pytest.mark.parametrize("kind", ["vector", "matrix"])
async def test_no_series_may_be_null(store: Store, http: ProviderHttp, kind: str) -> None:
    store.answer = _answering(_data(kind, None))
    assert (await measured(http, metric(store.url))).text == "[]"


def test_shows_the_query_that_is_sent() -> None:
    provider = PrometheusProvider(ProviderHttp(SIZE_MAX), VirtualClock(NOW))
    assert provider.metadata(metric("http://p", "up")) == {"ResolvedPrometheusQuery": "up"}
    assert provider.metadata(metric("http://p", "")) == {}
