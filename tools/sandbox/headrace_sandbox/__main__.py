"""`headrace-sandbox`: play a scenario, hunt with fresh seeds, prove the net with mutants."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from headrace.runtime.output import watched_output
from headrace_sandbox.faults import Fault
from headrace_sandbox.further_mutants import FURTHER
from headrace_sandbox.mutants import MUTANTS, NOT_OF_THE_WORLD, SECONDS, Mutant, find
from headrace_sandbox.report import failure, hunt_report, missing
from headrace_sandbox.running import WILD, Report, hunt, quarry, report, run, scenario_of, shrink
from headrace_sandbox.scenario import names


def main() -> int:
    """Run the command; 1 when something was violated."""
    with watched_output("headrace-sandbox"):
        return _run(_parser().parse_args())


def _run(arguments: argparse.Namespace) -> int:
    if arguments.list:
        _list()
        return 0
    if arguments.until_violation is not None:
        return _find(arguments)
    if arguments.mutants:
        return _mutants(MUTANTS if arguments.mutants == "ten" else (*MUTANTS, *FURTHER))
    if arguments.hunt:
        return _hunt(arguments)
    return _play(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("headrace-sandbox", description=__doc__)
    parser.add_argument(
        "--scenario",
        help=f"name of a scenario, or {WILD}; a hunt without it plays {WILD} and storms",
    )
    parser.add_argument("--seed", type=int, help="default: the scenario's own")
    parser.add_argument("--ring", choices=("shells", "cores"), default="shells", help="who plays")
    parser.add_argument("--faults", type=Path, help="exactly these faults, from a file")
    parser.add_argument("--hunt", type=float, metavar="SECONDS", help="fresh seeds for so long")
    parser.add_argument(
        "--mutants",
        nargs="?",
        const="ten",
        choices=("ten", "all"),
        help="find each mutant by fresh seeds: the ten of the proof, or the further ones, too",
    )
    parser.add_argument("--until-violation", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--demand-coverage", action="store_true", help="fail when a row is at zero")
    parser.add_argument("--story", action="store_true", help="tell what happened")
    parser.add_argument("--json", type=Path, help="write what happened into a file")
    parser.add_argument("--list", action="store_true", help="show the scenarios")
    return parser


def _list() -> None:
    for name in names():
        scenario = scenario_of(name, 0)
        sys.stdout.write(f"{name:<44} {scenario.about}\n")


def _play(arguments: argparse.Namespace) -> int:
    name = arguments.scenario or WILD
    seed = arguments.seed if arguments.seed is not None else scenario_of(name, 1).seed
    faults = None
    if arguments.faults is not None:
        faults = tuple(Fault.load(each) for each in json.loads(arguments.faults.read_text()))
    result = run(name, seed, faults, ring=arguments.ring)
    if arguments.story:
        sys.stdout.write(result.story.text() + "\n")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result.story.dump(), default=str, indent=1))
    if result.is_good:
        virtual = f"{result.seconds:.0f} s of virtual time, {result.steps} steps"
        sys.stdout.write(f"{name} {seed}: all is well ({virtual})\n")
        return 0
    kept = shrink(name, seed, result) if faults is None else result.struck
    sys.stdout.write(failure(result, kept) + "\n")
    return 1


def _find(arguments: argparse.Namespace) -> int:
    """Try one seed after the other until a rule is violated; say it as JSON."""
    end = time.monotonic() + arguments.until_violation
    seed = arguments.seed or 1
    names = (arguments.scenario,) if arguments.scenario else quarry(arguments.ring)
    found = report(names[seed % len(names)], seed, arguments.ring)
    while not _is_of_the_world(found) and time.monotonic() < end:
        seed += 1
        found = report(names[seed % len(names)], seed, arguments.ring)
    sys.stdout.write(json.dumps({"seed": seed, "rule": found.rule, "text": found.text}))
    return 0


def _is_of_the_world(found: Report) -> bool:
    return bool(found.rule) and found.rule not in NOT_OF_THE_WORLD


def _mutants(mutants: Sequence[Mutant]) -> int:
    first_seed = int(time.time_ns() % 10**9)
    missed = 0
    for mutant in mutants:
        catch = find(mutant, seed=first_seed, seconds=SECONDS)
        missed += not catch.rule
        how = f"{catch.rule}: {catch.text}" if catch.rule else "MISSED"
        sys.stdout.write(f"{mutant.name:<40} seed {catch.seed}: {how}\n")
        sys.stdout.flush()
    return 1 if missed else 0


def _hunt(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    first_seed = arguments.seed if arguments.seed is not None else int(time.time_ns() % 10**9)
    seen: Counter[str] = Counter()
    failed: list[Report] = []
    runs = 0
    scenarios = (arguments.scenario,) if arguments.scenario else quarry(arguments.ring)
    found = hunt(
        scenarios,
        arguments.hunt,
        workers=arguments.workers,
        first_seed=first_seed,
        ring=arguments.ring,
    )
    for each in found:
        runs += 1
        seen += each.seen
        if each.rule:
            failed.append(each)
            sys.stdout.write(f"{each.scenario} {each.seed}: {each.rule}: {each.text}\n")
    seconds = time.monotonic() - began
    sys.stdout.write(hunt_report(runs, seconds, seen, failed) + "\n")
    if failed:
        first = failed[0]
        result = run(first.scenario, first.seed, ring=arguments.ring)
        sys.stdout.write(failure(result, shrink(first.scenario, first.seed, result)) + "\n")
    is_covered = not (arguments.demand_coverage and missing(seen))
    return 0 if not failed and is_covered else 1


if __name__ == "__main__":
    sys.exit(main())
