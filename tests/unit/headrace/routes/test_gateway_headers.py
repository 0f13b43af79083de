"""Header rules of HTTPRoutes (traffic-routing 11.3, 11.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headrace.kubernetes.resources import HTTP_ROUTES
from headrace.model.route import (
    Fence,
    Hashes,
    HeaderMatch,
    HeaderRoute,
    ManagedRoutes,
    RouteDocument,
    RouterConfig,
    Services,
    StringMatch,
    Weights,
)
from headrace.routes import (
    ObjectRef,
    RenderError,
    Sighting,
    adds_rules,
    gateway_api,
    read_object,
    stamp,
)

UID = "5f0c"
REF = ObjectRef(HTTP_ROUTES, "shop", "web")
PATH = {"type": "PathPrefix", "value": "/"}
BETA = {"name": "x-beta", "type": "Exact", "value": "yes"}


def config(**fields: Any) -> RouterConfig:
    return RouterConfig(kind="plugin", plugin=gateway_api.PLUGIN, config=json.dumps(fields))


CONFIG = config(httpRoute="web")


def header(name: str = "beta", **value: str) -> HeaderRoute:
    match = HeaderMatch(
        header_name="x-beta", header_value=StringMatch(**(value or {"exact": "yes"}))
    )
    return HeaderRoute(name=name, match=(match,))


def document(*routes: HeaderRoute) -> RouteDocument:
    return RouteDocument(
        cluster="c",
        namespace="shop",
        rollout="web",
        uid=UID,
        epoch=7,
        generation=3,
        decided_at="2026-01-01T00:00:00Z",
        routers=(CONFIG,),
        services=Services(
            canary="web-canary",
            stable="web-stable",
            canary_role="web-canary",
            stable_role="web-stable",
        ),
        hashes=Hashes(canary="c1", stable="s1"),
        weights=Weights(canary=0, stable=100),
        managed=ManagedRoutes(names=("beta", "gamma"), header=routes),
    )


def rule(**extra: Any) -> dict[str, Any]:
    refs = [
        {"name": "web-canary", "port": 80, "weight": 0},
        {"name": "web-stable", "port": 80, "weight": 100},
    ]
    return {"backendRefs": refs, **extra}


def stored(*rules: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop", "resourceVersion": "41", "generation": 2}
    return {"metadata": metadata, "spec": {"rules": list(rules)}}


def rules(doc: RouteDocument, manifest: dict[str, Any], router: RouterConfig = CONFIG) -> list[Any]:
    made = gateway_api.render(router, doc, REF, manifest)
    assert isinstance(made, dict)
    return list(made["spec"]["rules"])


def test_each_source_rule_gets_a_rule_for_the_header() -> None:
    get = {"method": "GET", "headers": [{"name": "a", "value": "b"}]}
    filters = [{"type": "URLRewrite"}]
    source = rule(matches=[{"path": PATH}, get], filters=filters)
    foreign = {"backendRefs": [{"name": "other"}]}
    made = rules(document(header()), stored(source, foreign, rule()))
    assert made[:3] == [source, foreign, rule()]
    backends = [{"group": "", "kind": "Service", "name": "web-canary", "port": 80}]
    assert made[3:] == [
        {
            "name": "beta",
            "matches": [
                {"path": PATH, "headers": [BETA]},
                {"method": "GET", "headers": [{"name": "a", "value": "b"}, BETA]},
            ],
            "backendRefs": backends,
            "filters": filters,
        },
        {"name": "beta-1", "matches": [{"headers": [BETA]}], "backendRefs": backends},
    ]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"exact": "v"}, {"type": "Exact", "value": "v"}),
        ({"prefix": "v"}, {"type": "RegularExpression", "value": "v.*"}),
        ({"regex": "v+"}, {"type": "RegularExpression", "value": "v+"}),
    ],
)
def test_a_value_is_compared_as_the_step_says(value: dict[str, str], wanted: Any) -> None:
    made = rules(document(header(**value)), stored(rule()))
    assert made[1]["matches"] == [{"headers": [{"name": "x-beta", **wanted}]}]


def test_a_match_of_no_type_is_an_error() -> None:
    empty = HeaderMatch(header_name="x", header_value=StringMatch())
    doc = document(HeaderRoute(name="beta", match=(empty,)))
    error = gateway_api.render(CONFIG, doc, REF, stored(rule()))
    assert error == RenderError("invalid header match type")


def test_what_the_api_server_adds_is_no_difference() -> None:
    doc = document(header())
    made = rules(doc, stored(rule()))[1]
    backend = {**made["backendRefs"][0], "weight": 1}
    kept = {**made, "matches": [{"path": PATH, "headers": [BETA]}], "backendRefs": [backend]}
    manifest = stored(rule(), kept)
    assert gateway_api.render(CONFIG, doc, REF, manifest) is manifest
    assert gateway_api.observe(manifest, gateway_api.split(doc), ("beta",)) == (
        gateway_api.split(doc)
    )


def nameless(rules: list[Any]) -> list[Any]:
    """The rules as an API server stores them whose HTTPRoutes know no names of rules."""
    return [{key: each[key] for key in each if key != "name"} for each in rules]


def test_header_rules_hold_where_the_api_server_drops_their_names() -> None:
    doc = document(header(), header("gamma", exact="no"))
    manifest = stamp(stored(*nameless(rules(doc, stored(rule(), rule())))), fence(doc))
    assert len(manifest["spec"]["rules"]) == 6
    held = read_object(gateway_api, CONFIG, doc, Sighting(REF, manifest), 7)
    assert (held.level, held.is_drifted) == ("written", False)
    edited = stored(*manifest["spec"]["rules"][:-1])
    assert len(rules(doc, edited)) == 6


def test_what_is_given_up_loses_rules_whose_names_were_dropped() -> None:
    doc = document(header())
    manifest = stamp(stored(*nameless(rules(doc, stored(rule())))), fence(doc))
    assert gateway_api.release_orphan(manifest, fence(doc))["spec"]["rules"] == [rule()]
    elsewhere = config(httpRoutes=[{"name": "web"}])
    assert rules(document(), manifest, elsewhere) == [rule()]


@pytest.mark.parametrize("name", ["beta", "beta-1", None])
def test_a_managed_rule_that_is_not_wanted_goes(name: str | None) -> None:
    made = rules(document(header()), stored(rule()))[1]
    old = {key: value for key, value in made.items() if key != "name" or name}
    old = {**old, "name": name} if name else old
    assert rules(document(), stored(rule(), old)) == [rule()]
    assert [each.get("name") for each in rules(document(header("gamma")), stored(rule(), old))] == [
        None,
        "gamma",
    ]


def test_a_rule_of_the_user_stays() -> None:
    own = {"name": "preview", "backendRefs": [{"name": "web-canary"}], "matches": [{"path": PATH}]}
    assert rules(document(), stored(rule(), own)) == [rule(), own]


def test_only_routes_that_serve_headers_get_them() -> None:
    doc = document(header())
    assert len(rules(doc, stored(rule()), config(httpRoutes=[{"name": "web"}]))) == 1
    serving = config(httpRoutes=[{"name": "web", "useHeaderRoutes": True}])
    assert len(rules(doc, stored(rule()), serving)) == 2


def fence(doc: RouteDocument) -> Fence:
    return Fence(
        uid=UID,
        rollout="shop/web",
        epoch=7,
        level="written",
        split=gateway_api.split(doc),
        rules=tuple(each.name for each in doc.managed.header),
    )


def test_a_header_rule_that_somebody_deleted_is_drift() -> None:
    doc = document(header())
    whole = stamp(stored(*rules(doc, stored(rule()))), fence(doc))
    without = stamp(stored(rule()), fence(doc))
    held = read_object(gateway_api, CONFIG, doc, Sighting(REF, whole), 7)
    assert (held.level, held.is_drifted) == ("written", False)
    gone = read_object(gateway_api, CONFIG, doc, Sighting(REF, without), 7)
    assert (gone.level, gone.is_drifted) == (None, True)


def test_two_rollouts_leave_the_order_of_their_rules_alone() -> None:
    other = {"name": "delta", "matches": [{"headers": [BETA]}], "backendRefs": [{"name": "api"}]}
    ours = rules(document(header()), stored(rule()))[-1]
    behind, before = stored(rule(), other, ours), stored(rule(), ours, other)
    for manifest in (behind, before):
        assert gateway_api.render(CONFIG, document(header()), REF, manifest) is manifest


def test_a_rule_that_no_managed_route_names_any_more_goes() -> None:
    before = document(header("delta"))
    kept = stamp({**stored(*rules(before, stored(rule())))}, fence(before))
    assert [each.get("name") for each in kept["spec"]["rules"]] == [None, "delta"]
    assert rules(document(), kept) == [rule()]
    assert rules(document(), kept, config(httpRoutes=[{"name": "web"}])) == [rule()]


def test_what_is_given_up_loses_our_rules() -> None:
    doc = document(header())
    whole = stamp(stored(*rules(doc, stored(rule()))), fence(doc))
    assert gateway_api.release_orphan(whole, fence(doc))["spec"]["rules"] == [rule()]


def test_a_rule_raises_at_any_weight() -> None:
    doc, bare = document(header()), stored(rule())
    full = stored(*rules(doc, bare))
    assert adds_rules(doc, bare, full)
    assert not adds_rules(doc, full, full)
    assert not adds_rules(document(), full, bare)
