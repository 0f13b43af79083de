"""The scenario of hunts: other applications, steps and stories with every seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from headrace_sandbox.edits import EDITS, NUMBERS
from headrace_sandbox.faults import STORM
from headrace_sandbox.plugins import OVER_HTTP, OVER_KAFKA
from headrace_sandbox.scenario import Happening, Scenario
from headrace_sandbox.turns import TURNS
from headrace_sandbox.workload import ANALYSIS, QUICK, TEMPLATE, Application

_SECONDS: Final = 150.0

_BACK: Final = {
    "to-blue-green": "to-canary",
    "to-canary": "to-blue-green",
    "remove-router": "add-router",
}
"""What undoes a turn, where another one does."""


def wild(seed: int, *, is_plain: bool = False) -> Scenario:
    """Return the scenario of a seed; a plain one has nothing that the pure cores cannot play."""
    rng = Random(f"wild/{seed}")
    count = rng.choice((1, 1, 2))
    shared = "shared" if rng.random() < 0.3 else ""
    applications = tuple(_application(rng, f"app{n}", shared) for n in range(count))
    if is_plain:
        applications = tuple(_plain(each) for each in applications)
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
        happenings=(*story, *_rarities(seed, applications)),
        seconds=_SECONDS,
        replicas=2,
        seed=seed,
    )


def _rarities(seed: int, applications: Sequence[Application]) -> Iterator[Happening]:
    """Yield what users would do too seldom by chance."""
    rng = Random(f"wild/{seed}/rarities")
    for each in applications:
        if rng.random() < 0.2:
            begin = rng.uniform(0, 60)
            yield Happening("pause", each.name, at=begin)
            yield Happening("abort" if rng.random() < 0.3 else "promote", each.name, at=begin + 20)
            yield Happening("resume", each.name, at=begin + rng.uniform(10, 50))
        if rng.random() < 0.2:
            yield Happening("remove-router", each.name, at=rng.uniform(5, 90))
        if rng.random() < 0.15:
            yield Happening("undo", each.name, at=rng.uniform(20, 120))
        yield from _edits(seed, each)
        yield from _turns(seed, each)


def _edits(seed: int, application: Application) -> Iterator[Happening]:
    """Yield what people edit beside versions, often enough to meet an update under way."""
    rng = Random(f"wild/{seed}/{application.name}/edits")
    if rng.random() < 0.5:
        for _ in range(rng.randint(1, 3)):
            edit, number = rng.choice([*EDITS]), rng.randrange(NUMBERS)
            yield Happening(edit, application.name, number, at=rng.uniform(3, 130))


def _turns(seed: int, application: Application) -> Iterator[Happening]:
    """Yield how people make another kind of Rollout of it, and sometimes the first kind again."""
    rng = Random(f"wild/{seed}/{application.name}/turns")
    if rng.random() < 0.3:
        turn, number, at = rng.choice([*TURNS]), rng.randrange(NUMBERS), rng.uniform(3, 110)
        yield Happening(turn, application.name, number, at=at)
        back = _BACK.get(turn, turn)
        yield Happening(back, application.name, number, at=at + rng.uniform(1, 40))


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
    spec: dict[str, Any] = {"progressDeadlineSeconds": rng.choice((3600, 3600, 30, 10))}
    if rng.random() < 0.2:
        spec["revisionHistoryLimit"] = rng.randint(0, 1)
    if rng.random() < 0.2:
        spec["rollbackWindow"] = {"revisions": rng.randint(1, 3)}
    scale_down = rng.choice(("never", "onsuccess", "progressively")) if rng.random() < 0.15 else ""
    common = Application(name, replicas=rng.randint(1, 4), spec=spec, scale_down=scale_down)
    if rng.random() < 0.3:
        return replace(common, router="", blue_green=_blue_green(rng))
    router = rng.choice(("smi", "smi", "gateway", "gateway", ""))
    steps = _named(_steps(rng, router), name)
    if rng.random() < 0.1:
        steps = [_experiment(rng, is_weighted=bool(router)), *steps]
    if any("plugin" in step for step in steps):
        spec["progressDeadlineSeconds"] = 3600  # no worker is asked once it is exceeded (canary 9)
    return replace(
        common,
        router=router,
        steps=steps,
        canary=_canary(rng, is_routed=bool(router)),
        route=shared if router == "gateway" else "",
        ping_pong=router == "gateway" and rng.random() < 0.25,
    )


def _plain(application: Application) -> Application:
    """Return an application without workload, Experiments and step plugins."""
    steps = [step for step in application.steps if not step.keys() & {"experiment", "plugin"}]
    return replace(application, steps=steps, scale_down="")


def _canary(rng: Random, *, is_routed: bool) -> dict[str, Any]:
    canary: dict[str, Any] = {}
    if rng.random() < 0.3:
        canary["analysis"] = {**_analysis(rng), "startingStep": rng.randint(0, 2)}
    if not is_routed:
        return canary | rng.choice(
            ({}, {"maxSurge": 1, "maxUnavailable": 0}, {"maxUnavailable": 1})
        )
    is_dynamic = rng.random() < 0.25
    if is_dynamic:
        canary["dynamicStableScale"] = True
    elif rng.random() < 0.5:
        canary["scaleDownDelaySeconds"] = rng.choice((0, 5, 15))
    if rng.random() < 0.5:
        canary["abortScaleDownDelaySeconds"] = rng.choice((0, 5, 15))
    if rng.random() < 0.2 and not is_dynamic:
        canary["scaleDownDelayRevisionLimit"] = rng.randint(0, 1)
    return canary


def _analysis(rng: Random) -> dict[str, Any]:
    """Return an analysis that takes a while, or one that is over when it has begun."""
    return {**ANALYSIS, "templates": [{"templateName": rng.choice((TEMPLATE, TEMPLATE, QUICK))}]}


def _blue_green(rng: Random) -> dict[str, Any]:
    strategy: dict[str, Any] = {}
    if rng.random() < 0.5:
        strategy["autoPromotionEnabled"] = False
    if rng.random() < 0.4:
        strategy["autoPromotionSeconds"] = rng.choice((5, 15))
    if rng.random() < 0.4:
        strategy["previewReplicaCount"] = rng.randint(1, 2)
    for field in ("prePromotionAnalysis", "postPromotionAnalysis"):
        if rng.random() < 0.3:
            strategy[field] = _analysis(rng)
    for field in ("scaleDownDelaySeconds", "abortScaleDownDelaySeconds"):
        if rng.random() < 0.5:
            strategy[field] = rng.choice((0, 5, 15))
    if rng.random() < 0.2:
        strategy["previewService"] = None
    return strategy


def _steps(rng: Random, router: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for weight in sorted(rng.sample((5, 10, 20, 33, 50, 75, 100), rng.randint(1, 3))):
        if router and rng.random() < 0.2:
            steps.append({"setCanaryScale": rng.choice(_SCALES)})
        if router == "gateway" and rng.random() < 0.3:
            steps.append(rng.choice((_HEADER, _HEADER, _MIRROR, _NO_HEADER)))
        steps.append({"setWeight": weight})
        if rng.random() < 0.2:
            steps.append(_experiment(rng, is_weighted=bool(router) and weight <= 75))
        steps.append(
            rng.choice(
                (
                    {"pause": {}},
                    {"pause": {}},
                    {"pause": {"duration": rng.choice((1, 5, "10s"))}},
                    {"analysis": _analysis(rng)},
                    {"plugin": _plugin(rng)},
                )
            )
        )
    return steps


def _named(steps: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return steps whose managed routes are an application's own, also in a shared HTTPRoute."""
    kinds = ("setHeaderRoute", "setMirrorRoute")
    return [
        {
            kind: {**body, "name": f"{body['name']}-{name}"} if kind in kinds else body
            for kind, body in step.items()
        }
        for step in steps
    ]


def _experiment(rng: Random, *, is_weighted: bool) -> dict[str, Any]:
    templates: list[dict[str, Any]] = [
        {"name": "baseline", "specRef": "stable"},
        {"name": "candidate", "specRef": "canary"},
    ]
    if is_weighted and rng.random() < 0.6:
        templates = [{**each, "weight": rng.choice((1, 5, 10))} for each in templates]
    elif rng.random() < 0.3:
        templates[0]["name"] = _LONG
    experiment: dict[str, Any] = {"templates": templates}
    if rng.random() < 0.7:
        experiment["duration"] = rng.choice(("5s", "20s"))
    if rng.random() < 0.4:
        value = "{{templates.candidate.podTemplateHash}}"
        experiment["analyses"] = [
            {
                "name": "errors",
                "templateName": TEMPLATE,
                "requiredForCompletion": True,
                "args": [{"name": "hash", "value": value}],
            }
        ]
    return {"experiment": experiment}


def _plugin(rng: Random) -> dict[str, Any]:
    name = rng.choice((OVER_HTTP, OVER_KAFKA))
    return {"name": name, "config": {"executions": rng.randint(1, 2)}}


_SCALES: Final = ({"weight": 25}, {"replicas": 1}, {"matchTrafficWeight": True})
_MATCH: Final = [{"headerName": "x-tester", "headerValue": {"exact": "yes"}}]
_HEADER: Final = {"setHeaderRoute": {"name": "testers", "match": _MATCH}}
_NO_HEADER: Final = {"setHeaderRoute": {"name": "testers"}}
_MIRROR: Final = {
    "setMirrorRoute": {"name": "shadow", "percentage": 20, "match": [{"method": {"exact": "GET"}}]}
}
_LONG: Final = "a-baseline-whose-name-is-so-long-that-it-fits-in-no-label"
