"""The Prometheus provider against the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from analysis_runner.core.judge import judge
from analysis_runner.core.samples import MeasurementError, Samples
from analysis_runner.providers.http import ProviderHttp
from analysis_runner.providers.prometheus import PrometheusProvider
from analysis_runner.providers.provider import RunContext
from headrace.model.analysis import Metric
from headrace.model.quantities import Instant
from headrace.runtime.clock import SystemClock
from headrace_lab.lab import Lab

pytestmark = pytest.mark.lab

CONTEXT = RunContext("shop", "run", "uid", None, 0)


@pytest.fixture
async def provider() -> AsyncIterator[PrometheusProvider]:
    http = ProviderHttp(4 * 1024 * 1024)
    yield PrometheusProvider(http, SystemClock(), Lab.attach().prometheus_url)
    await http.close()


def metric(query: str, success: str = "", **fields: Any) -> Metric:
    prometheus = {"query": query, **fields}
    return Metric.load(
        {"name": "m", "successCondition": success, "provider": {"prometheus": prometheus}}
    )


async def measured(provider: PrometheusProvider, asked: Metric) -> tuple[str, str, str]:
    """Phase, value and message of one measurement."""
    samples = await provider.run(asked, CONTEXT)
    found = judge(asked, samples, started_at=Instant(0.0), now=Instant(1.0))
    return found.phase, found.value, found.message


@pytest.mark.parametrize(
    ("query", "success", "phase", "value"),
    [
        ("vector(0.97)", "result[0] >= 0.95", "Successful", "[0.97]"),
        ("vector(0.5)", "result[0] >= 0.95", "Failed", "[0.5]"),
        ("scalar(vector(42))", "result == 42", "Successful", "42"),
        ("vector(0) / 0", "result[0] >= 0.95", "Failed", "[NaN]"),
        ("vector(1) / 0", "isInf(result[0])", "Successful", "[+Inf]"),
        ("nothing_is_called_so", "len(result) == 0", "Successful", "[]"),
        ("vector(1e-9)", "result[0] < 1", "Successful", "[0.000000001]"),
    ],
)
async def test_measures_instant_queries(
    provider: PrometheusProvider, query: str, success: str, phase: str, value: str
) -> None:
    assert await measured(provider, metric(query, success)) == (phase, value, "")


async def test_an_empty_result_is_no_success(provider: PrometheusProvider) -> None:
    phase, _, message = await measured(provider, metric("nothing_is_called_so", "result[0] > 0"))
    assert phase == "Error"
    assert message.endswith("no data returned from the metric provider")


async def test_measures_ranges(provider: PrometheusProvider) -> None:
    bounds = {"start": 'now() - duration("1m")', "end": "now()", "step": "30s"}
    asked = metric("vector(2)", "len(result) == 3 && all(result, {# == 2})", rangeQuery=bounds)
    assert await measured(provider, asked) == ("Successful", "[2,2,2]", "")


@pytest.mark.parametrize("query", ["sum(", "rate(up)", "{}"])
async def test_a_bad_query_is_told(provider: PrometheusProvider, query: str) -> None:
    with pytest.raises(MeasurementError, match=r"^bad_data: "):
        await provider.run(metric(query), CONTEXT)


async def test_texts_are_not_supported(provider: PrometheusProvider) -> None:
    with pytest.raises(MeasurementError, match=r"^Prometheus metric type not supported$"):
        await provider.run(metric('"text"'), CONTEXT)


async def test_a_path_that_is_none_is_told(provider: PrometheusProvider) -> None:
    address = f"{Lab.attach().prometheus_url}/nowhere"
    with pytest.raises(MeasurementError, match=r"^client_error: client error: 404$"):
        await provider.run(metric("up", address=address), CONTEXT)


async def test_what_is_scraped_is_found(provider: PrometheusProvider) -> None:
    samples = await provider.run(metric("count(up) or vector(0)"), CONTEXT)
    assert isinstance(samples, Samples)
    assert len(samples.result) == 1
