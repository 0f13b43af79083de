"""The metrics store of the demo: answers the example's query from simulated requests.

It stands behind the runner's provider port, where Prometheus would be, and knows one form of
query: a rate of `response_status` divided by another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from analysis_runner.core.samples import MeasurementError, Samples
from analysis_runner.providers.provider import InstantProvider, RunContext
from headrace.expression.values import floats
from headrace.model.analysis import Metric
from headrace.model.quantities import Instant
from headrace.runtime.clock import Clock
from headrace_demo.traffic import Response, Traffic

_SELECTOR: Final = re.compile(r"response_status\{(?P<matchers>[^}]*)\}\[(?P<seconds>\d+)s\]")
_MATCHER: Final = re.compile(r'(?P<label>\w+)\s*(?P<operator>=~|=)\s*"(?P<value>[^"]*)"')


@dataclass(frozen=True, slots=True)
class Selector:
    """What a rate is taken of.

    Attributes:
        labels: Patterns that the labels must match as a whole.
        seconds: The window.
    """

    labels: Mapping[str, str]
    seconds: int

    def matches(self, response: Response) -> bool:
        """Return whether a response counts."""
        labels = {**dict(response.labels), "status": str(response.status)}
        return all(
            re.fullmatch(pattern, labels.get(label, "")) for label, pattern in self.labels.items()
        )


class ResponseMetrics(InstantProvider):
    """Measures ratios of the responses of each namespace's traffic."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._traffic: dict[str, Traffic] = {}

    def scrape(self, namespace: str, traffic: Traffic) -> None:
        """Answer queries of runs in a namespace from this traffic."""
        self._traffic[namespace] = traffic

    def address(self, metric: Metric) -> str:
        """Return the address that the metric names, though nobody is asked there."""
        return metric.provider.prometheus.address if metric.provider.prometheus else ""

    def metadata(self, metric: Metric) -> Mapping[str, str]:
        """Return the query, as Prometheus' provider does."""
        return {"ResolvedPrometheusQuery": _query(metric)}

    async def run(self, metric: Metric, context: RunContext) -> Samples:
        """Return the ratio that the query asks for; no number where nothing was counted."""
        part, whole = parse(_query(metric))
        total = self._count(context.namespace, whole)
        if not total:
            return Samples(floats([]), "[]")
        ratio = self._count(context.namespace, part) / total
        return Samples(floats([ratio]), f"[{ratio:.4f}]")

    def _count(self, namespace: str, selector: Selector) -> int:
        traffic = self._traffic.get(namespace)
        if traffic is None:
            return 0
        since = Instant(self._clock.now() - selector.seconds)
        return sum(
            count
            for tick in traffic.ticks(since)
            for response, count in tick.responses.items()
            if selector.matches(response)
        )


def parse(query: str) -> tuple[Selector, Selector]:
    """Return what is divided by what.

    Raises:
        MeasurementError: The query has another form.
    """
    found = [_selector(match) for match in _SELECTOR.finditer(query)]
    if len(found) != 2 or query.count("/") != 1:
        raise MeasurementError("the demo can only divide a rate of response_status by another")
    return found[0], found[1]


def _selector(match: re.Match[str]) -> Selector:
    labels = {
        each["label"]: each["value"] if each["operator"] == "=~" else re.escape(each["value"])
        for each in _MATCHER.finditer(match["matchers"])
    }
    return Selector(labels, int(match["seconds"]))


def _query(metric: Metric) -> str:
    if metric.provider.prometheus is None:
        raise MeasurementError("the demo has no other provider than prometheus")
    return metric.provider.prometheus.query
