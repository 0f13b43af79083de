"""Blue-green on real parts: all traffic moves at once, there and back, and no request fails."""

from __future__ import annotations

from typing import Any

import pytest

from headrace_lab.application import HASH, NAME, Application, Edit
from headrace_lab.kube import SERVICES, Object
from headrace_lab.load import Load
from headrace_lab.load_report import Report
from headrace_lab.people import CommandLine, Person
from headrace_lab.recording import ROLLOUTS
from headrace_lab.steady_load import SteadyLoad

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(180),
    pytest.mark.spec("bluegreen 1", "bluegreen 5", "bluegreen 9", "cli-and-clients 2.2"),
]

ACTIVE = "rollout-blue-green-active"
PREVIEW = "rollout-blue-green-preview"


def changed(**members: Any) -> Edit:
    """Give the example's strategy other members."""

    def edit(manifest: Object) -> None:
        if manifest["kind"] == "Rollout":
            manifest["spec"]["strategy"]["blueGreen"] |= members

    return edit


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
    headrace = CommandLine(application)
    application.deploy("blue-green")
    assert serves(application, "v1", preview="v1")
    with live_users(application) as load:
        headrace("set", "image", NAME, f"{NAME}=headrace/sample-app:v2")
        application.wait_phase("Paused")
        assert application.status()["message"] == "BlueGreenPause"
        assert serves(application, "v1", preview="v2")
        assert application.sizes == {"v1": 2, "v2": 2}
        assert headrace("get", "rollout", NAME)[4:7] == [
            "Strategy:        BlueGreen",
            "Images:          headrace/sample-app:v1 (stable, active)",
            "                 headrace/sample-app:v2 (preview)",
        ]
        _, listed = headrace("list", "rollouts")
        assert listed.split() == [NAME, "BlueGreen", "Paused", "-", "-", "2/4", "2", "2", "2"]
        load.settle_on("v1", 200)

        assert headrace("promote", NAME) == [f"rollout '{NAME}' promoted"]
        wait_served(application, "v2")
        assert headrace("status", NAME) == ["Healthy"]
        load.settle_on("v2", 200)

        application.undo()
        wait_served(application, "v1")
        assert application.status()["stableRS"] == application.hash_of("v1")
        load.settle_on("v1", 200)
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
        load.settle_on("v2", 200)
        report = load.stop()
    assert_nothing_failed(report)


@pytest.mark.spec("bluegreen 4", "bluegreen 8", "cli-and-clients 2.5")
def test_a_person_aborts_retries_promotes_and_goes_back_fast(
    still_application: Application, person: Person
) -> None:
    app = still_application
    app.deploy("blue-green", changed(scaleDownDelaySeconds=600))
    app.wait_next_second()
    person.set_image("v2")
    app.wait_phase("Paused")
    assert serves(app, "v1", preview="v2")
    person.abort()
    app.wait_phase("Degraded")
    assert serves(app, "v1", preview="v2")
    person.retry()
    app.wait_phase("Paused")
    person.promote()
    wait_served(app, "v2")

    # v1 still has its pods, so that going back waits for nothing and nobody.
    assert app.sizes == {"v1": 2, "v2": 2}
    since = len(app.recording.versions(ROLLOUTS, NAME))
    person.undo()
    wait_served(app, "v1")
    back = app.recording.versions(ROLLOUTS, NAME)[since:]
    assert {each["status"]["phase"] for each in back} <= {"Healthy", "Progressing"}
    message = f"Rollout completed update to revision 3 ({app.hash_of('v1')}): Fast rollback"
    app.wait(
        lambda: message in [each["message"] for each in app.events()], "the fast rollback is told"
    )

    person.set_image("v2")
    app.wait_phase("Paused")
    person.undo()
    wait_served(app, "v1")
    person.set_image("v3")
    app.wait_phase("Paused")
    person.promote_full()
    wait_served(app, "v3")
    assert app.status()["stableRS"] == app.hash_of("v3")


@pytest.mark.spec("bluegreen 7")
def test_a_bad_verdict_after_the_switch_brings_all_traffic_back(
    still_application: Application,
) -> None:
    app = still_application
    query = {"address": app.lab.prometheus_url, "query": "vector(0)"}
    metric = {
        "name": "one",
        "successCondition": "result[0] == 1",
        "provider": {"prometheus": query},
    }
    app.apply(
        {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "AnalysisTemplate",
            "metadata": {"name": "measured"},
            "spec": {"metrics": [metric]},
        }
    )
    judged = {"templates": [{"templateName": "measured"}]}
    app.deploy("blue-green", changed(postPromotionAnalysis=judged))
    app.set_image("v2")
    app.wait_phase("Paused")
    app.promote()
    app.wait_phase("Degraded")
    assert app.status()["message"].startswith(
        "RolloutAborted: Rollout aborted update to revision 2: "
        'Blue/green post-promotion analysis phase error/failed: Metric "one" assessed Failed'
    )
    app.wait(lambda: serves(app, "v1", preview="v2"), "all traffic is back")
    led = [
        version["spec"]["selector"].get(HASH)
        for version in app.recording.versions(SERVICES, ACTIVE)
    ]
    assert app.hash_of("v2") in led
    (run,) = app.runs()
    assert run["metadata"]["name"] == f"{NAME}-{app.hash_of('v2')}-2-post"
    assert app.status()["stableRS"] == app.hash_of("v1")
