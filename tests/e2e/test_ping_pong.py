"""Ping and pong on real parts: three versions take turns, and nobody who uses them notices."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headrace_lab.application import GATEWAY_API, ROUTE, Application, http_route
from headrace_lab.kube import SERVICES, Object
from headrace_lab.people import Person
from headrace_lab.recording import HTTP_ROUTES
from headrace_lab.steady_load import SteadyLoad

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120), pytest.mark.spec("canary 6.3")]

PING, PONG = "sample-app-ping", "sample-app-pong"


def service(name: str) -> Object:
    ports = [{"port": 80, "targetPort": "http", "protocol": "TCP", "name": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "sample-app"}, "ports": ports},
    }


def use_ping_pong(manifest: Object) -> None:
    if manifest["kind"] != "Rollout":
        return
    canary = manifest["spec"]["strategy"]["canary"]
    manifest["spec"]["replicas"] = 2
    del canary["stableService"], canary["canaryService"]
    canary |= {
        "pingPong": {"pingService": PING, "pongService": PONG},
        "trafficRouting": GATEWAY_API,
        "steps": [{"setWeight": 25}, {"pause": {}}],
        "scaleDownDelaySeconds": 1,
        "abortScaleDownDelaySeconds": 1,
    }


def deploy(app: Application) -> None:
    for manifest in (http_route(PING, PONG), service(PING), service(PONG)):
        app.apply(manifest)
    app.deploy(edit=use_ping_pong)
    assert app.route_weights(ROUTE) == {PING: 100, PONG: 0}


def wait_weights(app: Application, **weights: int) -> None:
    wanted = {f"{ROUTE}-{name}": weight for name, weight in weights.items()}
    app.wait(lambda: app.route_weights(ROUTE) == wanted, f"weights {wanted}")


def selectors(app: Application, name: str) -> list[str]:
    """What a Service ever selected, in order, each once."""
    found = (each["spec"]["selector"] for each in app.recording.versions(SERVICES, name))
    hashes = [selector.get("rollouts-pod-template-hash", "") for selector in found]
    return [each for each, before in zip(hashes, [None, *hashes], strict=False) if each != before]


def test_users_see_no_error_while_versions_take_turns(
    application: Application, loads: Callable[..., SteadyLoad]
) -> None:
    app = application
    deploy(app)
    with loads(app, rate=200) as users:
        app.set_image("v2")
        app.wait_paused(1)
        wait_weights(app, ping=75, pong=25)
        assert users.measure(200).versions == ["v1", "v2"]

        app.abort()
        app.wait_phase("Degraded")
        wait_weights(app, ping=100, pong=0)
        app.wait(lambda: app.sizes["v2"] == 0, "the canary is scaled down")
        users.settle_on("v1", 200)

        app.retry()
        app.wait_paused(1)
        app.promote()
        app.wait_phase("Healthy")
        wait_weights(app, ping=0, pong=100)
        app.wait(lambda: app.sizes["v1"] == 0, "the old version is scaled down")
        users.settle_on("v2", 200)

        app.set_image("v3")
        app.wait_paused(1)
        wait_weights(app, ping=25, pong=75)
        assert users.measure(200).versions == ["v2", "v3"]
        app.promote_full()
        app.wait_phase("Healthy")
        wait_weights(app, ping=100, pong=0)
        users.settle_on("v3", 200)
        report = users.stop()
    assert {status for (_, status) in report.counts} == {200}
    assert report.failed_without_version == 0
    first, second, third = (app.hash_of(version) for version in ("v1", "v2", "v3"))
    assert selectors(app, PING) == ["", first, third]
    assert selectors(app, PONG) == ["", second]


@pytest.mark.spec("canary 3.2", "canary 3.4", "cli-and-clients 2.2")
@pytest.mark.parametrize("end", ["promote", "promote_full", "undo"])
def test_the_roles_swap_with_a_promotion_and_with_nothing_else(
    still_application: Application, person: Person, end: str
) -> None:
    app = still_application
    deploy(app)
    person.set_image("v2")
    app.wait_paused(1)
    getattr(person, end)()
    app.wait_phase("Healthy")
    is_back = end == "undo"
    assert app.status()["canary"]["stablePingPong"] == ("ping" if is_back else "pong")
    wait_weights(app, **({"ping": 100, "pong": 0} if is_back else {"ping": 0, "pong": 100}))
    assert selectors(app, PING) == ["", app.hash_of("v1")]
    assert selectors(app, PONG) == ["", app.hash_of("v2")]
    versions = app.recording.versions(HTTP_ROUTES, ROUTE)
    sums = [sum(ref.get("weight", 1) for ref in _refs(each)) for each in versions]
    assert set(sums) <= {2, 100}  # nobody had set any weight at first


def _refs(route: Object) -> list[Object]:
    refs: list[Object] = route["spec"]["rules"][0]["backendRefs"]
    return refs
