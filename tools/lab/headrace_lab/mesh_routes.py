"""Who gets the requests to a Service: pure functions from Kubernetes objects to a topology.

A request to `<service>.<namespace>` follows, in this order: the HTTPRoutes that have the Service
as parent; the TrafficSplit that has it as root; the pods of its own selector. A Gateway's requests
follow its HTTPRoutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any

from headrace_lab.kube import Object

Key = tuple[str, str]
"""Namespace and name."""

_SUFFIX_FACTORS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a pod listens."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class PodRecord:
    """What the mesh has to know of a pod."""

    labels: frozenset[tuple[str, str]]
    address: str
    is_serving: bool
    ports: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service that takes a share of the requests."""

    service: Key
    weight: int


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests that match go to the backends by weight; none means every request."""

    backends: tuple[Backend, ...]
    matches: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """All rules of the requests to one name."""

    name: str
    domains: tuple[str, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    """All that the data plane must know."""

    hosts: tuple[VirtualHost, ...]
    endpoints: Mapping[Key, tuple[Endpoint, ...]]


def record_pod(pod: Object) -> PodRecord:
    """Reduce a pod; it serves while it is ready and nobody deletes it."""
    conditions = pod.get("status", {}).get("conditions", [])
    is_ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    ports = (
        (port.get("name", ""), port["containerPort"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    )
    return PodRecord(
        labels=frozenset(pod["metadata"].get("labels", {}).items()),
        address=pod.get("status", {}).get("podIP", ""),
        is_serving=is_ready and "deletionTimestamp" not in pod["metadata"],
        ports=tuple(ports),
    )


def resolve(
    services: Mapping[Key, Object],
    pods: Mapping[Key, PodRecord],
    splits: Mapping[Key, Object],
    routes: Mapping[Key, Object],
) -> Topology:
    """Resolve every Service and every Gateway that a route names."""
    pods_by_label = _index(pods)
    endpoints = {
        key: _endpoints(service, key[0], pods_by_label) for key, service in services.items()
    }
    rules: dict[Key, tuple[Rule, ...]] = {key: (Rule((Backend(key, 1),)),) for key in services}
    for (namespace, _), split in _by_age(splits):
        rules[namespace, _local_name(split["spec"]["service"])] = (_split_rule(namespace, split),)
    by_parent = _routes_by_parent(routes)
    for (kind, namespace, name), parent_routes in by_parent.items():
        if kind == "Service" and (namespace, name) in services:
            rules[namespace, name] = _route_rules(parent_routes)
    hosts = [_service_host(key, rules[key]) for key in services]
    taken: set[str] = set()
    for (kind, namespace, name), parent_routes in by_parent.items():
        if kind == "Gateway":
            hosts += _gateway_hosts(namespace, name, parent_routes, taken)
    return Topology(tuple(hosts), endpoints)


def parse_weight(weight: int | str) -> Fraction:
    """A TrafficSplit's weight: an integer, or a quantity as v1alpha1 has it (`"10"`, `"500m"`)."""
    if isinstance(weight, int):
        return Fraction(weight)
    factor = _SUFFIX_FACTORS.get(weight[-1:])
    return Fraction(Decimal(weight[:-1]) * factor if factor is not None else Decimal(weight))


def _index(pods: Mapping[Key, PodRecord]) -> dict[tuple[str, str, str], list[PodRecord]]:
    index: dict[tuple[str, str, str], list[PodRecord]] = {}
    for (namespace, _), pod in pods.items():
        if pod.is_serving:
            for name, value in pod.labels:
                index.setdefault((namespace, name, value), []).append(pod)
    return index


def _endpoints(
    service: Object, namespace: str, index: Mapping[tuple[str, str, str], list[PodRecord]]
) -> tuple[Endpoint, ...]:
    selector = service["spec"].get("selector", {})
    ports = service["spec"].get("ports", [])
    if not selector or not ports:
        return ()
    wanted = frozenset(selector.items())
    candidates = min((index.get((namespace, *pair), []) for pair in wanted), key=len)
    target = ports[0].get("targetPort", ports[0]["port"])
    return tuple(
        sorted(
            (
                Endpoint(pod.address, port)
                for pod in candidates
                if wanted <= pod.labels and (port := _target_port(pod, target))
            ),
            key=lambda endpoint: (endpoint.address, endpoint.port),
        )
    )


def _target_port(pod: PodRecord, target: int | str) -> int:
    return target if isinstance(target, int) else dict(pod.ports).get(target, 0)


def _split_rule(namespace: str, split: Object) -> Rule:
    shares = [
        ((namespace, _local_name(backend["service"])), parse_weight(backend.get("weight", 0)))
        for backend in split["spec"].get("backends", [])
    ]
    scale = lcm(*(share.denominator for _, share in shares)) if shares else 1
    return Rule(tuple(Backend(service, int(share * scale)) for service, share in shares))


def _route_rules(routes: Iterable[Object]) -> tuple[Rule, ...]:
    rules = [
        Rule(
            tuple(_backend(route, reference) for reference in rule.get("backendRefs", [])),
            tuple(rule.get("matches", [])),
        )
        for route in routes
        for rule in route["spec"].get("rules", [])
    ]
    return tuple(rules)


def _backend(route: Object, reference: Object) -> Backend:
    namespace = reference.get("namespace", route["metadata"]["namespace"])
    return Backend((namespace, reference["name"]), reference.get("weight", 1))


def _routes_by_parent(routes: Mapping[Key, Object]) -> dict[tuple[str, str, str], list[Object]]:
    """The routes of each parent, the oldest first; only a Service's own namespace may route it."""
    parents: dict[tuple[str, str, str], list[Object]] = {}
    for (namespace, _), route in _by_age(routes):
        for parent in route["spec"].get("parentRefs", []):
            kind = parent.get("kind", "Gateway")
            parent_namespace = parent.get("namespace", namespace)
            if kind == "Service" and parent_namespace != namespace:
                continue
            parents.setdefault((kind, parent_namespace, parent["name"]), []).append(route)
    return parents


def _gateway_hosts(
    namespace: str, name: str, routes: list[Object], taken: set[str]
) -> list[VirtualHost]:
    """One host by the Gateway's own name with all its routes, and one per host name of a route.

    Two Gateways may claim the same host name, but there is one listener: the first has it.
    """
    hosts = [VirtualHost(f"{namespace}/{name}", (f"{name}.{namespace}",), _route_rules(routes))]
    by_hostname: dict[str, list[Object]] = {}
    for route in routes:
        for hostname in route["spec"].get("hostnames", []):
            by_hostname.setdefault(hostname, []).append(route)
    for hostname, its_routes in by_hostname.items():
        if hostname not in taken:
            taken.add(hostname)
            hosts.append(VirtualHost(hostname, (hostname,), _route_rules(its_routes)))
    return hosts


def _service_host(service: Key, rules: tuple[Rule, ...]) -> VirtualHost:
    namespace, name = service
    short = f"{name}.{namespace}"
    domains = (short, f"{short}.svc", f"{short}.svc.cluster.local")
    return VirtualHost(f"{namespace}/{name}", domains, rules)


def _by_age(objects: Mapping[Key, Object]) -> list[tuple[Key, Object]]:
    return sorted(
        objects.items(), key=lambda item: (item[1]["metadata"]["creationTimestamp"], item[0])
    )


def _local_name(service: str) -> str:
    """SMI allows full DNS names; a split stays in its namespace."""
    return service.partition(".")[0]
