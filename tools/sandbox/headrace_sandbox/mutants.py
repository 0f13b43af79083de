"""Mutation proof: without any one of these protections, a hunt fails within a minute.

A mutant is a small edit of the source in a copy of the tree. What finds it must be a rule of the
world, not an error of the mutant itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from headrace_sandbox.simulation import Ring

WILD: Final = "wild"
SECONDS: Final = 60.0
"""A hunt for a mutant takes no longer."""

NOT_OF_THE_WORLD: Final = ("no reconcile crashes",)
"""Rules that an error of the mutant itself would violate."""

_ROOT: Final = Path(__file__).parents[3]
_HOMES: Final = (
    "shared",
    "services/rollout-controller",
    "services/traffic-router",
    "services/analysis-runner",
    "tools/sandbox",
)
_GRACE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Edit:
    """A text that stands once in a file, and what stands there instead."""

    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A tree without one protection.

    Attributes:
        name: The protection that is missing.
        edits: How it is removed.
        scenario: Where it is looked for; empty for what a hunt plays.
        seed: Finds it.
    """

    name: str
    edits: tuple[Edit, ...]
    scenario: str = WILD
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Catch:
    """How a mutant was found; an empty rule when it was not."""

    seed: int
    rule: str
    text: str


ROUTER: Final = "services/traffic-router/traffic_router"
CONTROLLER: Final = "services/rollout-controller/rollout_controller"

MUTANTS: Final = (
    Mutant(
        "epoch check",
        (
            Edit(
                f"{ROUTER}/core/objects.py",
                "if reading.fence is not None and reading.fence.epoch > document.epoch:",
                "if False:",
            ),
            Edit(
                f"{ROUTER}/core/invariants.py",
                "found is None or found.epoch <= fence.epoch",
                "True",
            ),
        ),
        scenario="router-takes-over-with-an-old-cache",
    ),
    Mutant(
        "uid in the fence",
        (
            Edit(
                "shared/headrace/ids.py",
                'f"headrace.io/route.{hashlib.sha256(uid.encode()).hexdigest()[:10]}"',
                '"headrace.io/route." + hashlib.sha256(b"").hexdigest()[:10]',
            ),
            Edit(f"{ROUTER}/gather.py", "and fence.uid != uid\n", "and False\n"),
        ),
        scenario="storm-gateway",
    ),
    Mutant(
        "share of unacknowledged routes",
        (
            Edit(
                f"{CONTROLLER}/core/routers.py",
                "for pod_hash, weight in shares_of(route).items():",
                "for pod_hash, weight in ():",
            ),
        ),
        scenario="steps-edited-while-route-is-unacknowledged",
    ),
    Mutant(
        "Service observed before the weight",
        (
            Edit(
                f"{CONTROLLER}/core/route.py",
                "return service is not None and service.pod_hash == pod_hash",
                "return True",
            ),
        ),
        scenario="storm-over-one-canary",
        seed=7,
    ),
    Mutant(
        "expiry of raises",
        (
            Edit(
                "shared/headrace/routes/fence.py",
                "return server_now is None or server_now > valid_until",
                "return False",
            ),
            Edit(
                f"{ROUTER}/act.py",
                "return offset is None or self._clock.now() + offset > write.not_after",
                "return False",
            ),
        ),
        scenario="raise-expires-unread",
    ),
    Mutant(
        "claim last",
        (
            Edit(
                f"{CONTROLLER}/act.py",
                "        for effect in plan.effects:\n",
                "        if plan.claim is not None:\n"
                "            early = stored_status(plan.claim.status, plan.claim.headrace)\n"
                "            await self._write_status(observed, early, written)\n"
                "        for effect in plan.effects:\n",
            ),
        ),
        scenario="storm-analysis",
    ),
    Mutant(
        "read-back",
        (
            Edit(
                "shared/headrace/routes/readings.py",
                "level = fence.level if fence is not None and is_held else None",
                'level: Level | None = fence.level if fence is not None else "written"',
            ),
        ),
        scenario="route-read-back-without-broker",
    ),
    Mutant(
        "abort while a route is unacknowledged",
        (
            Edit(
                f"{ROUTER}/core/objects.py",
                "if is_raise and rollout.is_aborted and not document.aborted:",
                "if False:",
            ),
            Edit(
                f"{ROUTER}/core/invariants.py",
                "not is_raise or document.aborted or not rollout.is_aborted",
                "True",
            ),
        ),
        scenario="abort-while-route-is-unacknowledged",
    ),
    Mutant(
        "resourceVersion on status",
        (
            Edit(
                f"{CONTROLLER}/act.py",
                'body = {"metadata": {"resourceVersion": written.resource_version}, '
                '"status": changes}',
                'body = {"status": changes}',
            ),
        ),
        scenario="storm-over-one-canary",
        seed=59,
    ),
    Mutant(
        "Lease check before a write",
        (Edit("shared/headrace/runtime/guard.py", "if not self._may_write():", "if False:"),),
        scenario="frozen-in-the-middle-of-a-pass",
        seed=3011,
    ),
)


def find(mutant: Mutant, *, seed: int, seconds: float, ring: Ring = "shells") -> Catch:
    """Hunt for a mutant from a seed on, for so long at most."""
    with mutated(mutant) as root:
        homes = os.pathsep.join(str(root / home) for home in _HOMES)
        where = ["--scenario", mutant.scenario] if mutant.scenario else []
        command = [sys.executable, "-m", "headrace_sandbox", *where]
        done = subprocess.run(
            [*command, "--ring", ring, "--until-violation", str(seconds), "--seed", str(seed)],
            env={**os.environ, "PYTHONPATH": homes},
            cwd=root,
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE_SECONDS,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return Catch(**found)


@contextmanager
def mutated(mutant: Mutant) -> Iterator[Path]:
    """Yield the root of a copy of the tree without the protection."""
    with TemporaryDirectory(prefix="headrace-mutant-") as folder:
        root = Path(folder)
        ignore = shutil.ignore_patterns("__pycache__", "tests")
        for home in _HOMES:
            shutil.copytree(_ROOT / home, root / home, ignore=ignore)
        for edit in mutant.edits:
            path = root / edit.path
            path.write_text(edited(path.read_text(), edit))
        yield root


def edited(text: str, edit: Edit) -> str:
    """Return a source text with an edit made. Raises ValueError when it does not fit once."""
    if text.count(edit.before) != 1:
        raise ValueError(f"{edit.path} has {text.count(edit.before)} times: {edit.before}")
    return text.replace(edit.before, edit.after)
