from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from headrace.errors import Unavailable
from headrace.kubernetes.resources import HTTP_ROUTES, TRAFFIC_SPLITS
from headrace.model.route import Fence
from headrace.routes import stamp
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster_memory import MemoryCluster, MemoryClusterSettings, Request
from headrace.runtime.store import Store
from traffic_router.sources import Sources, Surroundings, TrafficKind, fenced_rollouts

GROUP = TRAFFIC_SPLITS.group


def made(
    versions: tuple[str, ...], flag: str = "", intercept: Callable[[Request], None] | None = None
) -> Sources:
    clock = VirtualClock()
    base = MemoryClusterSettings()
    cluster = MemoryCluster(clock, replace(base, served={**base.served, GROUP: versions}))
    cluster.intercept = intercept
    around = Surroundings(cluster.client("router"), clock, random.Random(1), None, 30.0)
    return Sources(around, Store(), flag)


async def settled(sources: Sources) -> None:
    kind = sources.kind(TRAFFIC_SPLITS)
    task = asyncio.create_task(kind.run(lambda: None))
    async with asyncio.timeout(5):
        await kind.wait_settled()
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize(
    ("served", "flag", "version"),
    [
        (("v1alpha2", "v1alpha1"), "", "v1alpha2"),
        (("v1alpha4", "v1alpha1"), "v1alpha1", "v1alpha1"),
        (("v1beta1", "v1alpha3"), "", "v1alpha3"),
        (("v1beta1",), "", "v1beta1"),
    ],
)
async def test_the_flag_wins_else_the_preferred_version_that_is_known(
    served: tuple[str, ...], flag: str, version: str
) -> None:
    sources = made(served, flag)
    await settled(sources)
    assert sources.versions.traffic_split == version
    assert sources.kind(TRAFFIC_SPLITS).resource.version == version
    assert "trafficsplits.split.smi-spec.io" not in sources.unserved


@pytest.mark.parametrize(("served", "flag"), [((), ""), (("v1alpha4",), "v1alpha1")])
async def test_a_missing_kind_settles_as_unserved(served: tuple[str, ...], flag: str) -> None:
    sources = made(served, flag)
    await settled(sources)
    assert sources.unserved >= {"trafficsplits.split.smi-spec.io"}


async def test_discovery_is_tried_again_after_an_error() -> None:
    failures = 2

    def fail(request: Request) -> None:
        nonlocal failures
        if request.verb == "discover" and failures:
            failures -= 1
            raise Unavailable("away")

    sources = made(("v1alpha1",), intercept=fail)
    await settled(sources)
    assert failures == 0
    assert sources.kind(TRAFFIC_SPLITS).is_served


async def test_a_kind_that_comes_later_is_followed() -> None:
    clock = VirtualClock()
    cluster = MemoryCluster(clock)
    answers = iter([(), (), ("v1alpha4",)])
    around = Surroundings(cluster.client("router"), clock, random.Random(1), None, 30.0)
    kind = TrafficKind(around, TRAFFIC_SPLITS, lambda _: next(iter(next(answers)), None))
    served_calls: list[bool] = []
    task = asyncio.create_task(kind.run(lambda: served_calls.append(kind.is_served)))
    async with asyncio.timeout(5):
        while not served_calls:
            await asyncio.sleep(0)
    assert served_calls == [True]
    assert clock.now() >= VirtualClock().now() + 60
    task.cancel()
    await asyncio.wait({task})


def test_traffic_objects_are_indexed_by_the_rollouts_of_their_fences() -> None:
    fence = Fence(uid="5f0c", rollout="shop/web", epoch=1, level="written")
    assert set(fenced_rollouts(stamp({"metadata": {}}, fence))) == {"shop/web"}


def test_every_kind_has_its_cache() -> None:
    sources = made(("v1alpha1",))
    assert sources.kind(HTTP_ROUTES).id == "httproutes.gateway.networking.k8s.io"
    assert sources.kind(TRAFFIC_SPLITS.at_version("v1alpha3")) is sources.kinds[0]
    assert sources.is_watched("any")
    assert not sources.is_settled
