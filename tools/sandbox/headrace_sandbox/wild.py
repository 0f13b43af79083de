"""The scenario of hunts: other applications, steps and stories with every seed."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from headrace_sandbox.faults import STORM
from headrace_sandbox.scenario import Happening, Scenario
from headrace_sandbox.workload import ANALYSIS, Application

_SECONDS: Final = 150.0


def wild(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = Random(f"wild/{seed}")
    count = rng.choice((1, 1, 2))
    shared = "shared" if rng.random() < 0.3 else ""
    applications = tuple(_application(rng, f"app{n}", shared) for n in range(count))
    story = [
        Happening("set-image", each.name, rng.choice(("good", "good", "bad", "slow")), at=at)
        for each in applications
        for at in (rng.uniform(1, 5), rng.uniform(40, 90))
    ]
    return Scenario(
        "wild",
        about="Whatever the seed brings.",
        applications=applications,
        plan=STORM if rng.random() < 0.8 else STORM.with_ratios(_calm()),
        happenings=tuple(story),
        seconds=_SECONDS,
        replicas=2,
        seed=seed,
    )


def _calm() -> dict[str, float]:
    """Most of what a storm brings, left out: users alone, with a busy API server."""
    return {
        "crash_ratio": 0.0,
        "freeze_ratio": 0.0,
        "partition_ratio": 0.0,
        "api_outage_ratio": 0.0,
        "broker_outage_ratio": 0.0,
        "user_ratio": 0.06,
    }


def _application(rng: Random, name: str, shared: str) -> Application:
    router = rng.choice(("smi", "smi", "gateway", "gateway", ""))
    canary: dict[str, Any] = {}
    if rng.random() < 0.3:
        canary["analysis"] = {**ANALYSIS, "startingStep": rng.randint(0, 2)}
    if router:
        for field in ("scaleDownDelaySeconds", "abortScaleDownDelaySeconds"):
            if rng.random() < 0.5:
                canary[field] = rng.choice((0, 5, 15))
    else:
        canary |= rng.choice(({}, {"maxSurge": 1, "maxUnavailable": 0}, {"maxUnavailable": 1}))
    spec = {"progressDeadlineSeconds": 3600}
    return Application(
        name,
        router=router,
        replicas=rng.randint(1, 4),
        steps=_steps(rng, is_routed=bool(router)),
        canary=canary,
        spec=spec,
        route=shared if router == "gateway" else "",
    )


def _steps(rng: Random, *, is_routed: bool) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for weight in sorted(rng.sample((5, 10, 20, 33, 50, 75, 100), rng.randint(1, 3))):
        if is_routed and rng.random() < 0.2:
            steps.append({"setCanaryScale": rng.choice(_SCALES)})
        steps.append({"setWeight": weight})
        steps.append(
            rng.choice(
                (
                    {"pause": {}},
                    {"pause": {"duration": rng.choice((1, 5, "10s"))}},
                    {"analysis": ANALYSIS},
                )
            )
        )
    return steps


_SCALES: Final = ({"weight": 25}, {"replicas": 1}, {"matchTrafficWeight": True})
