from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.kubernetes.resources import HTTP_ROUTES, TRAFFIC_SPLITS
from headrace.model.route import (
    BackendShare,
    Fence,
    Hashes,
    Level,
    RouteDocument,
    RouterAnswer,
    RouterConfig,
    Services,
    Weights,
)
from headrace.routes import (
    TRAFFIC_KINDS,
    ApiVersions,
    RenderError,
    Sighting,
    locate,
    read_back,
    resolve,
    router_of,
    router_of_object,
    stamp,
)
from headrace.routes import gateway_api as gateway_router
from headrace.routes import smi as smi_router

UID = "5f0c"
SMI = RouterConfig(kind="smi")
GATEWAY = RouterConfig(
    kind="plugin",
    plugin=gateway_router.PLUGIN,
    config=json.dumps({"httpRoute": "web", "httpRouteSelector": {"matchLabels": {"app": "web"}}}),
)
SPLIT = (
    BackendShare(service="web-canary", weight=10),
    BackendShare(service="web-stable", weight=90),
)


def document(epoch: int = 7) -> RouteDocument:
    return RouteDocument(
        cluster="c",
        namespace="shop",
        rollout="web",
        uid=UID,
        epoch=epoch,
        generation=3,
        decided_at="2026-01-01T00:00:00Z",
        routers=(SMI, GATEWAY),
        services=Services(
            canary="web-canary",
            stable="web-stable",
            canary_role="web-canary",
            stable_role="web-stable",
        ),
        hashes=Hashes(),
        weights=Weights(canary=10, stable=90),
    )


def traffic_split(canary: int = 10, epoch: int = 7, level: Level = "written") -> dict[str, Any]:
    manifest = {
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "5"},
        "spec": {
            "service": "web-stable",
            "backends": [
                {"service": "web-canary", "weight": str(canary)},
                {"service": "web-stable", "weight": str(100 - canary)},
            ],
        },
    }
    fence = Fence(uid=UID, rollout="shop/web", epoch=epoch, level=level, split=SPLIT)
    return stamp(manifest, fence)


def smi_answer(manifest: dict[str, Any] | None, acked: int = 0, epoch: int = 7) -> RouterAnswer:
    doc = document(epoch)
    targets = locate(SMI, doc, ApiVersions())
    sightings = resolve(targets, {targets.refs[0]: manifest})
    return read_back(SMI, doc, targets, sightings, acked).answer


def test_every_traffic_kind_has_its_router() -> None:
    assert [router_of_object(kind) for kind in TRAFFIC_KINDS] == [smi_router, gateway_router]
    assert {kind.kind for kind in TRAFFIC_KINDS} == {TRAFFIC_SPLITS.kind, HTTP_ROUTES.kind}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (RouterConfig(kind="istio"), "istio: not supported by this version"),
        (
            RouterConfig(kind="plugin", plugin="acme/x"),
            'plugins."acme/x": not supported by this version',
        ),
    ],
)
def test_other_routers_are_refused(config: RouterConfig, message: str) -> None:
    assert router_of(config) == RenderError(message)
    targets = locate(config, document(), ApiVersions())
    assert read_back(config, document(), targets, (), 0).answer.error == message


def test_selected_objects_follow_the_named_ones_once_and_by_name() -> None:
    targets = locate(GATEWAY, document(), ApiVersions())

    def route(name: str, app: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "labels": {"app": app}}}

    found = [route("zeta", "web"), route("alpha", "web"), route("web", "web"), route("x", "other")]
    named = {targets.refs[0]: found[2]}
    sightings = resolve(targets, named, [found])
    assert [each.ref.name for each in sightings] == ["web", "alpha", "zeta"]
    assert sightings[0].manifest is found[2]


def test_an_object_that_was_not_read_does_not_exist() -> None:
    targets = locate(SMI, document(), ApiVersions())
    assert resolve(targets, {}) == (Sighting(targets.refs[0], None),)


def test_the_answer_holds_when_fence_and_split_say_so() -> None:
    answer = smi_answer(traffic_split(level="accepted"))
    assert answer == RouterAnswer(
        kind="smi",
        objects=("TrafficSplit/web",),
        level="accepted",
        rendered=SPLIT,
        observed=SPLIT,
    )


def test_a_fence_without_its_split_confirms_nothing() -> None:
    answer = smi_answer(traffic_split(canary=33))
    assert answer.level is None
    assert answer.observed[0].weight == 33


def test_an_acknowledged_epoch_with_the_same_split_is_confirmed_without_a_write() -> None:
    assert smi_answer(traffic_split(epoch=6), acked=6).level == "written"
    assert smi_answer(traffic_split(epoch=6), acked=5).level is None


def test_a_newer_epoch_is_told() -> None:
    answer = smi_answer(traffic_split(epoch=9))
    assert (answer.level, answer.found_epoch) == (None, 9)


def test_a_missing_object_holds_nothing() -> None:
    answer = smi_answer(None)
    assert (answer.level, answer.observed) == (None, ())


def test_gateway_weights_are_verified_by_reading_back() -> None:
    doc = document()
    targets = locate(GATEWAY, doc, ApiVersions())
    refs = [{"name": share.service, "weight": share.weight} for share in SPLIT]
    labels = {"rollouts.argoproj.io/gatewayapi-canary": "in-progress"}
    metadata = {"name": "web", "labels": labels}
    route = {"metadata": metadata, "spec": {"rules": [{"backendRefs": refs}]}}
    fence = Fence(uid=UID, rollout="shop/web", epoch=7, level="written", split=SPLIT)
    for manifest, verified in ((stamp(route, fence), True), (route, False)):
        sightings = resolve(targets, {targets.refs[0]: manifest})
        assert read_back(GATEWAY, doc, targets, sightings, 0).answer.verified is verified


def test_a_selector_that_finds_nothing_is_told() -> None:
    config = GATEWAY.model_copy(
        update={"config": '{"httpRouteSelector":{"matchLabels":{"a":"b"}}}'}
    )
    targets = locate(config, document(), ApiVersions())
    answer = read_back(config, document(), targets, resolve(targets, {}), 0).answer
    assert answer.error == gateway_router.NO_OBJECTS
