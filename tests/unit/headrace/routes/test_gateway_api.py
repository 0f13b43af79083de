from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.ids import fence_key
from headrace.kubernetes.resources import HTTP_ROUTES
from headrace.model.meta import LabelSelector
from headrace.model.route import (
    AdditionalDestination,
    BackendShare,
    Fence,
    Hashes,
    ManagedRoutes,
    RouteDocument,
    RouterConfig,
    Services,
    Weights,
)
from headrace.routes import (
    ApiVersions,
    JsonChange,
    ObjectRef,
    ObjectSelector,
    RenderError,
    gateway_api,
    read_fence,
    stamp,
)

UID = "5f0c"
REF = ObjectRef(HTTP_ROUTES, "shop", "web")
LABEL = "rollouts.argoproj.io/gatewayapi-canary"


def config(**fields: Any) -> RouterConfig:
    return RouterConfig(kind="plugin", plugin=gateway_api.PLUGIN, config=json.dumps(fields))


CONFIG = config(httpRoute="web")


def document(canary: int = 10, **overrides: Any) -> RouteDocument:
    fields: dict[str, Any] = {
        "cluster": "c",
        "namespace": "shop",
        "rollout": "web",
        "uid": UID,
        "epoch": 7,
        "generation": 3,
        "decided_at": "2026-01-01T00:00:00Z",
        "routers": (CONFIG,),
        "services": Services(
            canary="web-canary",
            stable="web-stable",
            canary_role="web-canary",
            stable_role="web-stable",
        ),
        "hashes": Hashes(canary="c1", stable="s1"),
        "weights": Weights(canary=canary, stable=100 - canary),
    }
    return RouteDocument(**{**fields, **overrides})


def rule(canary: int | None = 0, stable: int = 100, **extra: Any) -> dict[str, Any]:
    first: dict[str, Any] = {"name": "web-canary", "port": 80}
    if canary is not None:
        first["weight"] = canary
    return {"backendRefs": [first, {"name": "web-stable", "port": 80, "weight": stable}], **extra}


def stored(*rules: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "resourceVersion": "41",
            "generation": 2,
            **metadata,
        },
        "spec": {"parentRefs": [{"kind": "Service", "name": "web"}], "rules": list(rules)},
    }


def rendered(
    doc: RouteDocument, manifest: dict[str, Any], router: RouterConfig = CONFIG
) -> dict[str, Any]:
    made = gateway_api.render(router, doc, REF, manifest)
    assert isinstance(made, dict)
    return made


def weights(manifest: dict[str, Any]) -> list[list[Any]]:
    return [
        [ref.get("weight") for ref in each["backendRefs"]] for each in manifest["spec"]["rules"]
    ]


def test_the_single_route_is_appended_to_the_list() -> None:
    router = config(httpRoute="web", httpRoutes=[{"name": "api"}, {"name": "web"}])
    assert [ref.name for ref in gateway_api.targets(router, document(), ApiVersions()).refs] == [
        "api",
        "web",
    ]


def test_routes_lie_in_the_configured_namespace_and_can_be_selected() -> None:
    router = config(namespace="edge", httpRouteSelector={"matchLabels": {"app": "web"}})
    targets = gateway_api.targets(router, document(), ApiVersions())
    selector = LabelSelector(match_labels={"app": "web"})
    assert targets.selectors == (ObjectSelector(HTTP_ROUTES, "edge", selector),)


def test_no_routes_is_said_as_the_plugin_says_it() -> None:
    error = gateway_api.targets(config(), document(), ApiVersions()).error
    assert error is not None
    assert error.message == (
        "No routes configured. At least one of 'httpRoutes', 'grpcRoutes', 'tcpRoutes', "
        "'tlsRoutes', 'httpRoute', 'grpcRoute', 'tcpRoute' or 'tlsRoute' must be set"
    )


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"grpcRoute": "web"}, "grpcRoute"),
        ({"tcpRoutes": [{"name": "web"}]}, "tcpRoutes"),
        ({"tlsRouteSelector": {"matchLabels": {"a": "b"}}}, "tlsRouteSelector"),
    ],
)
def test_other_kinds_of_routes_are_refused(fields: dict[str, Any], name: str) -> None:
    error = gateway_api.targets(config(**fields), document(), ApiVersions()).error
    assert error is not None
    assert error.message == (
        f'plugins."argoproj-labs/gatewayAPI".{name}: not supported by this version'
    )


def test_an_unreadable_configuration_is_an_error() -> None:
    assert gateway_api.targets(config(httpRoutes="x"), document(), ApiVersions()).error is not None


def test_every_rule_gets_the_weights() -> None:
    made = rendered(document(), stored(rule(), rule(None, 1)))
    assert weights(made) == [[10, 90], [10, 90]]


def test_foreign_backends_keep_their_weight() -> None:
    foreign = {"backendRefs": [{"name": "other", "weight": 3}, *rule()["backendRefs"]]}
    assert weights(rendered(document(), stored(foreign))) == [[3, 10, 90]]


@pytest.mark.parametrize(
    "managed",
    [
        {"name": "header"},
        {"name": "header-2"},
        {"backendRefs": [{"name": "web-canary"}]},
    ],
)
def test_managed_rules_get_no_weights(managed: dict[str, Any]) -> None:
    doc = document(managed=ManagedRoutes(names=("header",)))
    kept = {"backendRefs": [{"name": "web-canary", "weight": 1}], **managed}
    unserved = config(httpRoutes=[{"name": "web"}])
    assert rendered(doc, stored(rule(), kept), unserved)["spec"]["rules"][1] is kept


@pytest.mark.parametrize("name", ["header-x", "other-2", "headers"])
def test_a_rule_with_another_name_is_not_managed(name: str) -> None:
    doc = document(managed=ManagedRoutes(names=("header",)))
    assert weights(rendered(doc, stored(rule(name=name)))) == [[10, 90]]


def test_a_missing_backend_is_said_as_the_plugin_says_it() -> None:
    lonely = {"backendRefs": [{"name": "web-stable"}]}
    error = gateway_api.render(CONFIG, document(), REF, stored(lonely))
    assert error == RenderError("backendRef was not found in httpRoute")


def test_canary_and_stable_may_lie_in_different_rules() -> None:
    first = {"backendRefs": [{"name": "web-canary", "weight": 1}, {"name": "x", "weight": 1}]}
    second = {"backendRefs": [{"name": "web-stable", "weight": 1}]}
    assert weights(rendered(document(), stored(first, second))) == [[10, 1], [90]]


def test_a_missing_route_is_said_as_the_api_server_says_it() -> None:
    error = gateway_api.render(CONFIG, document(), REF, None)
    assert error == RenderError('httproutes.gateway.networking.k8s.io "web" not found')


def with_experiment(**weights: int) -> RouteDocument:
    extra = tuple(
        AdditionalDestination(service=name, weight=weight, port=8081)
        for name, weight in weights.items()
    )
    stable = 90 - sum(weights.values())
    return document(weights=Weights(canary=10, stable=stable, additional=extra))


def test_destinations_of_an_experiment_come_and_go() -> None:
    manifest = stored(rule(), rule())
    wanted = with_experiment(exp=5)
    rendered = gateway_api.render(CONFIG, wanted, REF, manifest)
    assert isinstance(rendered, dict)
    assert weights(rendered) == [[10, 85, 5], [10, 85]]
    added = rendered["spec"]["rules"][0]["backendRefs"][-1]
    assert (added["name"], added["port"], added["kind"]) == ("exp", 8081, "Service")
    assert gateway_api.observe(rendered, gateway_api.split(wanted)) == gateway_api.split(wanted)
    assert gateway_api.render(CONFIG, wanted, REF, rendered) is rendered

    fence = Fence(
        uid=wanted.uid,
        rollout="shop/web",
        epoch=1,
        level="written",
        split=gateway_api.split(wanted),
        backends=("exp",),
    )
    fenced = stamp(rendered, fence)
    changed = gateway_api.render(CONFIG, with_experiment(other=20), REF, fenced)
    assert isinstance(changed, dict)
    assert [ref["name"] for ref in changed["spec"]["rules"][0]["backendRefs"]][2:] == ["other"]
    assert weights(changed) == [[10, 70, 20], [10, 70]]
    back = gateway_api.render(CONFIG, document(), REF, fenced)
    assert isinstance(back, dict)
    assert weights(back) == [[10, 90], [10, 90]]
    assert weights(gateway_api.release(fenced, fence, CONFIG)) == [[0, 100], [0, 100]]


def test_the_label_tells_that_a_canary_is_in_progress() -> None:
    assert rendered(document(), stored(rule()))["metadata"]["labels"] == {LABEL: "in-progress"}
    busy = stored(rule(10, 90), labels={LABEL: "in-progress", "team": "a"})
    assert rendered(document(0), busy)["metadata"]["labels"] == {"team": "a"}


def other_fence(canary: int) -> Fence:
    shares = (("api-canary", canary), ("api-stable", 100 - canary))
    split = tuple(BackendShare(service=name, weight=weight) for name, weight in shares)
    return Fence(uid="7a1e", rollout="shop/api", epoch=3, level="written", split=split)


def test_the_label_stays_while_another_rollout_of_the_route_is_in_progress() -> None:
    busy = stored(rule(0, 100), labels={LABEL: "in-progress"})
    shared = stamp(busy, other_fence(20))
    assert rendered(document(0), shared) is shared
    released = gateway_api.release(stamp(shared, fence()), fence(), CONFIG)
    assert released["metadata"]["labels"] == {LABEL: "in-progress"}
    alone = rendered(document(0), stamp(busy, other_fence(0)))
    assert alone["metadata"]["labels"] == {}


def test_the_label_can_be_named_or_switched_off() -> None:
    named = config(httpRoute="web", inProgressLabelKey="k", inProgressLabelValue="v")
    assert rendered(document(), stored(rule()), named)["metadata"]["labels"] == {"k": "v"}
    silent = config(httpRoute="web", disableInProgressLabel=True)
    assert "labels" not in rendered(document(), stored(rule()), silent)["metadata"]


def test_a_route_that_says_the_same_is_left_as_it_is() -> None:
    manifest = stored(rule(10, 90), labels={LABEL: "in-progress"})
    assert rendered(document(), manifest) is manifest


def test_weights_follow_the_base() -> None:
    doc = document(weights=Weights(canary=300, stable=700, base=1000))
    assert weights(rendered(doc, stored(rule()))) == [[300, 700]]


def test_disagreeing_rules_show_in_the_observed_split() -> None:
    wanted = gateway_api.split(document())
    seen = gateway_api.observe(stored(rule(10, 90), rule(20, 80)), wanted)
    assert [(each.service, each.weight) for each in seen] == [
        ("web-canary", 10),
        ("web-stable", 90),
        ("web-canary", 20),
        ("web-stable", 80),
    ]
    assert gateway_api.observe(stored(rule(10, 90), rule(10, 90)), wanted) == wanted


def test_a_backend_without_weight_counts_one() -> None:
    assert gateway_api.observe(stored(rule(None)), gateway_api.split(document()))[0].weight == 1


def fence(epoch: int = 6) -> Fence:
    split = (
        BackendShare(service="web-canary", weight=10),
        BackendShare(service="web-stable", weight=90),
    )
    return Fence(uid=UID, rollout="shop/web", epoch=epoch, level="written", split=split)


def test_the_patch_tests_generation_and_own_fence() -> None:
    manifest = stamp(stored(rule(10, 90), labels={LABEL: "in-progress"}), fence())
    desired = stamp(rendered(document(33), manifest), fence(7))
    change = gateway_api.change(manifest, desired, fence_key(UID))
    assert isinstance(change, JsonChange)
    path = f"/metadata/annotations/{fence_key(UID).replace('/', '~1')}"
    old = manifest["metadata"]["annotations"][fence_key(UID)]
    assert change.operations == (
        {"op": "test", "path": "/metadata/generation", "value": 2},
        {"op": "test", "path": path, "value": old},
        {
            "op": "replace",
            "path": path,
            "value": desired["metadata"]["annotations"][fence_key(UID)],
        },
        {"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 33},
        {"op": "replace", "path": "/spec/rules/0/backendRefs/1/weight", "value": 67},
    )


def test_the_patch_tests_the_resource_version_without_own_fence() -> None:
    manifest = stored(rule(), annotations={"other": "x"}, labels={"team": "a"})
    desired = stamp(rendered(document(), manifest), fence(7))
    change = gateway_api.change(manifest, desired, fence_key(UID))
    assert isinstance(change, JsonChange)
    assert [each["path"] for each in change.operations if each["op"] == "test"] == [
        "/metadata/generation",
        "/metadata/resourceVersion",
    ]


def test_the_patch_tests_a_label_that_it_removes() -> None:
    manifest = stamp(stored(rule(10, 90), labels={LABEL: "in-progress"}), fence())
    change = gateway_api.change(manifest, rendered(document(0), manifest), fence_key(UID))
    assert isinstance(change, JsonChange)
    path = f"/metadata/labels/{LABEL.replace('/', '~1')}"
    assert {"op": "test", "path": path, "value": "in-progress"} in change.operations
    assert {"op": "remove", "path": path} in change.operations


def test_nothing_to_change_is_no_patch() -> None:
    manifest = stored(rule())
    assert gateway_api.change(manifest, manifest, fence_key(UID)) is None


def accepted(status: str = "True", generation: int = 2) -> dict[str, Any]:
    condition = {"type": "Accepted", "status": status, "observedGeneration": generation}
    return {"conditions": [condition]}


@pytest.mark.parametrize(
    ("parents", "level"),
    [
        ([], "written"),
        ([accepted()], "accepted"),
        ([accepted("False")], "written"),
        ([accepted(generation=1)], "written"),
        ([accepted(), accepted("False")], "written"),
    ],
)
def test_a_route_is_accepted_when_every_parent_accepted_this_generation(
    parents: list[dict[str, Any]], level: str
) -> None:
    assert gateway_api.level({**stored(rule()), "status": {"parents": parents}}) == level


def test_release_takes_the_canary_out_with_label_and_fence() -> None:
    manifest = stamp(stored(rule(10, 90), labels={LABEL: "in-progress"}), fence())
    for released in (
        gateway_api.release(manifest, fence(), CONFIG),
        gateway_api.release_orphan(manifest, fence()),
    ):
        assert weights(released) == [[0, 100]]
        assert read_fence(released, UID) is None
        assert released["metadata"]["labels"] == {}


def test_a_successor_finds_nothing_that_its_predecessor_added() -> None:
    added = [{"name": name, "port": 80, "weight": 5} for name in ("web-trial", "web-both")]
    weighted, own = rule(10, 90), {"backendRefs": [{"name": "web-canary"}]}
    weighted["backendRefs"] += added
    dead = fence().model_copy(
        update={"backends": ("web-trial", "web-both"), "rules": ("beta", "delta")}
    )
    successor = Fence(
        uid="u-2",
        rollout="shop/web",
        epoch=1,
        level="written",
        split=dead.split,
        backends=("web-both",),
        rules=("delta",),
    )
    rules = (weighted, {**own, "name": "beta"}, {**own, "name": "delta"})
    released = gateway_api.release_succeeded(stamp(stamp(stored(*rules), dead), successor), dead)
    first, second = released["spec"]["rules"]
    assert [(each["name"], each["weight"]) for each in first["backendRefs"]] == [
        ("web-canary", 10),
        ("web-stable", 90),
        ("web-both", 5),
    ]
    assert second == {**own, "name": "delta"}
    assert read_fence(released, UID) is None
    assert read_fence(released, "u-2") == successor


def test_what_was_shared_goes_to_stable_when_nobody_follows() -> None:
    split = (
        BackendShare(service="web-canary", weight=20),
        BackendShare(service="web-trial", weight=10),
        BackendShare(service="web-stable", weight=70),
    )
    dead = fence().model_copy(update={"split": split, "backends": ("web-trial",)})
    weighted = rule(20, 70)
    weighted["backendRefs"].append({"name": "web-trial", "port": 80, "weight": 10})
    released = gateway_api.release_orphan(stamp(stored(weighted), dead), dead)
    assert weights(released) == [[0, 100]]
    assert gateway_api.release_orphan(released, dead) is released


SWAPPED = Services(ping="web-canary", pong="web-stable")


@pytest.mark.spec("canary 6.3")
def test_ping_and_pong_get_the_weight_of_their_role() -> None:
    roles = {"canary_role": "web-canary", "stable_role": "web-stable"}
    before = document(25, services=SWAPPED.model_copy(update=roles))
    assert weights(rendered(before, stored(rule()))) == [[25, 75]]
    roles = {"canary_role": "web-stable", "stable_role": "web-canary"}
    after = document(25, services=SWAPPED.model_copy(update=roles))
    assert weights(rendered(after, stored(rule()))) == [[75, 25]]
    assert gateway_api.split(after) == (
        BackendShare(service="web-stable", weight=25),
        BackendShare(service="web-canary", weight=75),
    )


def test_a_fence_that_calls_every_service_its_own_releases_no_weight() -> None:
    split = (BackendShare(service="web-canary", weight=10),)
    edited = Fence(
        uid=UID, rollout="shop/web", epoch=7, level="written", split=split, backends=("web-canary",)
    )
    manifest = stamp(stored(rule(10, 90)), edited)
    released = gateway_api.release_orphan(manifest, edited)
    assert read_fence(released, UID) is None
    assert [
        [(ref["name"], ref["weight"]) for ref in each["backendRefs"]]
        for each in released["spec"]["rules"]
    ] == [[("web-stable", 90)]]
