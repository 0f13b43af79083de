"""What a benchmark of canaries found, as a table for people and as JSON."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace_lab.bench_cost import Requests, Usage

IDLE_SECONDS_MAX: Final = 0.15
REQUESTS_MAX: Final = 22.0
PROCESSOR_MILLISECONDS_MAX: Final = 60.0
_COLUMN: Final = 34
_FULL: Final = 0.85
_DISTURBED: Final = 0.1


@dataclass(frozen=True, slots=True)
class Targets:
    """What shall be reached; seconds."""

    promote_p99: float
    abort_p99: float


TARGETS: Final = {"all-in-one": Targets(3.5, 2.5), "kafka": Targets(5.0, 4.0)}
"""By mode: one process with the memory bus; three processes with the broker."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of the benchmark.

    Attributes:
        seconds: Reactions in order; empty where only the whole counts.
        usage: Processor time of all processes in it.
    """

    name: str
    seconds: Sequence[float]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that one run in one mode found.

    Attributes:
        services: Names of the processes whose cost counts.
        idle: Reactions of single canaries, the others being at rest.
        requests: From the new image to ten seconds after the abort.
        cost: Processor time in the same stretch.
        fixed_work: Milliseconds of a fixed piece of work at that time: how fast the machine was.
    """

    mode: str
    count: int
    services: Sequence[str]
    phases: Sequence[Phase]
    idle: Sequence[float]
    requests: Requests
    cost: Usage
    fixed_work: float

    @property
    def requests_per_canary(self) -> float:
        """Object requests divided by the canaries."""
        return self.requests.objects.total() / self.count

    @property
    def milliseconds_per_canary(self) -> float:
        """Processor time of the services divided by the canaries."""
        used = sum(self.cost.by_process[name] for name in self.services)
        return used * 1000 / self.count

    def phase(self, name: str) -> Phase:
        """Return a stretch by its name."""
        return next(phase for phase in self.phases if phase.name == name)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent do not exceed (nearest rank)."""
    return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]


@dataclass(frozen=True, slots=True)
class Check:
    """One figure beside what it may be."""

    name: str
    value: float
    limit: float
    unit: str

    @property
    def is_kept(self) -> bool:
        """Whether the figure is within its limit."""
        return self.value <= self.limit


def checks(result: Result) -> list[Check]:
    """Return the figures that have a target."""
    targets = TARGETS[result.mode]
    promote = percentile(result.phase("promote").seconds, 99)
    abort = percentile(result.phase("abort").seconds, 99)
    idle = percentile(sorted(result.idle), 50)
    limit = PROCESSOR_MILLISECONDS_MAX
    return [
        Check("promote p99", promote, targets.promote_p99, "s"),
        Check("abort p99", abort, targets.abort_p99, "s"),
        Check("single idle canary, median", idle, IDLE_SECONDS_MAX, "s"),
        Check("object requests per canary", result.requests_per_canary, REQUESTS_MAX, ""),
        Check("processor time per canary", result.milliseconds_per_canary, limit, "ms"),
    ]


def report(result: Result) -> str:
    """Return the whole report as text."""
    parts = (_summary(result), _phases(result), _requests(result), _bounds(result))
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _summary(result: Result) -> list[str]:
    lines = [f"{result.mode}: {result.count} canaries"]
    for check in checks(result):
        verdict = "kept" if check.is_kept else "MISSED"
        figures = f"{check.value:8.3f}  at most {check.limit:6.2f} {check.unit:2}"
        lines.append(f"  {check.name:{_COLUMN}} {figures}  {verdict}")
    slowest = max(result.idle)
    return [
        *lines,
        f"  {'single idle canary, slowest':{_COLUMN}} {slowest:8.3f}",
        f"  {'speed: a fixed piece of work took':{_COLUMN}} {result.fixed_work:8.3f} ms",
    ]


def _phases(result: Result) -> list[str]:
    lines = [f"  {'reaction (s)':{_COLUMN}}     p50     p90     p99     max"]
    for phase in result.phases:
        if phase.seconds:
            figures = [percentile(phase.seconds, percent) for percent in (50, 90, 99, 100)]
            lines.append(f"  {phase.name:{_COLUMN}}" + "".join(f"{each:8.2f}" for each in figures))
        else:
            lines.append(f"  {phase.name:{_COLUMN}}{'all after':>16}{phase.usage.seconds:16.2f}")
    return lines


def _requests(result: Result) -> list[str]:
    lines = [f"  {'object requests per canary':{_COLUMN + 20}}"]
    for (verb, resource, identity), number in result.requests.objects.most_common():
        per_canary = number / result.count
        lines.append(f"  {verb:8}{resource:26}{identity:20}{per_canary:8.2f}")
    by_identity: Counter[str] = Counter()
    for (_, _, identity), number in result.requests.objects.items():
        by_identity[identity] += number
    for identity, number in by_identity.most_common():
        lines.append(f"  {'all':34}{identity:20}{number / result.count:8.2f}")
    events = result.requests.events / result.count
    lines.append(f"  {'Events, counted beside':54}{events:8.2f}")
    lines.append(f"  {'answered with an error, counted above':54}{result.requests.failed:8}")
    return lines


def _bounds(result: Result) -> list[str]:
    """Say what the processors did while reactions were waited for."""
    cores = os.cpu_count() or 1
    lines = [f"  processor time (cores busy, of {cores})"]
    lines.append(f"  {'':20}" + "".join(f"{phase.name:>14}" for phase in result.phases))
    for name in result.cost.by_process:
        figures = [_cores(phase.usage, name) for phase in result.phases]
        lines.append(f"  {name:20}" + "".join(f"{each:14.2f}" for each in figures))
    for name, figures in (
        ("all of these", [phase.usage.cores for phase in result.phases]),
        ("everything else", [_others(phase.usage) for phase in result.phases]),
    ):
        lines.append(f"  {name:20}" + "".join(f"{each:14.2f}" for each in figures))
    lines.append(f"  {_verdict(result, cores)}")
    return lines


def _verdict(result: Result, cores: int) -> str:
    busy = result.phase("promote").usage
    first, second = sorted(busy.by_process, key=lambda name: -busy.by_process[name])[:2]
    largest = f"{first} {_cores(busy, first):.2f}, {second} {_cores(busy, second):.2f}"
    if _others(busy) >= _DISTURBED * cores:
        return f"promote was disturbed by other programs ({_others(busy):.2f} cores)"
    if busy.cores >= _FULL * cores:
        return f"promote is bound by the processors; most of them have {largest}"
    if _cores(busy, first) >= _FULL:
        return f"promote is bound by one thread: {largest}"
    return f"promote is not bound by the processors alone: {largest}"


def _others(usage: Usage) -> float:
    return usage.others / usage.seconds if usage.seconds else 0.0


def _cores(usage: Usage, name: str) -> float:
    return usage.by_process[name] / usage.seconds if usage.seconds else 0.0


def as_json(result: Result) -> Mapping[str, Any]:
    """Return the figures as JSON types."""
    return {
        "mode": result.mode,
        "count": result.count,
        "checks": {
            check.name: {"value": check.value, "limit": check.limit} for check in checks(result)
        },
        "reactions": {phase.name: list(phase.seconds) for phase in result.phases if phase.seconds},
        "requests": [
            {"verb": verb, "resource": resource, "identity": identity, "count": number}
            for (verb, resource, identity), number in result.requests.objects.most_common()
        ],
        "events": result.requests.events,
        "fixedWorkMilliseconds": result.fixed_work,
    }
