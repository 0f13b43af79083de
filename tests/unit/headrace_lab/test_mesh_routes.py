from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from headrace_lab.mesh_routes import (
    Backend,
    Endpoint,
    Key,
    PodRecord,
    Rule,
    Topology,
    parse_weight,
    record_pod,
    resolve,
)

STABLE, CANARY, ROOT = ("shop", "stable"), ("shop", "canary"), ("shop", "root")


def make_service(selector: dict[str, str], target: int | str = "http") -> dict[str, Any]:
    return {"spec": {"selector": selector, "ports": [{"port": 80, "targetPort": target}]}}


def make_pod(address: str, *, serving: bool = True, **labels: str) -> PodRecord:
    return PodRecord(frozenset(labels.items()), address, serving, (("http", 8080),))


def make_split(
    weights: dict[str, int | str], *, root: str = "root", age: int = 1
) -> dict[str, Any]:
    backends = [{"service": name, "weight": weight} for name, weight in weights.items()]
    return {
        "metadata": {"creationTimestamp": f"2026-01-01T00:00:0{age}Z"},
        "spec": {"service": root, "backends": backends},
    }


def make_route(
    parents: list[dict[str, str]], backends: list[dict[str, Any]], *, age: int = 1, **spec: Any
) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "creationTimestamp": f"2026-01-01T00:00:0{age}Z"},
        "spec": {"parentRefs": parents, "rules": [{"backendRefs": backends}], **spec},
    }


def resolve_shop(
    splits: dict[Key, Any] | None = None,
    routes: dict[Key, Any] | None = None,
    pods: dict[Key, PodRecord] | None = None,
) -> Topology:
    services = {
        STABLE: make_service({"app": "shop", "hash": "1"}),
        CANARY: make_service({"app": "shop", "hash": "2"}),
        ROOT: make_service({"app": "shop"}),
    }
    return resolve(services, pods or {}, splits or {}, routes or {})


def rules_of(topology: Topology, name: str) -> tuple[Rule, ...]:
    return next(host.rules for host in topology.hosts if host.name == name)


def shares_of(topology: Topology, name: str) -> dict[Key, int]:
    (rule,) = rules_of(topology, name)
    return {backend.service: backend.weight for backend in rule.backends}


def test_a_service_leads_to_the_serving_pods_of_its_selector() -> None:
    pods = {
        ("shop", "a"): make_pod("127.20.0.2", app="shop", hash="1"),
        ("shop", "b"): make_pod("127.20.0.1", app="shop", hash="1", role="stable"),
        ("shop", "c"): make_pod("127.20.0.3", app="shop", hash="2"),
        ("shop", "d"): make_pod("127.20.0.4", app="shop", hash="1", serving=False),
        ("other", "e"): make_pod("127.20.0.5", app="shop", hash="1"),
    }

    endpoints = resolve_shop(pods=pods).endpoints

    assert endpoints[STABLE] == (Endpoint("127.20.0.1", 8080), Endpoint("127.20.0.2", 8080))
    assert endpoints[CANARY] == (Endpoint("127.20.0.3", 8080),)
    assert len(endpoints[ROOT]) == 3


def test_a_service_without_selector_leads_nowhere() -> None:
    pods = {("shop", "a"): make_pod("127.20.0.2", app="shop")}

    topology = resolve({ROOT: make_service({})}, pods, {}, {})

    assert topology.endpoints[ROOT] == ()


def test_a_named_target_port_must_exist_on_the_pod() -> None:
    pods = {("shop", "a"): make_pod("127.20.0.2", app="shop")}
    services = {
        STABLE: make_service({"app": "shop"}, target=9000),
        CANARY: make_service({"app": "shop"}, target="grpc"),
    }

    endpoints = resolve(services, pods, {}, {}).endpoints

    assert endpoints == {STABLE: (Endpoint("127.20.0.2", 9000),), CANARY: ()}


def test_a_plain_service_is_its_own_backend() -> None:
    assert rules_of(resolve_shop(), "shop/root") == (Rule((Backend(ROOT, 1),)),)


def test_a_split_divides_the_requests_of_its_root_only() -> None:
    topology = resolve_shop({("shop", "s"): make_split({"canary": 10, "stable": 90})})

    assert shares_of(topology, "shop/root") == {CANARY: 10, STABLE: 90}
    assert shares_of(topology, "shop/stable") == {STABLE: 1}


def test_weights_may_be_quantities_and_services_full_names() -> None:
    split = make_split(
        {"canary.shop.svc.cluster.local": "500m", "stable": "2"}, root="root.shop.svc"
    )

    topology = resolve_shop({("shop", "s"): split})

    assert shares_of(topology, "shop/root") == {CANARY: 1, STABLE: 4}


def test_the_youngest_of_two_splits_of_one_root_holds() -> None:
    splits = {
        ("shop", "b"): make_split({"stable": 1}, age=1),
        ("shop", "a"): make_split({"canary": 1}, age=2),
    }

    assert shares_of(resolve_shop(splits), "shop/root") == {CANARY: 1}


def test_a_route_with_a_service_as_parent_goes_before_a_split() -> None:
    route = make_route(
        [{"group": "", "kind": "Service", "name": "root"}],
        [{"name": "canary", "weight": 33}, {"name": "stable", "weight": 67}],
    )

    topology = resolve_shop({("shop", "s"): make_split({"stable": 1})}, {("shop", "r"): route})

    assert shares_of(topology, "shop/root") == {CANARY: 33, STABLE: 67}


def test_a_route_of_another_namespace_does_not_change_a_service() -> None:
    route = make_route([{"kind": "Service", "name": "root", "namespace": "shop"}], [])
    route["metadata"]["namespace"] = "other"

    topology = resolve_shop(routes={("other", "r"): route})

    assert shares_of(topology, "shop/root") == {ROOT: 1}


def test_a_gateway_is_reached_by_its_name_and_by_its_routes_host_names() -> None:
    route = make_route([{"name": "public"}], [{"name": "stable"}], hostnames=["shop.example.com"])

    topology = resolve_shop(routes={("shop", "r"): route})

    domains = {host.name: host.domains for host in topology.hosts}
    assert domains["shop/public"] == ("public.shop",)
    assert domains["shop.example.com"] == ("shop.example.com",)
    assert shares_of(topology, "shop.example.com") == {STABLE: 1}


def test_a_host_name_belongs_to_the_first_gateway_that_claims_it() -> None:
    routes = {
        ("shop", name): make_route(
            [{"name": gateway}], [{"name": backend}], hostnames=["shop.example.com"], age=age
        )
        for name, gateway, backend, age in [("a", "new", "canary", 2), ("b", "old", "stable", 1)]
    }

    topology = resolve_shop(routes=routes)

    assert [host.name for host in topology.hosts].count("shop.example.com") == 1
    assert shares_of(topology, "shop.example.com") == {STABLE: 1}


@pytest.mark.parametrize(
    ("weight", "value"),
    [(10, 10), ("10", 10), ("500m", Fraction(1, 2)), ("1k", 1000), (0, 0), ("0", 0)],
)
def test_reads_weights_of_all_versions(weight: int | str, value: Fraction) -> None:
    assert parse_weight(weight) == value


def test_a_pod_serves_while_it_is_ready_and_nobody_deletes_it() -> None:
    pod = {
        "metadata": {"labels": {"app": "shop"}},
        "spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"podIP": "127.20.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    unready = pod | {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    ending = pod | {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}

    assert record_pod(pod) == make_pod("127.20.0.1", app="shop")
    assert not record_pod(unready).is_serving
    assert not record_pod(ending).is_serving
