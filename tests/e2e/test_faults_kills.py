"""Each service killed again and again over one canary, at the worst moments and by chance."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from headrace_lab.application import CANARY, ROOT, STABLE, Application
from headrace_lab.facts import doubled_facts, repeated_steps
from headrace_lab.killing import Killer, KillPoint
from headrace_lab.lab import Lab
from headrace_lab.proxy import Phase, matching
from headrace_lab.proxy_http import ApiProxy
from headrace_lab.proxy_kafka import KafkaProxy
from headrace_lab.recording import ANALYSIS_RUNS, REPLICA_SETS
from headrace_lab.services import THREE, Fleet
from headrace_lab.steady_load import SteadyLoad
from headrace_lab.timeline import unserved_shares

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

MakeApplication = Callable[..., Application]
MakeFleet = Callable[..., Fleet]
MakeLoad = Callable[..., SteadyLoad]

SEED = 20261124
FIRST_PAUSE, SECOND_PAUSE = 2, 5
SECTION_SECONDS = 400.0

AFTER_SERVICE_SWITCH = KillPoint(
    "after a Service switch",
    "api",
    matching(kind="PATCH", target=f"/services/{CANARY}$"),
    Phase.ANSWER,
)
AFTER_INTENT = KillPoint(
    "after the intent",
    "api",
    matching(kind="PATCH", target="/rollouts/[^/]+/status", contains='"validUntil":"'),
    Phase.ANSWER,
)
AFTER_RUN = KillPoint(
    "after a run was created and before the claim",
    "api",
    matching(kind="POST", target="/analysisruns"),
    Phase.ANSWER,
)
BEFORE_ACKNOWLEDGEMENT = KillPoint(
    "after the route write and before the acknowledgement",
    "bus",
    matching(kind="Produce", target="traffic", contains="headrace.route.applied.v1"),
    Phase.REQUEST,
)
AFTER_MEASUREMENT = KillPoint(
    "after a measurement was stored and before it was said",
    "bus",
    matching(kind="Produce", target="verdicts", contains="headrace.analysis.measured.v1"),
    Phase.REQUEST,
)


@dataclass(frozen=True)
class Section:
    """What is killed until the release is promoted on: named points by service, and a count."""

    points: dict[str, tuple[KillPoint, ...]]
    kills: int


def sections(kills: int) -> tuple[Section, Section, Section]:
    """The three parts of the release, with so many kills of each service in all."""
    last = kills // 5
    second = (kills - last) // 2
    return (
        Section(
            {
                "rollout-controller": (AFTER_SERVICE_SWITCH, AFTER_INTENT),
                "traffic-router": (BEFORE_ACKNOWLEDGEMENT,),
            },
            kills - second - last,
        ),
        Section(
            {"rollout-controller": (AFTER_RUN,), "analysis-runner": (AFTER_MEASUREMENT,)}, second
        ),
        Section({}, last),
    )


@pytest.fixture
def services(fleets: MakeFleet) -> Fleet:
    """Not started yet; a Lease that a killed one leaves soon expires."""
    return fleets("kills", is_started=False)


@pytest.fixture
def killers(lab: Lab, services: Fleet) -> Iterator[dict[str, Killer]]:
    """Services behind proxies, and who kills them."""
    with ExitStack() as stack:
        rng = random.Random(SEED)
        made = {}
        for name in THREE:
            api = stack.enter_context(ApiProxy(lab, name))
            bus = stack.enter_context(KafkaProxy(lab, name))
            services[name].kubeconfig = api.kubeconfig
            services[name].flags["bootstrap-servers"] = bus.bootstrap_servers
            made[name] = Killer(services[name], api, bus, random.Random(rng.random()))
        services.start()
        yield made
        services.stop()


def edit(lab: Lab) -> Callable[[dict[str, Any]], None]:
    """Pauses that wait for a person, and a measurement each second that needs no traffic."""

    def change(manifest: dict[str, Any]) -> None:
        if manifest["kind"] == "Rollout":
            for step in manifest["spec"]["strategy"]["canary"]["steps"]:
                if "pause" in step:
                    step["pause"] = {}
        if manifest["kind"] == "AnalysisTemplate":
            (metric,) = manifest["spec"]["metrics"]
            del metric["initialDelay"]
            metric["provider"]["prometheus"] = {"address": lab.prometheus_url, "query": "vector(1)"}

    return change


@pytest.fixture
def kills(is_long: bool) -> int:
    """How often each service is killed."""
    return 20 if is_long else 5


def test_a_release_survives_that_every_service_is_killed(
    lab: Lab,
    services: Fleet,
    killers: dict[str, Killer],
    applications: MakeApplication,
    loads: MakeLoad,
    kills: int,
) -> None:
    application = applications(services.instance_id)
    application.deploy("canary-with-metrics", edit(lab))
    first, second, last = sections(kills)

    with loads(application, rate=50) as load:
        begin(killers, first)
        application.set_image("v2")
        end(killers)
        application.wait_paused(FIRST_PAUSE)
        assert application.weights() == {STABLE: 90, CANARY: 10}

        begin(killers, second)
        application.promote()
        end(killers)
        application.wait_paused(SECOND_PAUSE)
        assert application.weights() == {STABLE: 67, CANARY: 33}

        begin(killers, last)
        application.promote()
        end(killers)
        application.wait_phase("Healthy")
        application.wait(lambda: application.sizes == {"v1": 0, "v2": 4}, "v1 is scaled down")
        report = load.stop()

    assert_end_state(application)
    hits = {name: killer.hits for name, killer in killers.items()}
    assert {name: len(each) for name, each in hits.items()} == dict.fromkeys(THREE, kills)
    assert report.failed_without_version == 0, (SEED, hits, report.to_text())
    assert unserved_shares(application.recording) == [], (SEED, hits)
    assert len(application.recording.names(REPLICA_SETS)) == 2, (SEED, hits)
    assert len(application.recording.names(ANALYSIS_RUNS)) == 1, (SEED, hits)
    records = services.records(application.key())
    assert doubled_facts(records) == [], (SEED, hits)
    assert repeated_steps(records) == [], (SEED, hits)


def begin(killers: dict[str, Killer], section: Section) -> None:
    for name, killer in killers.items():
        points = section.points.get(name, ())
        killer.begin(points, section.kills - len(points))


def end(killers: dict[str, Killer]) -> None:
    for killer in killers.values():
        killer.wait(SECTION_SECONDS)


def assert_end_state(application: Application) -> None:
    """The state in which an undisturbed release ends."""
    new = application.hash_of("v2")
    application.wait(
        lambda: [run["status"]["phase"] for run in application.runs()] == ["Successful"],
        "the analysis is over",
    )
    application.wait(
        lambda: application.selected(STABLE) == application.selected(CANARY) == new,
        "both Services lead to the new version",
    )
    application.wait_weight(0)
    status = application.status()
    assert status["stableRS"] == status["currentPodHash"] == new
    assert status["currentStepIndex"] == 6
    assert not status.get("abort")
    assert status["canary"]["weights"]["canary"]["weight"] == 0
    assert application.weights() == {STABLE: 100, CANARY: 0}
    assert application.selected(ROOT) == ""
