"""The story on the Gateway API: a mesh's route of a Service, and a route of a Gateway."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headrace_lab.application import (
    CANARY,
    GATEWAY_API,
    ROUTE,
    STABLE,
    Application,
    http_route,
)
from headrace_lab.kube import Object
from headrace_lab.load import Load
from headrace_lab.recording import HTTP_ROUTES
from headrace_lab.steady_load import SteadyLoad

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

IN_PROGRESS = "rollouts.argoproj.io/gatewayapi-canary"
REQUESTS = 2000
FIRST_PAUSE, SECOND_PAUSE = 2, 5


def use_gateway_api(manifest: Object) -> None:
    if manifest["kind"] == "Rollout":
        manifest["spec"]["strategy"]["canary"]["trafficRouting"] = GATEWAY_API


@pytest.mark.parametrize("parent", ["service", "gateway"])
def test_a_canary_over_a_route_of_a(
    application: Application, parent: str, loads: Callable[[Load], SteadyLoad]
) -> None:
    app = application
    gateway_host = f"{app.namespace}.example.org" if parent == "gateway" else ""
    host = gateway_host or app.host
    app.apply(http_route(STABLE, CANARY, gateway_host=gateway_host))
    app.deploy(edit=use_gateway_api)
    assert app.route_weights(ROUTE) == {STABLE: 100, CANARY: 0}
    assert app.weights() == {}

    def label() -> str | None:
        found: Object = app.get(HTTP_ROUTES, ROUTE)
        value: str | None = found["metadata"].get("labels", {}).get(IN_PROGRESS)
        return value

    load = Load(f"{app.lab.envoy_url}/", host, 500, window_seconds=0.5)
    with SteadyLoad(load) as steady:
        app.set_image("v2")
        app.wait_paused(FIRST_PAUSE)
        assert app.route_weights(ROUTE) == {STABLE: 90, CANARY: 10}
        assert label() == "in-progress"
        assert app.status()["canary"]["weights"]["verified"] is True
        assert 0.10 in steady.measure(REQUESTS).share("v2").interval

        app.promote()
        app.wait_paused(SECOND_PAUSE)
        assert app.route_weights(ROUTE) == {STABLE: 67, CANARY: 33}
        assert 0.33 in steady.measure(REQUESTS).share("v2").interval

        app.abort()
        app.wait_phase("Degraded")
        app.wait(lambda: app.route_weights(ROUTE)[CANARY] == 0, "all traffic is back", 2)
        steady.settle_on("v1", REQUESTS // 4)

        app.retry()
        app.wait_paused(FIRST_PAUSE)
        app.promote_full()
        app.wait_phase("Healthy")
        app.wait(lambda: label() is None, "the route is at rest")
        app.wait(lambda: app.route_weights(ROUTE) == {STABLE: 100, CANARY: 0}, "all on stable")
        steady.settle_on("v2", REQUESTS // 4)
        report = steady.stop()

    assert report.failed_without_version == 0
