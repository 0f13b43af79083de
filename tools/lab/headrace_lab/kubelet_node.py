"""What the pods of the stand-in's one node share: addresses, images, scrape targets."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import aiohttp
import orjson

from headrace_lab.kube import Kube, Object, key_of
from headrace_lab.kubelet_pods import image_name

NODE_NAME = "lab-node"
_TARGETS_DELAY_SECONDS = 0.05


class Addresses:
    """Pod addresses out of one loopback network, each given again as late as possible."""

    def __init__(self, network: IPv4Network) -> None:
        self._first = int(network.network_address) + 1
        self._count = network.num_addresses - 2
        self._next = 0
        self._taken: set[str] = set()

    def reserve(self, address: str) -> None:
        """The pod has this address already."""
        self._taken.add(address)

    def take(self) -> str:
        """An address that no other pod has."""
        for _ in range(self._count):
            address = str(IPv4Address(self._first + self._next))
            self._next = (self._next + 1) % self._count
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise RuntimeError("the pod network has no free address left")

    def give_back(self, address: str) -> None:
        """The pod is gone."""
        self._taken.discard(address)


class Targets:
    """Prometheus' file discovery: the addresses of all pods that answer, and whose they are."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._targets: dict[str, Object] = {}
        self._writing: asyncio.TimerHandle | None = None

    def add(self, pod: Object, address: str, port: int) -> None:
        """Have a pod scraped."""
        namespace, name = key_of(pod)
        self._targets[f"{address}:{port}"] = {"namespace": namespace, "pod": name}
        self._write_soon()

    def remove(self, address: str, port: int) -> None:
        """Have a pod scraped no longer."""
        if self._targets.pop(f"{address}:{port}", None) is not None:
            self._write_soon()

    def write(self) -> None:
        """Replace the file."""
        self._writing = None
        groups = [
            {"targets": [target], "labels": labels} for target, labels in self._targets.items()
        ]
        draft = self._file.with_suffix(".new")
        draft.write_bytes(orjson.dumps(groups))
        draft.replace(self._file)

    def _write_soon(self) -> None:
        if self._writing is None:
            loop = asyncio.get_running_loop()
            self._writing = loop.call_later(_TARGETS_DELAY_SECONDS, self.write)


@dataclass(frozen=True, slots=True)
class Node:
    """The one node all pods are bound to."""

    kube: Kube
    probes: aiohttp.ClientSession
    run: Path
    addresses: Addresses
    targets: Targets
    images: dict[str, Path] = field(default_factory=dict)

    def image_folder(self, image: str) -> Path:
        """The folder that stands for an image's working directory."""
        return self.images.get(image_name(image), self.run)
