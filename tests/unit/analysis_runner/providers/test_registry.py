"""Which provider measures a metric (analysis 7)."""

from __future__ import annotations

from typing import Any

import pytest

from analysis_runner.core.samples import MeasurementError
from analysis_runner.providers.http import ProviderHttp
from analysis_runner.providers.prometheus import PrometheusProvider
from analysis_runner.providers.registry import Providers
from headrace.model.analysis import Metric
from headrace.runtime.clock import VirtualClock

PROMETHEUS = PrometheusProvider(ProviderHttp(1), VirtualClock())
PROVIDERS = Providers({"prometheus": PROMETHEUS})


def metric(**provider: Any) -> Metric:
    return Metric.load({"name": "m", "provider": provider})


def test_finds_a_provider_by_its_name() -> None:
    assert PROVIDERS.of(metric(prometheus={"query": "up"})) is PROMETHEUS


def test_the_first_of_the_order_is_taken() -> None:
    assert PROVIDERS.of(metric(web={"url": "http://x"}, prometheus={"query": "up"})) is PROMETHEUS


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ({"web": {"url": "http://x"}}, "provider web: not supported by this version"),
        ({"newRelic": {"query": "x"}}, "provider newRelic: not supported by this version"),
        ({"job": {"spec": {}}}, "provider job: not supported by this version"),
        ({"plugin": {"a/b": {}}}, "provider plugin: not supported by this version"),
        ({}, "no valid provider in metric 'm'"),
    ],
)
def test_says_what_it_does_not_have(provider: dict[str, Any], message: str) -> None:
    with pytest.raises(MeasurementError) as caught:
        PROVIDERS.of(metric(**provider))
    assert str(caught.value) == message
