"""A topology as Envoy's configuration: pure functions, JSON documents of its v3 API.

Routes have a file of their own, so that a new weight does not touch the listener, which would
leave open connections on the old one. Pods stand in their Service's cluster: Envoy lets the
requests end that run on a cluster it replaces, while endpoints in files of their own would take
one inotify instance each, and a user has 128.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from headrace_lab.mesh_routes import Backend, Endpoint, Key, Topology, VirtualHost

Document = dict[str, Any]

ROUTES_NAME = "mesh"
_TYPE = "type.googleapis.com/envoy"
_HTTP_MANAGER = (
    f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
_ROUTER = f"{_TYPE}.extensions.filters.http.router.v3.Router"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_UNLIMITED = 1_000_000
# Only what no pod has begun to work on is sent again: a release must not hide a pod's own errors.
_RETRIES = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 3,
    "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
}


def cluster_name(service: Key) -> str:
    """The name of a Service's cluster, and of its statistics (dots would split those)."""
    return f"{service[0]}/{service[1]}"


def bootstrap(folder: Path, *, admin_port: int) -> Document:
    """The document Envoy is started with."""
    return {
        "node": {"id": "lab", "cluster": "lab"},
        "admin": {"address": _socket("127.0.0.1", admin_port)},
        "dynamic_resources": {
            "lds_config": _file_source(folder / "lds.json"),
            "cds_config": _file_source(folder / "cds.json"),
        },
    }


def listeners(folder: Path, *, port: int) -> Document:
    """The one listener; requests are told apart by their Host header."""
    manager = {
        "@type": _HTTP_MANAGER,
        "stat_prefix": "mesh",
        "strip_any_host_port": True,
        "generate_request_id": False,
        "rds": {
            "route_config_name": ROUTES_NAME,
            "config_source": _file_source(folder / "rds.json"),
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True},
            }
        ],
    }
    listener = {
        "@type": f"{_TYPE}.config.listener.v3.Listener",
        "name": "mesh",
        "address": _socket("127.0.0.1", port),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ]
            }
        ],
    }
    return {"resources": [listener]}


def clusters(topology: Topology) -> Document:
    """One cluster per Service, so that Envoy's statistics tell the split."""
    return {"resources": [_cluster(*item) for item in topology.endpoints.items()]}


def routes(topology: Topology) -> Document:
    """All virtual hosts."""
    configuration = {
        "@type": f"{_TYPE}.config.route.v3.RouteConfiguration",
        "name": ROUTES_NAME,
        # A route may name a Service that does not exist: its share is answered with 503.
        "validate_clusters": False,
        "virtual_hosts": [_virtual_host(host) for host in topology.hosts],
    }
    return {"resources": [configuration]}


def _virtual_host(host: VirtualHost) -> Document:
    entries = [
        (_route_match(match), _action(rule.backends))
        for rule in host.rules
        for match in (rule.matches or ({},))
    ]
    entries.sort(key=lambda entry: _precedence(entry[0]), reverse=True)
    return {
        "name": host.name,
        "domains": list(host.domains),
        "retry_policy": _RETRIES,
        "routes": [{"match": match, **action} for match, action in entries],
    }


def _action(backends: Iterable[Backend]) -> Document:
    weighted = [backend for backend in backends if backend.weight > 0]
    if not weighted:
        return {"direct_response": {"status": 500}}
    if len(weighted) == 1:
        return {"route": {"cluster": cluster_name(weighted[0].service)}}
    shares = [
        {"name": cluster_name(backend.service), "weight": backend.weight} for backend in weighted
    ]
    return {"route": {"weighted_clusters": {"clusters": shares}}}


def _route_match(match: Mapping[str, Any]) -> Document:
    """An HTTPRoute match in Envoy's words; all its parts must hold."""
    path = match.get("path", {})
    document = _path_match(path.get("type", "PathPrefix"), path.get("value", "/"))
    headers = [
        {"name": header["name"], "string_match": _string_match(header)}
        for header in match.get("headers", [])
    ]
    if method := match.get("method"):
        headers.append({"name": ":method", "string_match": {"exact": method}})
    if headers:
        document["headers"] = headers
    if parameters := match.get("queryParams"):
        document["query_parameters"] = [
            {"name": item["name"], "string_match": _string_match(item)} for item in parameters
        ]
    return document


def _path_match(kind: str, value: str) -> Document:
    match kind:
        case "Exact":
            return {"path": value}
        case "RegularExpression":
            return {"safe_regex": {"regex": value}}
    trimmed = value.rstrip("/")
    return {"path_separated_prefix": trimmed} if trimmed else {"prefix": "/"}


def _string_match(condition: Mapping[str, str]) -> Document:
    if condition.get("type") == "RegularExpression":
        return {"safe_regex": {"regex": condition["value"]}}
    return {"exact": condition["value"]}


def _precedence(match: Mapping[str, Any]) -> tuple[bool, int, int, int]:
    """Gateway API's order: exact path, longest path, most headers, most query parameters."""
    path = match.get("path", "") or match.get("path_separated_prefix", "")
    return (
        "path" in match,
        len(path),
        len(match.get("headers", [])),
        len(match.get("query_parameters", [])),
    )


def _cluster(service: Key, endpoints: Iterable[Endpoint]) -> Document:
    hosts = [{"endpoint": {"address": _socket(item.address, item.port)}} for item in endpoints]
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": cluster_name(service),
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": cluster_name(service),
            "endpoints": [{"lb_endpoints": hosts}],
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": _UNLIMITED,
                    "max_pending_requests": _UNLIMITED,
                    "max_requests": _UNLIMITED,
                    "max_retries": _UNLIMITED,
                }
            ]
        },
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                # Shorter than any server's, which would close under a request being sent.
                "common_http_protocol_options": {"idle_timeout": "15s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _file_source(file: Path) -> Document:
    return {"resource_api_version": "V3", "path_config_source": {"path": str(file)}}


def _socket(address: str, port: int) -> Document:
    return {"socket_address": {"address": address, "port_value": port}}
