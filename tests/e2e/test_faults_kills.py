"""Each service killed again and again over one canary, at the worst moments and by chance."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from headrace_lab.application import CANARY, ROOT, STABLE, Application
from headrace_lab.edits import measures_without_traffic, pauses, together
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

SEED = 1
FIRST_PAUSE, SECOND_PAUSE = 2, 5
SECTION_SECONDS = 400.0
QUICK_LEASES = {
    "lease-duration-seconds": "1.6",
    "lease-renew-seconds": "0.5",
    "lease-retry-seconds": "0.3",
}

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


NAMED: tuple[dict[str, tuple[KillPoint, ...]], ...] = (
    {
        "rollout-controller": (AFTER_SERVICE_SWITCH, AFTER_INTENT),
        "traffic-router": (BEFORE_ACKNOWLEDGEMENT,),
    },
    {"rollout-controller": (AFTER_RUN,), "analysis-runner": (AFTER_MEASUREMENT,)},
    {},
)
"""The named points of each section: up to each pause, and after the last."""


def shares(kills: int) -> tuple[dict[str, int], ...]:
    """How often each service is killed in each section, so many times in all.

    The runner has nothing to do before the second.
    """
    part = 2 * kills // 5
    first = {"rollout-controller": part, "traffic-router": part, "analysis-runner": 1}
    second = {"rollout-controller": part, "traffic-router": part, "analysis-runner": kills - 2}
    last = {name: kills - first[name] - second[name] for name in THREE}
    return first, second, last


@pytest.fixture
def services(fleets: MakeFleet, is_long: bool) -> Fleet:
    """Not started yet; a Lease that a killed one leaves soon expires."""
    made = fleets("kills", is_started=False)
    if not is_long:
        for service in made.services:
            service.flags |= QUICK_LEASES
    return made


@pytest.fixture
def killers(lab: Lab, services: Fleet, is_long: bool) -> Iterator[dict[str, Killer]]:
    """Services behind proxies, and who kills them."""
    with ExitStack() as stack:
        rng = random.Random(SEED)
        made = {}
        for name in THREE:
            api = stack.enter_context(ApiProxy(lab, name))
            bus = stack.enter_context(KafkaProxy(lab, name))
            services[name].kubeconfig = api.kubeconfig
            services[name].flags["bootstrap-servers"] = bus.bootstrap_servers
            own_rng = random.Random(rng.random())
            idle_seconds = 13.0 if is_long else 3.0
            made[name] = Killer(services[name], api, bus, own_rng, idle_seconds)
        services.start()
        yield made
        services.stop()


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
    record_property: Callable[[str, object], None],
) -> None:
    application = applications(services.instance_id)
    measures = measures_without_traffic(lab.prometheus_url)
    application.deploy("canary-with-metrics", together(pauses(None, None), measures))
    first, second, last = zip(NAMED, shares(kills), strict=True)

    with loads(application, rate=50) as load:
        begin(killers, *first)
        application.set_image("v2")
        end(killers)
        application.wait_paused(FIRST_PAUSE)
        assert application.weights() == {STABLE: 90, CANARY: 10}

        begin(killers, *second)
        application.promote()
        end(killers)
        application.wait_paused(SECOND_PAUSE)
        assert application.weights() == {STABLE: 67, CANARY: 33}

        begin(killers, *last)
        application.promote()
        end(killers)
        application.wait_phase("Healthy")
        application.wait(lambda: application.sizes == {"v1": 0, "v2": 4}, "v1 is scaled down")
        report = load.stop()

    assert_end_state(application)
    hits = {name: killer.hits for name, killer in killers.items()}
    record_property("kills", {"seed": SEED, **hits})
    record_property("kills", {"seed": SEED, **hits})
    assert all(len(each) >= kills - 1 for each in hits.values()), hits
    assert report.failed_without_version == 0, (SEED, hits, report.to_text())
    assert unserved_shares(application.recording) == [], (SEED, hits)
    assert len(application.recording.names(REPLICA_SETS)) == 2, (SEED, hits)
    assert len(application.recording.names(ANALYSIS_RUNS)) == 1, (SEED, hits)
    records = services.records(application.key())
    assert doubled_facts(records) == [], (SEED, hits)
    assert repeated_steps(records) == [], (SEED, hits)


def begin(
    killers: dict[str, Killer], named: dict[str, tuple[KillPoint, ...]], kills: dict[str, int]
) -> None:
    for name, killer in killers.items():
        points = named.get(name, ())
        killer.begin(points, max(kills[name] - len(points), 0))


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
    assert application.measurements("Successful") >= 1
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
