"""Releases that come and go on real parts leave no memory and no series behind in any service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from headrace_lab.bench_canaries import PROMOTE, WEIGHTS, Canaries
from headrace_lab.bench_cost import resident_bytes
from headrace_lab.kube import Kube
from headrace_lab.lab import Lab
from headrace_lab.services import Fleet, three

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(3600)]

BATCH = 25
WARM_UP, RELEASES = 500, 300
GROWTH_MAX = 0.05
PATIENCE_SECONDS = 600.0
REST_SECONDS = 90.0
"""Longer than the series of a deleted object live on (65 s)."""

READ_SECONDS = 1.0


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab in which nobody else releases anything."""
    lab = Lab.start(tmp_path_factory.mktemp("memory"), parts=["kubernetes", "pods", "kafka"])
    yield lab
    lab.stop()


@pytest.fixture
def services(lab: Lab) -> Iterator[Fleet]:
    fleet = three(lab, {}, is_short=False)
    try:
        yield fleet.start()
        assert fleet.crashes() == []
    finally:
        fleet.stop()


async def release(kube: Kube, name: str) -> None:
    """Deploy a batch of canaries, bring a version out through all steps, and delete them."""
    canaries = Canaries(kube, name, [f"{name}-{number}" for number in range(BATCH)])
    await canaries.deploy()
    await canaries.wait_phase("Healthy", timeout_seconds=PATIENCE_SECONDS)
    await canaries.set_image("bench:v2")
    await canaries.wait_phase("Paused", weight=WEIGHTS[0], timeout_seconds=PATIENCE_SECONDS)
    for weight, phase in ((WEIGHTS[1], "Paused"), (0, "Healthy")):
        await canaries.command(PROMOTE, weight, PATIENCE_SECONDS)
        await canaries.wait_phase(phase, weight=weight, timeout_seconds=PATIENCE_SECONDS)
    await canaries.delete(PATIENCE_SECONDS)


def at_rest(fleet: Fleet) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The least memory and the series of each service while there is nothing to do.

    Nobody can ask a process for a collection from outside; the least within more than a minute
    of rest is what stays after those that it makes by itself.
    """
    least: dict[str, int] = {}
    end = time.monotonic() + REST_SECONDS
    while time.monotonic() < end:
        for service in fleet.services:
            assert service.process is not None
            now = resident_bytes(service.process.pid)
            least[service.name] = min(now, least.get(service.name, now))
        time.sleep(READ_SECONDS)
    return least, {service.name: service.series() for service in fleet.services}


async def test_releases_leave_memory_and_series_as_they_were(
    lab: Lab, services: Fleet, record_property: Callable[[str, object], None]
) -> None:
    async with Kube.from_kubeconfig(lab.kubeconfig("admin")) as kube:
        for number in range(WARM_UP // BATCH):
            await release(kube, f"warm-up-{number}")
        before, series_before = at_rest(services)
        for number in range(RELEASES // BATCH):
            await release(kube, f"release-{number}")
        after, series_after = at_rest(services)
    growth = {name: after[name] / before[name] - 1 for name in before}
    record_property("memory", {"before": before, "after": after})
    record_property("series", {"before": series_before, "after": series_after})
    assert max(growth.values()) <= GROWTH_MAX, (before, after)
    assert all(series_after[name] <= series_before[name] for name in series_before)
