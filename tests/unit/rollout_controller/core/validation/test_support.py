"""What this version refuses as a whole."""

from typing import Any

import pytest

from headrace.model.rollout import RolloutSpec
from rollout_controller.core.validation import support

CANARY = "spec.strategy.canary"


def errors(raw: dict[str, Any]) -> list[str]:
    return list(support.errors(RolloutSpec.load(raw)))


def canary(**strategy: Any) -> dict[str, Any]:
    return {"strategy": {"canary": strategy}}


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        *(
            (canary(trafficRouting={router: {}}), f"{CANARY}.trafficRouting.{router}")
            for router in ("istio", "nginx", "alb", "ambassador", "appMesh", "traefik", "apisix")
        ),
        (
            canary(trafficRouting={"plugins": {"acme/router": {}}}),
            f"{CANARY}.trafficRouting.plugins[acme/router]",
        ),
        *(
            (
                canary(
                    trafficRouting={
                        "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "h", field: value}}
                    }
                ),
                f"{CANARY}.trafficRouting.plugins[argoproj-labs/gatewayAPI].{field}",
            )
            for field, value in (
                ("grpcRoute", "g"),
                ("tcpRoutes", [{"name": "t"}]),
                ("tlsRouteSelector", {"matchLabels": {"app": "web"}}),
            )
        ),
    ],
)
@pytest.mark.spec("rollout-api 4")
def test_names_the_field_as_it_stands_in_the_manifest(raw: dict[str, Any], path: str) -> None:
    assert errors(raw) == [f"{path}: Forbidden: not supported by this version"]


def test_serves_the_whole_main_job() -> None:
    strategy = canary(
        canaryService="c",
        stableService="s",
        trafficRouting={
            "smi": {"rootService": "r"},
            "plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "h"}},
            "maxTrafficWeight": 1000,
            "managedRoutes": [{"name": "m"}],
        },
        steps=[
            {"setWeight": 10},
            {"setCanaryScale": {"weight": 25}},
            {"pause": {"duration": "1m"}},
            {"analysis": {"templates": [{"templateName": "t"}]}},
            {"plugin": {"name": "acme/approve"}},
            {"setHeaderRoute": {"name": "m"}},
            {"setMirrorRoute": {"name": "m"}},
        ],
        analysis={"templates": [{"templateName": "t"}], "startingStep": 1},
        canaryMetadata={"labels": {"role": "canary"}},
        scaleDownDelaySeconds=5,
        abortScaleDownDelaySeconds=0,
        scaleDownDelayRevisionLimit=1,
        maxSurge="50%",
        dynamicStableScale=True,
        antiAffinity={"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 1}},
        minPodsPerReplicaSet=2,
        replicaProgressThreshold={"type": "Percent", "value": 90},
    )
    common = {"progressDeadlineAbort": True, "paused": True, "rollbackWindow": {"revisions": 3}}
    assert errors(strategy | common) == []
