"""What a failure and a hunt look like for people."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import Final

from headrace_sandbox.checkers.edges import EDGES
from headrace_sandbox.checkers.rows import ROWS
from headrace_sandbox.faults import Fault, Kind
from headrace_sandbox.running import Report
from headrace_sandbox.simulation import CLOCK_SKEW, Result
from headrace_sandbox.users import BY_CHANCE

_LINES_SHOWN: Final = 60


def failure(result: Result, faults: Sequence[Fault]) -> str:
    """Return the report of a failed run: rule, faults, the end of its story, how to replay it."""
    first = result.violations[0]
    file = Path(gettempdir()) / f"headrace-sandbox-{result.scenario}-{result.seed}.json"
    file.write_text(json.dumps([fault.dump() for fault in faults]))
    lines = result.story.text().splitlines()[-_LINES_SHOWN:]
    replay = (
        f"headrace-sandbox --scenario {result.scenario} --seed {result.seed} "
        f"--ring {result.ring} --faults {file} --story"
    )
    return "\n".join(
        (
            f"VIOLATED: {first.rule}: {first.text}",
            f"seed {result.seed}, commit {_commit()}, {len(faults)} faults:",
            *(f"  {fault.kind} {fault.where} #{fault.number} {fault.size}" for fault in faults),
            "the story ends:",
            *(line[:240] for line in lines),
            f"replay: {replay}",
        )
    )


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def expected() -> list[str]:
    """Return everything that a long hunt must meet."""
    return [
        *(f"fault {kind}" for kind in Kind),
        CLOCK_SKEW,
        *(f"action {name}" for name in sorted(set(BY_CHANCE))),
        *(f"row {row}" for row in ROWS),
        *(f"edge {edge}" for edge in EDGES),
    ]


def missing(seen: Counter[str]) -> list[str]:
    """Return what a hunt did not meet."""
    return [name for name in expected() if not seen[name]]


def hunt_report(runs: int, seconds: float, seen: Counter[str], failed: Sequence[Report]) -> str:
    """Return how a hunt went, and what it met."""
    lines = [f"{runs} runs in {seconds:.0f} s, {len(failed)} failed"]
    lines += [f"  {seen[name]:>8}  {name}" for name in expected()]
    absent = missing(seen)
    if absent:
        lines.append(f"never met: {', '.join(absent)}")
    return "\n".join(lines)
