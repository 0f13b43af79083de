"""Runs: one, many in parallel processes, and the shrinking of the faults of one that failed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Final

import structlog

from headrace_sandbox.faults import Fault
from headrace_sandbox.scenario import Scenario, load, names
from headrace_sandbox.simulation import Result, Ring, Simulation
from headrace_sandbox.wild import wild

WILD: Final = "wild"
"""Applications and stories by chance."""

_STORM: Final = "storm-"
"""How the names of scenarios begin that are under every fault from every seed."""

_SEEDS_AT_ONCE: Final = 8
_SHRINKS_MAX: Final = 200

Look = Callable[["Report"], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What is left of a run in another process.

    Attributes:
        scenario: That was played.
        seed: Of the run.
        rule: The rule that was violated first; empty when none was.
        text: How.
        seen: What was met.
        seconds: Virtual time.
        steps: Appointments kept.
    """

    scenario: str
    seed: int
    rule: str = ""
    text: str = ""
    seen: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    steps: int = 0


def be_quiet() -> None:
    """Let the services log nothing: a run tells its own story."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def scenario_of(name: str, seed: int, ring: Ring = "shells") -> Scenario:
    """Return a scenario by its name. Raises FileNotFoundError."""
    return wild(seed, is_plain=ring == "cores") if name == WILD else load(name)


def run(
    name: str,
    seed: int,
    faults: tuple[Fault, ...] | None = None,
    *,
    ring: Ring = "shells",
    is_told: bool = True,
) -> Result:
    """Play a scenario once."""
    be_quiet()
    scenario = scenario_of(name, seed, ring)
    return Simulation(scenario, seed, faults, ring=ring, is_told=is_told).run()


def report(name: str, seed: int, ring: Ring = "shells") -> Report:
    """Play a scenario once, without its story; what a fault of the simulator ends is named."""
    try:
        result = run(name, seed, ring=ring, is_told=False)
    except Exception as error:
        error.add_note(f"while {name} {seed} was played")
        raise
    first = result.violations[0] if result.violations else None
    return Report(
        name,
        seed,
        first.rule if first is not None else "",
        first.text if first is not None else "",
        result.seen,
        result.seconds,
        result.steps,
    )


def quarry(ring: Ring = "shells") -> tuple[str, ...]:
    """Return the scenarios that a hunt plays in turn: half of its runs are wild ones.

    The storms keep in sight what the wild one draws seldom. The cores cannot play them all.
    """
    if ring == "cores":
        return (WILD,)
    storms = [name for name in names() if name.startswith(_STORM)]
    return tuple(name for storm in storms for name in (WILD, storm))


def hunt(
    scenarios: Sequence[str],
    seconds: float,
    *,
    workers: int,
    first_seed: int,
    ring: Ring = "shells",
) -> Iterator[Report]:
    """Play seed after seed, each of the next scenario, in parallel processes for so long."""
    end = time.monotonic() + seconds
    seed = first_seed
    with ProcessPoolExecutor(workers) as pool:
        waiting: set[Future[list[Report]]] = set()
        while time.monotonic() < end or waiting:
            while time.monotonic() < end and len(waiting) < 2 * workers:
                seeds = range(seed, seed + _SEEDS_AT_ONCE)
                runs = [(scenarios[each % len(scenarios)], each) for each in seeds]
                waiting.add(pool.submit(_reports, runs, ring))
                seed += _SEEDS_AT_ONCE
            done = next(as_completed(waiting))
            waiting.remove(done)
            yield from done.result()


def _reports(runs: Sequence[tuple[str, int]], ring: Ring) -> list[Report]:
    return [report(name, seed, ring) for name, seed in runs]


def shrink(name: str, seed: int, result: Result) -> tuple[Fault, ...]:
    """Return as few of the faults of a failed run as still violate the same rule.

    Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (ddmin).
    """
    rule = result.violations[0].rule
    kept, size, tries = [*result.struck], max(len(result.struck) // 2, 1), 0
    while kept and tries < _SHRINKS_MAX:
        for start in range(0, len(kept), size):
            candidate = kept[:start] + kept[start + size :]
            tries += 1
            if _fails(name, seed, tuple(candidate), rule, result.ring):
                kept = candidate
                break
        else:
            if size == 1:
                break
            size = max(size // 2, 1)
    return tuple(kept)


def _fails(name: str, seed: int, faults: tuple[Fault, ...], rule: str, ring: Ring) -> bool:
    found = run(name, seed, faults, ring=ring, is_told=False)
    return bool(found.violations) and found.violations[0].rule == rule
