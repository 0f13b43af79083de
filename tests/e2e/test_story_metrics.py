"""The story without a person: metrics promote a good version and abort a bad one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headrace_lab.application import CANARY, STABLE, Application
from headrace_lab.edits import asks_prometheus
from headrace_lab.steady_load import SteadyLoad
from headrace_lab.timeline import unserved_shares

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

MakeLoad = Callable[..., SteadyLoad]

RATE = 200
"""At 10 % enough for a ratio over five seconds that chance does not decide."""


@pytest.fixture
def released(application: Application) -> Application:
    """The example with its first version Healthy, and the lab's Prometheus in its template."""

    application.deploy("canary-with-metrics", asks_prometheus(application.lab.prometheus_url))
    return application


def test_metrics_promote_a_good_version(released: Application, loads: MakeLoad) -> None:
    with loads(released, rate=RATE) as load:
        released.set_image("v2")
        released.wait(lambda: released.runs(), "a background analysis")
        assert released.status()["currentStepIndex"] >= 4
        released.wait_phase("Healthy", seconds=90)
        released.wait(
            lambda: (
                released.selected(STABLE) == released.selected(CANARY) == released.hash_of("v2")
            ),
            "both Services lead to the new version",
        )
        load.settle_on("v2", 200)
        report = load.stop()

    released.wait(
        lambda: [run["status"]["phase"] for run in released.runs()] == ["Successful"],
        "the analysis ends with the release",
    )
    assert released.measurements("Successful") >= 3
    assert released.measurements("Failed") == released.measurements("Error") == 0
    assert report.failed_without_version == 0
    assert {status for (_, status) in report.counts} == {200}
    assert unserved_shares(released.recording) == []


def test_metrics_abort_a_bad_version(released: Application, loads: MakeLoad) -> None:
    with loads(released, rate=RATE) as load:
        released.set_image("bad")
        released.wait_phase("Degraded", seconds=90)
        released.wait_weight(0, seconds=2)
        assert released.selected(CANARY) == released.hash_of("v1")
        load.settle_on("v1", 200)
        report = load.stop()

    (run,) = released.runs()
    assert run["status"]["phase"] == "Failed"
    assert released.status()["abort"] is True
    assert released.status()["message"].startswith(
        "RolloutAborted: Rollout aborted update to revision 2: "
        "Background analysis phase error/failed: "
    )
    # Only the bad version's own errors reached users.
    assert report.failed_without_version == 0
    assert set(report.statuses("v1")) == {200}
    assert set(report.statuses("bad")) == {200, 500}
    assert unserved_shares(released.recording) == []
