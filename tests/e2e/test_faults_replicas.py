"""Two replicas of each service: the one at work is killed, or frozen and late."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from headrace_lab.application import CANARY, STABLE, Application, Edit
from headrace_lab.edits import measures_without_traffic, pauses, together
from headrace_lab.facts import doubled_facts, repeated_steps
from headrace_lab.lab import Lab
from headrace_lab.proxy import Hold, Match, matching
from headrace_lab.proxy_http import ApiProxy
from headrace_lab.services import THREE, Fleet, LabService
from headrace_lab.timeline import unserved_shares

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

MakeApplication = Callable[..., Application]
MakeFleet = Callable[..., Fleet]

FIRST_PAUSE, SECOND_PAUSE = 2, 5
HOLD_SECONDS = 20.0
QUIET_SECONDS = 1.0

A_ROUTE_REQUEST = matching(kind="PATCH", target="/rollouts/.*/status", contains='"validUntil":"')
A_ROUTE_WRITE = matching(kind="PATCH", target="/trafficsplits/")
A_MEASUREMENT = matching(kind="PATCH", target="/analysisruns/", contains='"measurements"')


def waiting_and_measuring(lab: Lab) -> Edit:
    return together(pauses(None, None), measures_without_traffic(lab.prometheus_url))


def wait_more_successes(application: Application) -> None:
    before = application.measurements("Successful")
    application.wait(
        lambda: application.measurements("Successful") >= before + 2, "more measurements"
    )


def test_a_standby_takes_over_from_a_killed_replica(
    lab: Lab, fleets: MakeFleet, applications: MakeApplication
) -> None:
    fleet = fleets("pairs")
    standbys = {name: fleet.add_standby(name) for name in THREE}
    application = applications(fleet.instance_id, has_processes=False)
    application.deploy("canary-with-metrics", waiting_and_measuring(lab))

    application.set_image("v2")
    application.wait(lambda: application.hash_of("v2"), "a canary")
    fleet["rollout-controller"].kill()
    application.wait_paused(FIRST_PAUSE)

    fleet["traffic-router"].kill()
    application.promote()
    application.wait_paused(SECOND_PAUSE)
    assert application.weights() == {STABLE: 67, CANARY: 33}

    application.wait(lambda: application.measurements("Successful") >= 1, "a measurement")
    fleet["analysis-runner"].kill()
    wait_more_successes(application)

    application.promote()
    application.wait_phase("Healthy")
    application.wait_weight(0)
    application.wait(
        lambda: [run["status"]["phase"] for run in application.runs()] == ["Successful"],
        "the analysis is over",
    )
    assert all(standby.has_leases() for standby in standbys.values())
    assert len(application.replica_sets()) == 2
    assert unserved_shares(application.recording) == []
    records = fleet.records(application.key())
    assert doubled_facts(records) == repeated_steps(records) == []


@dataclass
class Frozen:
    """The replica at work, frozen while a write of it is on its way to the API server."""

    service: LabService
    proxy: ApiProxy
    match: Match

    def freeze(self, at: Callable[[], None]) -> Hold:
        """Freeze it when it answers to what happens with such a write."""
        hold = self.proxy.hold(self.match)
        at()
        hold.wait(HOLD_SECONDS)
        self.service.suspend()
        return hold

    def thaw(self, hold: Hold) -> int | None:
        """Let the late write arrive and the replica go on; return the API server's answer."""
        before = self.proxy.count(self.match)
        hold.release()
        deadline = time.monotonic() + HOLD_SECONDS
        while self.proxy.count(self.match) == before:
            assert time.monotonic() < deadline, "the late write never arrived"
            time.sleep(0.02)
        self.service.resume()
        return self.proxy.exchanges(self.match)[before].status


@pytest.fixture
def pairs(lab: Lab, fleets: MakeFleet) -> Iterator[tuple[Fleet, dict[str, Frozen]]]:
    """Services of which the replica at work can be frozen, and another one stands by."""
    matches = {
        "rollout-controller": A_ROUTE_REQUEST,
        "traffic-router": A_ROUTE_WRITE,
        "analysis-runner": A_MEASUREMENT,
    }
    with ExitStack() as stack:
        fleet = fleets("frozen", is_started=False)
        frozen = {}
        for name, match in matches.items():
            proxy = stack.enter_context(ApiProxy(lab, name))
            fleet[name].kubeconfig = proxy.kubeconfig
            frozen[name] = Frozen(fleet[name], proxy, match)
        fleet.start()
        for name in THREE:
            fleet.add_standby(name)
        yield fleet, frozen
        fleet.stop()


def test_what_a_frozen_replica_writes_late_does_no_harm(
    lab: Lab, pairs: tuple[Fleet, dict[str, Frozen]], applications: MakeApplication
) -> None:
    fleet, frozen = pairs
    application = applications(fleet.instance_id, has_processes=False)
    application.deploy("canary-with-metrics", waiting_and_measuring(lab))
    application.set_image("v2")
    application.wait_paused(FIRST_PAUSE)

    def is_aborted() -> bool:
        return application.canary_weight == 0 and application.status().get("abort") is True

    # A controller that asks for more traffic, and a router that gives it, after an abort.
    for name, refusals in (("rollout-controller", {409}), ("traffic-router", {409, 422})):
        hold = frozen[name].freeze(application.promote)
        application.wait_paused(SECOND_PAUSE)
        assert application.canary_weight == 33
        application.abort()
        application.wait_phase("Degraded")
        application.wait(is_aborted, "all traffic at the stable version")
        assert frozen[name].thaw(hold) in refusals
        application.recording.stays(is_aborted, "aborted", QUIET_SECONDS)
        application.retry()
        application.wait_paused(FIRST_PAUSE)

    # A runner with a measurement that another one has made meanwhile.
    hold = frozen["analysis-runner"].freeze(application.promote)
    application.wait_paused(SECOND_PAUSE)
    wait_more_successes(application)
    assert frozen["analysis-runner"].thaw(hold) == 409
    wait_more_successes(application)

    application.promote()
    application.wait_phase("Healthy")
    assert unserved_shares(application.recording) == []
    assert doubled_facts(fleet.records(application.key())) == []
