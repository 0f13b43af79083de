from __future__ import annotations

from pathlib import Path

import pytest

from headrace_lab.cache import Cache
from headrace_lab.parts import PORT_NAMES
from headrace_lab.parts.kafka import server_properties
from headrace_lab.site import Site
from headrace_lab.state import Options


@pytest.fixture
def properties(tmp_path: Path) -> dict[str, str]:
    ports = {name: 20000 + number for number, name in enumerate(PORT_NAMES)}
    site = Site(tmp_path, ports, Options(), 77, Cache(tmp_path))
    return dict(line.split("=", 1) for line in server_properties(site).splitlines())


def test_listens_on_loopback_only(properties: dict[str, str]) -> None:
    for name in ("listeners", "advertised.listeners"):
        for listener in properties[name].split(","):
            assert listener.partition("://")[2].startswith("127.0.0.1:")


def test_a_proxied_listener_sends_clients_to_the_proxy(properties: dict[str, str]) -> None:
    bound = dict(item.split("://") for item in properties["listeners"].split(","))
    told = dict(item.split("://") for item in properties["advertised.listeners"].split(","))

    assert told["PLAINTEXT"] == bound["PLAINTEXT"]
    proxied = [name for name in told if name.startswith("PROXY_")]
    assert "PROXY_TRAFFIC_ROUTER" in proxied
    assert all(told[name] != bound[name] for name in proxied)


def test_every_listener_has_a_protocol(properties: dict[str, str]) -> None:
    known = {item.split(":")[0] for item in properties["listener.security.protocol.map"].split(",")}
    used = {item.split("://")[0] for item in properties["listeners"].split(",")}

    assert known == used
