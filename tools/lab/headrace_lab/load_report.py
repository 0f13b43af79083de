"""What a load run saw: shares and status codes per version, and how sure a share is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

NO_VERSION = ""
"""Version of an answer that no pod gave: without header `x-version`."""
NO_ANSWER = 0
"""Status of a request that got no answer."""

CONFIDENCE = 0.999


@dataclass(frozen=True, slots=True)
class Interval:
    """A range of probabilities, both ends included."""

    low: float
    high: float

    def __contains__(self, probability: float) -> bool:
        return self.low <= probability <= self.high


def binomial_interval(successes: int, trials: int, *, confidence: float = CONFIDENCE) -> Interval:
    """The probabilities that a count is compatible with (Wilson's score interval).

    Args:
        successes: How often it happened, 0 to `trials`.
        trials: How often it was tried; 0 says nothing, so the answer is 0 to 1.
        confidence: Chance that the interval holds the true probability, within (0, 1).
    """
    if trials == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    observed = successes / trials
    scale = 1 + z * z / trials
    centre = (observed + z * z / (2 * trials)) / scale
    spread = z * math.sqrt(observed * (1 - observed) / trials + (z / (2 * trials)) ** 2) / scale
    # The ends are exact in theory only: never and always must stay possible.
    return Interval(
        0.0 if successes == 0 else centre - spread, 1.0 if successes == trials else centre + spread
    )


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the answers that a version gave."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The observed share, 0 to 1; 0 without any answer."""
        return self.count / self.total if self.total else 0.0

    @property
    def interval(self) -> Interval:
        """The true shares that the count is compatible with, at 99.9 %."""
        return binomial_interval(self.count, self.total)


@dataclass(frozen=True, slots=True)
class Report:
    """Answers by version and status over a time.

    Attributes:
        started_at: Seconds since the run began.
        seconds: How long it lasted.
        counts: Answers by version and status; see NO_VERSION and NO_ANSWER.
        latencies: Seconds per answer, in order of arrival.
    """

    started_at: float
    seconds: float
    counts: Mapping[tuple[str, int], int]
    latencies: tuple[float, ...] = field(default=(), repr=False)

    @property
    def total(self) -> int:
        """All requests that ended."""
        return sum(self.counts.values())

    @property
    def rate(self) -> float:
        """Requests per second that ended."""
        return self.total / self.seconds if self.seconds else 0.0

    @property
    def versions(self) -> list[str]:
        """The versions that answered, in order."""
        return sorted({version for version, _ in self.counts if version != NO_VERSION})

    @property
    def failed_without_version(self) -> int:
        """Requests that failed, but not by a version's own doing: no pod answered them.

        This is what a release itself breaks: no connection, no ready pod, no route.
        """
        return sum(
            count
            for (version, status), count in self.counts.items()
            if version == NO_VERSION and (status == NO_ANSWER or status >= 400)
        )

    def share(self, version: str) -> Share:
        """The share of a version among the answers of all versions."""
        answered = sum(count for (name, _), count in self.counts.items() if name != NO_VERSION)
        return Share(sum(self.statuses(version).values()), answered)

    def statuses(self, version: str) -> dict[int, int]:
        """How often a version answered with each status."""
        return {
            status: count
            for (name, status), count in sorted(self.counts.items())
            if name == version
        }

    def latency(self, quantile: float) -> float:
        """A quantile of the latencies in seconds, 0 without any answer."""
        ordered = sorted(self.latencies)
        return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)] if ordered else 0.0

    def to_json(self) -> dict[str, Any]:
        """The report for programs."""
        shares = {version: self.share(version) for version in self.versions}
        return {
            "seconds": round(self.seconds, 3),
            "requests": self.total,
            "rate": round(self.rate, 1),
            "failedWithoutVersion": self.failed_without_version,
            "latencySeconds": {
                "p50": round(self.latency(0.5), 4),
                "p99": round(self.latency(0.99), 4),
            },
            "versions": {
                version: {
                    "count": share.count,
                    "share": round(share.value, 4),
                    "interval": [round(share.interval.low, 4), round(share.interval.high, 4)],
                    "statuses": {
                        str(status): count for status, count in self.statuses(version).items()
                    },
                }
                for version, share in shares.items()
            },
            "withoutVersion": {
                str(status): count for status, count in self.statuses(NO_VERSION).items()
            },
        }

    def to_text(self) -> str:
        """The report for people."""
        lines = [f"{self.total} requests in {self.seconds:.1f} s ({self.rate:.0f}/s)"]
        for version in self.versions:
            share = self.share(version)
            lines.append(
                f"  {version:<10} {share.value:7.2%}  "
                f"[{share.interval.low:.2%}, {share.interval.high:.2%}]  "
                f"{_list_statuses(self.statuses(version))}"
            )
        if unanswered := self.statuses(NO_VERSION):
            lines.append(f"  {'no version':<10} {_list_statuses(unanswered)}")
        lines.append(
            f"  latency p50 {self.latency(0.5) * 1000:.1f} ms, "
            f"p99 {self.latency(0.99) * 1000:.1f} ms"
        )
        return "\n".join(lines)


def merge(reports: Iterable[Report]) -> Report:
    """Several reports as one, as of windows that follow each other."""
    parts = list(reports)
    if not parts:
        return Report(0.0, 0.0, {})
    counts: Counter[tuple[str, int]] = Counter()
    for part in parts:
        counts.update(part.counts)
    return Report(
        started_at=min(part.started_at for part in parts),
        seconds=sum(part.seconds for part in parts),
        counts=counts,
        latencies=tuple(latency for part in parts for latency in part.latencies),
    )


def _list_statuses(statuses: Mapping[int, int]) -> str:
    return ", ".join(
        f"{count} x {status if status != NO_ANSWER else 'no answer'}"
        for status, count in statuses.items()
    )
