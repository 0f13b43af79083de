"""Header and mirror steps on real parts: a mesh that honours the rules of an HTTPRoute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from headrace_lab.application import (
    CANARY,
    GATEWAY_API,
    ROUTE,
    STABLE,
    Application,
    Edit,
    http_route,
)
from headrace_lab.edits import together
from headrace_lab.kube import Object
from headrace_lab.people import Person
from headrace_lab.recording import HTTP_ROUTES
from headrace_lab.steady_load import SteadyLoad

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(120),
    pytest.mark.spec("canary 5.2", "canary 5.4", "traffic-routing 11.3", "traffic-routing 11.4"),
]

BETA = {"x-beta": "yes"}
MATCH = [{"headerName": "x-beta", "headerValue": {"exact": "yes"}}]
HEADER: Object = {"setHeaderRoute": {"name": "beta", "match": MATCH}}
NO_HEADER: Object = {"setHeaderRoute": {"name": "beta"}}
MIRROR: Object = {
    "setMirrorRoute": {"name": "copies", "match": [{"path": {"prefix": "/"}}], "percentage": 10}
}
ONE_POD: Object = {"setCanaryScale": {"replicas": 1}}
PAUSE: Object = {"pause": {}}


def steps(*given: Object) -> Edit:
    """Route the example by the HTTPRoute, with these steps."""

    def edit(manifest: Object) -> None:
        if manifest["kind"] != "Rollout":
            return
        canary = manifest["spec"]["strategy"]["canary"]
        manifest["spec"]["replicas"] = 2
        canary["steps"] = list(given)
        canary |= {"scaleDownDelaySeconds": 1, "abortScaleDownDelaySeconds": 1}
        canary["trafficRouting"] = {
            **GATEWAY_API,
            "managedRoutes": [{"name": "beta"}, {"name": "copies"}],
        }

    return edit


def deploy(app: Application, *given: Object) -> None:
    app.apply(http_route(STABLE, CANARY))
    app.deploy(edit=together(steps(*given)))


def rules(app: Application) -> list[Any]:
    found = app.recording.get(HTTP_ROUTES, ROUTE) or {}
    return list(found["spec"]["rules"])


def names(app: Application) -> list[str | None]:
    return [rule.get("name") for rule in rules(app)]


def wait_rules(app: Application, *wanted: str | None) -> None:
    """Return when the route has these rules: None for its own, which has no name."""
    app.wait(lambda: names(app) == list(wanted), f"rules {wanted}")


def test_users_with_a_header_see_the_new_version_first(
    application: Application, loads: Callable[..., SteadyLoad]
) -> None:
    app = application
    deploy(app, ONE_POD, HEADER, PAUSE, {"setWeight": 25}, PAUSE)
    with loads(app, rate=200) as everybody, loads(app, rate=100, headers=BETA) as testers:
        app.set_image("v2")
        app.wait_paused(2)
        assert names(app) == [None, "beta"]
        assert app.route_weights(ROUTE) == {STABLE: 100, CANARY: 0}
        everybody.settle_on("v1", 200)
        testers.settle_on("v2", 100)

        app.promote()
        app.wait_paused(4)
        assert names(app) == [None, "beta"]
        assert app.route_weights(ROUTE) == {STABLE: 75, CANARY: 25}
        assert everybody.measure(200).versions == ["v1", "v2"]
        testers.settle_on("v2", 100)

        app.abort()
        app.wait_phase("Degraded")
        wait_rules(app, None)
        app.wait(lambda: app.route_weights(ROUTE) == {STABLE: 100, CANARY: 0}, "all on stable")
        everybody.settle_on("v1", 200)
        testers.settle_on("v1", 100)
        app.wait(lambda: app.sizes["v2"] == 0, "the canary is scaled down")

        app.retry()
        app.wait_paused(2)
        testers.settle_on("v2", 100)
        app.promote_full()
        app.wait_phase("Healthy")
        wait_rules(app, None)
        app.wait(
            lambda: app.selected(STABLE) == app.selected(CANARY) == app.hash_of("v2"),
            "both Services lead to the new version",
        )
        everybody.settle_on("v2", 200)
        testers.settle_on("v2", 100)
        reports = [everybody.stop(), testers.stop()]
    for report in reports:
        assert report.failed_without_version == 0
        assert {status for (_, status) in report.counts} == {200}


@pytest.mark.spec("canary 3.2", "canary 3.4", "cli-and-clients 2.2")
@pytest.mark.parametrize("end", ["promote", "promote_full", "undo"])
def test_the_rule_goes_with_the_end_that_a_person_makes(
    still_application: Application, person: Person, end: str
) -> None:
    app = still_application
    deploy(app, ONE_POD, HEADER, PAUSE)
    person.set_image("v2")
    app.wait_paused(2)
    own, beta = rules(app)
    wanted = {"name": "x-beta", "type": "Exact", "value": "yes"}
    assert [match["headers"] for match in beta["matches"]] == [[wanted]]
    assert [each["name"] for each in beta["backendRefs"]] == [CANARY]
    getattr(person, end)()
    app.wait_phase("Healthy")
    wait_rules(app, None)
    version = "v1" if end == "undo" else "v2"
    assert app.status()["stableRS"] == app.hash_of(version)
    assert [each["name"] for each in own["backendRefs"]] == [STABLE, CANARY]


@pytest.mark.spec("canary 2.1")
def test_a_step_takes_the_rule_away_and_mirrors_change_nothing(
    still_application: Application,
) -> None:
    app = still_application
    deploy(app, ONE_POD, HEADER, PAUSE, NO_HEADER, MIRROR, PAUSE)
    app.set_image("v2")
    app.wait_paused(2)
    assert names(app) == [None, "beta"]
    app.promote()
    app.wait_paused(5)
    # The Gateway API plugin has no mirrors (traffic-routing 11.4).
    assert names(app) == [None]
    told = "Rollout step 5/6 completed (setMirrorRoute: copies)"
    app.wait(lambda: told in [event["message"] for event in app.events()], "the step is told")
    app.promote()
    app.wait_phase("Healthy")


def test_a_rule_that_somebody_deletes_comes_back(still_application: Application) -> None:
    app = still_application
    deploy(app, ONE_POD, HEADER, PAUSE)
    app.set_image("v2")
    app.wait_paused(2)
    own, _ = rules(app)
    app.patch(HTTP_ROUTES, ROUTE, {"spec": {"rules": [own]}})
    app.wait(
        lambda: (
            [len(each["spec"]["rules"]) for each in app.recording.versions(HTTP_ROUTES, ROUTE)][-2:]
            == [1, 2]
        ),
        "the rule is back",
    )
    assert names(app) == [None, "beta"]
