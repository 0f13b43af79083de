from __future__ import annotations

import asyncio
from ipaddress import IPv4Network
from pathlib import Path

import orjson
import pytest

from headrace_lab.kubelet_node import Addresses, Targets

POD = {"metadata": {"name": "a", "namespace": "shop"}}


def test_an_address_is_not_given_again_soon() -> None:
    addresses = Addresses(IPv4Network("127.20.0.0/29"))

    first = addresses.take()
    addresses.give_back(first)

    assert first == "127.20.0.1"
    assert addresses.take() == "127.20.0.2"


def test_a_reserved_address_is_left_out() -> None:
    addresses = Addresses(IPv4Network("127.20.0.0/29"))
    addresses.reserve("127.20.0.1")

    assert addresses.take() == "127.20.0.2"


def test_a_full_network_is_an_error() -> None:
    addresses = Addresses(IPv4Network("127.20.0.0/30"))
    addresses.take()
    addresses.take()

    with pytest.raises(RuntimeError, match="no free address"):
        addresses.take()


async def test_targets_are_written_soon_after_a_change(tmp_path: Path) -> None:
    file = tmp_path / "pods.json"
    targets = Targets(file)

    targets.add(POD, "127.20.0.1", 8080)
    async with asyncio.timeout(5):
        while not file.exists():
            await asyncio.sleep(0.01)

    assert orjson.loads(file.read_bytes()) == [
        {"targets": ["127.20.0.1:8080"], "labels": {"namespace": "shop", "pod": "a"}}
    ]


async def test_a_removed_target_is_gone_from_the_file(tmp_path: Path) -> None:
    targets = Targets(tmp_path / "pods.json")
    targets.add(POD, "127.20.0.1", 8080)
    targets.remove("127.20.0.1", 8080)

    targets.write()

    assert orjson.loads((tmp_path / "pods.json").read_bytes()) == []
