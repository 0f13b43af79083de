"""Speed and cost of many canaries at once, on a lab of its own; `make bench` runs it.

Phases: deploy all; promote single canaries, one after the other; give all another image and wait
until they pause at the first weight; promote all at once; abort all at once. Each mode has a lab
of its own, whose API server writes an audit log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from headrace_lab.bench_canaries import ABORT, PROMOTE, WEIGHTS, Canaries
from headrace_lab.bench_cost import (
    Meter,
    count_requests,
    fixed_work_milliseconds,
    read_audit_log,
)
from headrace_lab.bench_report import Phase, Result, as_json, checks, report
from headrace_lab.credentials import IDENTITIES
from headrace_lab.kube import Kube
from headrace_lab.lab import Lab
from headrace_lab.progress import Progress
from headrace_lab.services import THREE, Fleet, LabService
from headrace_lab.state import Options

MODES = ("all-in-one", "kafka")
IDLE_CANARIES = 5
QUIET_SECONDS = 10.0
"""How long after the abort requests still count."""
REST_SECONDS = 2.0
"""Pause before a phase, so that it does not pay for the one before."""
TIMEOUT_SECONDS = 300.0


def main() -> int:
    """Measure each mode, print the reports; 1 when a target is missed and that counts."""
    arguments = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left running
    results = []
    for mode in arguments.mode or MODES:
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as temporary:
            folder = (arguments.dir or Path(temporary)) / mode
            result = measure(mode, arguments.count, folder, Progress())
        sys.stdout.write(report(result) + "\n")
        sys.stdout.flush()
        results.append(result)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([as_json(each) for each in results], indent=2) + "\n")
    is_kept = all(check.is_kept for result in results for check in checks(result))
    return int(arguments.strict and not is_kept)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=300, help="canaries; 60 for a short look")
    parser.add_argument(
        "--mode", action="append", choices=MODES, help="one process, or three with Kafka; both"
    )
    parser.add_argument("--dir", type=Path, help="folder of the labs; their logs stay there")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--strict", action="store_true", help="fail when a target is missed")
    return parser.parse_args(argv)


def measure(mode: str, count: int, folder: Path, progress: Progress) -> Result:
    """Start a lab and the services, run all phases, and stop everything again."""
    parts = ["kubernetes", "pods", *(["kafka"] if mode == "kafka" else [])]
    options = Options(profile="throughput", audit=True)
    lab = Lab.start(folder, parts=parts, options=options, progress=Progress(quiet=True))
    try:
        fleet = services(lab, mode)
        try:
            fleet.start()
            return asyncio.run(Benchmark(lab, fleet, mode, count, progress).run())
        finally:
            fleet.stop()
    finally:
        lab.stop()


def services(lab: Lab, mode: str) -> Fleet:
    """Return the services of a mode, with their defaults."""
    if mode == "all-in-one":
        return Fleet([LabService(lab, "all-in-one", flags={"bus": "memory"})])
    flags = {"bus": "kafka", "bootstrap-servers": lab.bootstrap_servers}
    return Fleet([LabService(lab, name, flags=flags) for name in THREE])


class Benchmark:
    """One run in one mode, over a lab and services that run."""

    def __init__(self, lab: Lab, fleet: Fleet, mode: str, count: int, progress: Progress) -> None:
        self._lab = lab
        self._fleet = fleet
        self._mode = mode
        self._count = count
        self._progress = progress
        self._phases: list[Phase] = []
        self._meter = Meter({})

    async def run(self) -> Result:
        """Run all phases."""
        self._meter = Meter(self._pids())
        whole = Meter(self._pids())
        async with Kube.from_kubeconfig(self._lab.kubeconfig("person")) as kube:
            each = [f"canary-{number:03}" for number in range(self._count)]
            canaries = Canaries(kube, "bench", each)
            await self._deploy(canaries)
            idle = await self._measure_idle(kube)
            fixed_work = fixed_work_milliseconds()
            begin = _now()
            whole.read()
            await self._update(canaries)
            await self._command(canaries, "promote")
            await self._command(canaries, "abort")
            await asyncio.sleep(QUIET_SECONDS)
            end, cost = _now(), whole.read()
            fixed_work = (fixed_work + fixed_work_milliseconds()) / 2
        names = self._names()
        users = {who.user: who.name for who in IDENTITIES if who.name in names}
        requests = count_requests(read_audit_log(self._lab.audit_log), users, begin, end)
        phases, mode, count = self._phases, self._mode, self._count
        return Result(mode, count, names, phases, idle, requests, cost, fixed_work)

    async def _deploy(self, canaries: Canaries) -> None:
        with self._progress.step(f"{self._mode}: deploy {self._count} canaries"):
            self._meter.read()
            await canaries.deploy()
            await canaries.wait_phase("Healthy", timeout_seconds=TIMEOUT_SECONDS)
            self._phases.append(Phase("deploy", (), self._meter.read()))

    async def _measure_idle(self, kube: Kube) -> list[float]:
        """Promote single canaries while nothing else happens."""
        found = []
        with self._progress.step(f"{self._mode}: single idle canaries"):
            for number in range(IDLE_CANARIES):
                single = Canaries(kube, "bench-idle", [f"idle-{number}"])
                await single.deploy()
                await single.wait_phase("Healthy", timeout_seconds=TIMEOUT_SECONDS)
                await single.set_image("bench:v2")
                await single.wait_phase(
                    "Paused", weight=WEIGHTS[0], timeout_seconds=TIMEOUT_SECONDS
                )
                await asyncio.sleep(REST_SECONDS)
                reactions = await single.command(PROMOTE, WEIGHTS[1], TIMEOUT_SECONDS)
                found += reactions.seconds()
        return found

    async def _update(self, canaries: Canaries) -> None:
        with self._progress.step(f"{self._mode}: new image, to the pause at {WEIGHTS[0]}"):
            self._meter.read()
            await canaries.set_image("bench:v2")
            await canaries.wait_phase("Paused", weight=WEIGHTS[0], timeout_seconds=TIMEOUT_SECONDS)
            self._phases.append(Phase("update", (), self._meter.read()))

    async def _command(self, canaries: Canaries, name: str) -> None:
        body, weight, phase = (
            (PROMOTE, WEIGHTS[1], "Paused") if name == "promote" else (ABORT, 0, "Degraded")
        )
        with self._progress.step(f"{self._mode}: {name} all"):
            await asyncio.sleep(REST_SECONDS)
            self._meter.read()
            reactions = await canaries.command(body, weight, TIMEOUT_SECONDS)
            self._phases.append(Phase(name, reactions.seconds(), self._meter.read()))
            await canaries.wait_phase(phase, weight=weight, timeout_seconds=TIMEOUT_SECONDS)

    def _names(self) -> tuple[str, ...]:
        return tuple(service.name for service in self._fleet.services)

    def _pids(self) -> dict[str, int]:
        parts = {part.name: part.pid for part in self._lab.status() if part.pid is not None}
        ours = {
            service.name: service.process.pid
            for service in self._fleet.services
            if service.process is not None
        }
        return {**ours, **parts}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: TID251


if __name__ == "__main__":
    sys.exit(main())
