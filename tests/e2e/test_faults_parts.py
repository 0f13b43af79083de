"""What a release does while Kafka, the API server or Prometheus is away: in a lab of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace_lab.application import CANARY, NAME, STABLE, Application
from headrace_lab.edits import measures_without_traffic, pauses, together
from headrace_lab.facts import doubled_facts
from headrace_lab.lab import Lab
from headrace_lab.recording import ROLLOUTS
from headrace_lab.services import Fleet, three
from headrace_lab.steady_load import SteadyLoad
from headrace_lab.timeline import unserved_shares

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

MakeLoad = Callable[..., SteadyLoad]
MakeApplication = Callable[..., Application]

FIRST_PAUSE, SECOND_PAUSE = 2, 5
AWAY_SECONDS = 4.0
"""Longer than the Leases that tests use."""
ERROR_RETRY_SECONDS = 10.0
"""A measurement that failed to come about is tried again after so long (analysis 4)."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab whose parts may be killed."""
    lab = Lab.start(tmp_path_factory.mktemp("parts"))
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def fleet(lab: Lab, is_long: bool) -> Iterator[Fleet]:
    """Services that live through everything that happens in this file."""
    services = three(lab, {"instance-id": "parts"}, is_short=not is_long)
    try:
        pids = [service.process for service in services.start().services]
        yield services
        assert [service.process for service in services.services] == pids
        assert all(service.is_alive() for service in services.services)
    finally:
        services.stop()


def test_without_kafka_an_abort_brings_traffic_back_and_nothing_is_lost(
    lab: Lab, fleet: Fleet, application: Application, loads: MakeLoad
) -> None:
    broker = lab.part("kafka")
    application.deploy()
    old = application.hash_of("v1")
    with loads(application) as load:
        application.set_image("v2")
        application.wait(lambda: application.hash_of("v2"), "a canary")
        broker.kill()
        application.wait_paused(FIRST_PAUSE)
        assert application.canary_weight == 10

        application.abort()
        application.wait_weight(0, seconds=5)
        application.wait_phase("Degraded", seconds=5)
        assert application.selected(CANARY) == old
        load.settle_on("v1", 300)
        assert all(service.is_ready() for service in fleet.services)
        broker.start()
        broker.wait_ready()

        application.retry()
        application.wait_paused(FIRST_PAUSE)
        report = load.stop()

    assert report.failed_without_version == 0
    assert_all_is_said(fleet, application)
    said = application.headrace()["history"][-1]["ordinal"]
    application.promote()
    application.wait_paused(SECOND_PAUSE)
    assert application.headrace()["published"] >= said


def assert_all_is_said(fleet: Fleet, application: Application) -> None:
    """Everything in the Rollout's history, and the route that holds, is on the bus."""

    def missing() -> set[str]:
        records = fleet.records(application.key())
        said = {f"{record.type} {record.payload.get('ordinal')}" for record in records}
        told = {
            ordinal
            for record in records
            if record.type == "headrace.history.truncated.v1"
            for ordinal in range(record.payload["firstLost"], record.payload["ordinal"] + 1)
        }
        known = {
            each["ordinal"]: each["type"]
            for status in map(history, application.recording.versions(ROLLOUTS, NAME))
            for each in status
        }
        applied = {
            record.payload["epoch"]
            for record in records
            if record.type == "headrace.route.applied.v1"
        }
        lost = {
            f"{kind} {ordinal}"
            for ordinal, kind in known.items()
            if ordinal not in told and f"{kind} {ordinal}" not in said
        }
        epoch = application.headrace()["epoch"]
        return lost | (set() if epoch in applied else {f"route {epoch}"})

    deadline = time.monotonic() + 15
    while missing():
        assert time.monotonic() < deadline, missing()
        time.sleep(0.2)
    assert doubled_facts(fleet.records(application.key())) == []


def history(rollout: dict[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = rollout.get("status", {}).get("headrace", {}).get("history", [])
    return entries


def test_a_release_goes_on_after_the_api_server_was_away(
    lab: Lab, application: Application, loads: MakeLoad
) -> None:
    server = lab.part("apiserver")
    application.deploy()
    with loads(application) as load:
        application.set_image("v2")
        application.wait(lambda: application.hash_of("v2"), "a canary")
        server.kill()
        time.sleep(AWAY_SECONDS)
        lab.revive_api_server()
        application.wait_paused(FIRST_PAUSE)
        assert application.canary_weight == 10

        application.promote()
        application.wait_paused(SECOND_PAUSE)
        assert application.weights() == {STABLE: 67, CANARY: 33}
        report = load.stop()

    assert report.failed_without_version == 0
    assert unserved_shares(application.recording) == []
    assert len(application.replica_sets()) == 2


def test_a_release_goes_on_after_every_watch_has_expired(
    lab: Lab, application: Application
) -> None:
    application.deploy()
    application.set_image("v2")
    application.wait_paused(FIRST_PAUSE)

    lab.expire_watches()
    application.promote()
    application.wait_paused(SECOND_PAUSE)
    assert application.weights() == {STABLE: 67, CANARY: 33}

    application.abort()
    application.wait_phase("Degraded")
    application.wait_weight(0)


def test_without_prometheus_a_release_waits_and_goes_on_or_gives_up(
    lab: Lab, applications: MakeApplication, fleet: Fleet
) -> None:
    patient, impatient = (applications(fleet.instance_id, has_processes=False) for _ in range(2))
    for application, limit in ((patient, 4), (impatient, 1)):
        measures = measures_without_traffic(lab.prometheus_url, error_limit=limit)
        application.deploy("canary-with-metrics", together(pauses("1s", None), measures))
        application.set_image("v2")
    server = lab.part("prometheus")
    patient.wait(lambda: patient.measurements("Successful") >= 2, "measurements")
    impatient.wait(lambda: impatient.measurements("Successful") >= 2, "measurements")

    server.kill()
    began = time.monotonic()
    impatient.wait(lambda: impatient.measurements("Error") == 1, "a measurement's error")
    assert impatient.canary_weight == 33
    impatient.wait_phase("Degraded", seconds=3 * ERROR_RETRY_SECONDS)
    assert time.monotonic() - began >= ERROR_RETRY_SECONDS
    impatient.wait_weight(0, seconds=2)
    (run,) = impatient.runs()
    assert run["status"]["phase"] == "Error"
    assert "consecutiveErrors (2) > consecutiveErrorLimit (1)" in run["status"]["message"]

    assert patient.measurements("Error") >= 1
    assert patient.canary_weight == 33
    before = patient.measurements("Successful")
    server.start()
    server.wait_ready()
    patient.wait(lambda: patient.measurements("Successful") > before, "a measurement again")
    assert patient.phase() == "Paused"
    patient.promote()
    patient.wait_phase("Healthy")
