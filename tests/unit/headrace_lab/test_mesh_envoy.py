from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from headrace_lab.mesh_envoy import bootstrap, clusters, listeners, routes
from headrace_lab.mesh_routes import Backend, Endpoint, Rule, Topology, VirtualHost
from headrace_lab.toolchain import envoy_binary

STABLE, CANARY = ("shop", "stable"), ("shop", "canary")


def make_topology(*rules: Rule) -> Topology:
    endpoints = {STABLE: (Endpoint("127.20.0.1", 8080),), CANARY: ()}
    return Topology((VirtualHost("shop/root", ("root.shop",), rules),), endpoints)


def routes_of(*rules: Rule) -> list[dict[str, Any]]:
    (host,) = routes(make_topology(*rules))["resources"][0]["virtual_hosts"]
    found: list[dict[str, Any]] = host["routes"]
    return found


def test_a_split_becomes_weighted_clusters() -> None:
    rule = Rule((Backend(STABLE, 90), Backend(CANARY, 10)))

    assert routes_of(rule) == [
        {
            "match": {"prefix": "/"},
            "route": {
                "weighted_clusters": {
                    "clusters": [
                        {"name": "shop/stable", "weight": 90},
                        {"name": "shop/canary", "weight": 10},
                    ]
                }
            },
        }
    ]


def test_a_backend_without_weight_gets_nothing() -> None:
    rule = Rule((Backend(STABLE, 100), Backend(CANARY, 0)))

    assert routes_of(rule)[0]["route"] == {"cluster": "shop/stable"}


def test_without_any_weight_requests_fail() -> None:
    assert routes_of(Rule((Backend(STABLE, 0),)))[0]["direct_response"] == {"status": 500}


def test_matches_are_translated_part_by_part() -> None:
    match = {
        "path": {"type": "PathPrefix", "value": "/cart/"},
        "method": "GET",
        "headers": [
            {"name": "x-user", "value": "a"},
            {"name": "agent", "type": "RegularExpression", "value": ".*bot"},
        ],
        "queryParams": [{"name": "q", "value": "1"}],
    }

    assert routes_of(Rule((Backend(STABLE, 1),), (match,)))[0]["match"] == {
        "path_separated_prefix": "/cart",
        "headers": [
            {"name": "x-user", "string_match": {"exact": "a"}},
            {"name": "agent", "string_match": {"safe_regex": {"regex": ".*bot"}}},
            {"name": ":method", "string_match": {"exact": "GET"}},
        ],
        "query_parameters": [{"name": "q", "string_match": {"exact": "1"}}],
    }


def test_the_more_specific_match_goes_first() -> None:
    backends = (Backend(STABLE, 1),)
    matches: list[dict[str, Any]] = [
        {},
        {"headers": [{"name": "x", "value": "1"}]},
        {"path": {"type": "PathPrefix", "value": "/a"}},
        {"path": {"type": "Exact", "value": "/a"}},
    ]

    found = routes_of(*(Rule(backends, (match,)) for match in matches))

    assert [set(route["match"]) for route in found] == [
        {"path"},
        {"path_separated_prefix"},
        {"prefix", "headers"},
        {"prefix"},
    ]


def test_a_cluster_holds_the_pods_of_its_service() -> None:
    stable, canary = clusters(make_topology())["resources"]

    (group,) = stable["load_assignment"]["endpoints"]
    assert [host["endpoint"]["address"] for host in group["lb_endpoints"]] == [
        {"socket_address": {"address": "127.20.0.1", "port_value": 8080}}
    ]
    assert canary["load_assignment"]["endpoints"] == [{"lb_endpoints": []}]


@pytest.mark.lab
async def test_envoy_takes_the_files(tmp_path: Path) -> None:
    rule = Rule((Backend(STABLE, 90), Backend(CANARY, 10)), ({"method": "GET"},))
    topology = make_topology(rule)
    for name, document in {
        "bootstrap.json": bootstrap(tmp_path, admin_port=0),
        "lds.json": listeners(tmp_path, port=0),
        "cds.json": clusters(topology),
        "rds.json": routes(topology),
    }.items():
        (tmp_path / name).write_bytes(orjson.dumps(document))

    envoy = await asyncio.create_subprocess_exec(
        envoy_binary(),
        "--mode",
        "validate",
        "-c",
        str(tmp_path / "bootstrap.json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await envoy.communicate()

    assert envoy.returncode == 0, output.decode()
