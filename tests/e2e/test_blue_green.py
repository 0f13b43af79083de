"""Blue-green on real parts: all traffic moves at once, there and back, and no request fails."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from headrace_lab.application import NAME, Application
from headrace_lab.load import Load
from headrace_lab.load_report import Report
from headrace_lab.steady_load import SteadyLoad

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(180),
    pytest.mark.spec("bluegreen 1", "bluegreen 5", "bluegreen 9", "cli-and-clients 2.2"),
]

ACTIVE = "rollout-blue-green-active"
PREVIEW = "rollout-blue-green-preview"


def headrace(application: Application, *words: str) -> list[str]:
    """What our command line prints; it must succeed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    done = subprocess.run(
        [sys.executable, "-m", "headrace_cli", "-n", application.namespace, *words],
        env={**kept, "KUBECONFIG": str(application.lab.kubeconfig("person"))},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def live_users(application: Application) -> SteadyLoad:
    host = f"{ACTIVE}.{application.namespace}"
    return SteadyLoad(Load(f"{application.lab.envoy_url}/", host, 200, window_seconds=0.5))


def serves(application: Application, version: str, *, preview: str) -> bool:
    hashes = [application.hash_of(version), application.hash_of(preview)]
    return [application.selected(ACTIVE), application.selected(PREVIEW)] == hashes


def wait_served(application: Application, version: str) -> None:
    """Return when a version has all traffic and the Rollout says so; no pause holds it."""
    application.wait(
        lambda: serves(application, version, preview=version), f"{version} serves", seconds=10
    )
    application.wait_phase("Healthy", seconds=5)


def assert_nothing_failed(report: Report) -> None:
    assert report.failed_without_version == 0
    for version in report.versions:
        assert set(report.statuses(version)) == {200}


def test_all_traffic_moves_when_a_person_says_so_and_back(application: Application) -> None:
    application.deploy("blue-green")
    assert serves(application, "v1", preview="v1")
    with live_users(application) as load:
        headrace(application, "set", "image", NAME, f"{NAME}=headrace/sample-app:v2")
        application.wait_phase("Paused")
        assert application.status()["message"] == "BlueGreenPause"
        assert serves(application, "v1", preview="v2")
        assert application.sizes == {"v1": 2, "v2": 2}
        shown = headrace(application, "get", "rollout", NAME)
        assert shown[4:7] == [
            "Strategy:        BlueGreen",
            "Images:          headrace/sample-app:v1 (stable, active)",
            "                 headrace/sample-app:v2 (preview)",
        ]
        _, listed = headrace(application, "list", "rollouts")
        assert listed.split() == [NAME, "BlueGreen", "Paused", "-", "-", "2/4", "2", "2", "2"]
        assert load.measure(200).versions == ["v1"]

        assert headrace(application, "promote", NAME) == [f"rollout '{NAME}' promoted"]
        wait_served(application, "v2")
        assert headrace(application, "status", NAME) == ["Healthy"]
        assert load.measure(200).versions == ["v2"]

        application.undo()
        wait_served(application, "v1")
        assert application.status()["stableRS"] == application.hash_of("v1")
        assert load.measure(200).versions == ["v1"]
        report = load.stop()
    assert_nothing_failed(report)


def test_an_abort_keeps_the_old_version_and_a_retry_offers_the_new_one_again(
    application: Application,
) -> None:
    application.deploy("blue-green")
    with live_users(application) as load:
        application.set_image("v2")
        application.wait_phase("Paused")
        application.abort()
        application.wait_phase("Degraded")
        assert application.status()["message"] == (
            "RolloutAborted: Rollout aborted update to revision 2"
        )
        assert serves(application, "v1", preview="v2")
        application.wait(lambda: application.sizes == {"v1": 2, "v2": 0}, "the preview is gone")

        application.retry()
        application.wait_phase("Paused")
        application.promote_full()
        wait_served(application, "v2")
        assert load.measure(200).versions == ["v2"]
        report = load.stop()
    assert_nothing_failed(report)
