"""The story on real parts: a person decides about a canary, and true requests follow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headrace_lab.application import CANARY, ROOT, STABLE, Application
from headrace_lab.load_report import Report
from headrace_lab.steady_load import SteadyLoad

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

MakeLoad = Callable[..., SteadyLoad]

REQUESTS = 2000
"""Enough to tell 10 % from 33 % beyond doubt, and few enough to be quick."""
FIRST_PAUSE, SECOND_PAUSE = 2, 5


def assert_nothing_failed(report: Report) -> None:
    assert report.failed_without_version == 0
    for version in report.versions:
        assert set(report.statuses(version)) == {200}


def test_a_person_promotes_a_canary_step_by_step(application: Application, loads: MakeLoad) -> None:
    application.deploy()
    old = application.hash_of("v1")
    with loads(application, rate=500) as load:
        application.set_image("v2")
        application.wait_paused(FIRST_PAUSE)
        new = application.hash_of("v2")

        assert (application.selected(STABLE), application.selected(CANARY)) == (old, new)
        assert application.weights() == {STABLE: 90, CANARY: 10}
        assert application.sizes == {"v1": 4, "v2": 1}
        assert 0.10 in load.measure(REQUESTS).share("v2").interval

        application.promote()
        application.wait_paused(SECOND_PAUSE)
        assert application.weights() == {STABLE: 67, CANARY: 33}
        assert application.sizes == {"v1": 4, "v2": 2}
        assert 0.33 in load.measure(REQUESTS).share("v2").interval

        application.promote()
        application.wait_phase("Healthy")
        application.wait(lambda: application.sizes == {"v1": 0, "v2": 4}, "v1 is scaled down")
        assert application.selected(STABLE) == application.selected(CANARY) == new
        assert application.weights() == {STABLE: 100, CANARY: 0}
        load.settle_on("v2", REQUESTS // 4)
        report = load.stop()

    assert_nothing_failed(report)
    assert application.selected(ROOT) == ""


def test_an_abort_brings_all_traffic_back_and_a_retry_begins_again(
    application: Application, loads: MakeLoad
) -> None:
    application.deploy()
    old = application.hash_of("v1")
    with loads(application) as load:
        application.set_image("v2")
        application.wait_paused(FIRST_PAUSE)
        application.promote()
        application.wait_paused(SECOND_PAUSE)

        application.abort()
        application.wait_phase("Degraded")
        assert application.status()["message"] == (
            "RolloutAborted: Rollout aborted update to revision 2"
        )
        application.wait_weight(0, seconds=2)
        assert application.selected(CANARY) == old
        load.settle_on("v1", REQUESTS // 4)
        application.wait(lambda: application.sizes["v2"] == 0, "the canary is scaled down")

        application.retry()
        application.wait_paused(FIRST_PAUSE)
        assert application.canary_weight == 10
        assert application.selected(CANARY) == application.hash_of("v2")
        report = load.stop()

    assert_nothing_failed(report)


def test_undo_returns_to_the_previous_version(application: Application, loads: MakeLoad) -> None:
    application.deploy()
    with loads(application) as load:
        application.set_image("v2")
        application.wait_paused(FIRST_PAUSE)
        application.promote_full()
        application.wait_phase("Healthy")
        assert application.status()["stableRS"] == application.hash_of("v2")

        application.undo()
        application.wait_paused(FIRST_PAUSE)
        assert application.selected(CANARY) == application.hash_of("v1")
        application.promote_full()
        application.wait_phase("Healthy")
        assert application.status()["stableRS"] == application.hash_of("v1")
        # Healthy does not wait for them; they follow within a second.
        application.wait(
            lambda: application.selected(STABLE) == application.hash_of("v1"),
            "the stable Service leads to the old version again",
        )
        application.wait_weight(0, seconds=2)
        load.settle_on("v1", REQUESTS // 4)
        report = load.stop()

    assert_nothing_failed(report)
    assert len(application.replica_sets()) == 2


def test_going_back_in_the_middle_needs_no_steps(application: Application, loads: MakeLoad) -> None:
    application.deploy()
    with loads(application) as load:
        application.set_image("v2")
        application.wait_paused(FIRST_PAUSE)

        application.set_image("v1")
        application.wait_phase("Healthy", seconds=5)
        application.wait_weight(0)
        application.wait(
            lambda: application.selected(CANARY) == application.hash_of("v1"),
            "the canary Service follows when nobody is sent there any more",
        )
        load.settle_on("v1", REQUESTS // 4)
        report = load.stop()

    assert_nothing_failed(report)
