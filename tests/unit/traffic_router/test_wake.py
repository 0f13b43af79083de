from __future__ import annotations

import random
from typing import Any

import pytest

from headrace.events.envelope import Event
from headrace.events.rollout import RouteRequested, RouteVerifyRequested, StepEntered
from headrace.kubernetes.resources import HTTP_ROUTES, TRAFFIC_SPLITS, Manifest
from headrace.model.quantities import Instant
from headrace.model.route import Fence, Hashes, RouteDocument, RouterConfig, Services, Weights
from headrace.routes import stamp
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster_memory import MemoryCluster
from headrace.runtime.store import Store
from headrace.runtime.workqueue import Lane
from traffic_router.core.observed import Said
from traffic_router.documents import DocumentCache
from traffic_router.memory import RouteMemory
from traffic_router.sources import Sources, Surroundings
from traffic_router.wake import TargetIndex, Waker

SMI = RouterConfig(kind="smi")
SELECTING = RouterConfig(
    kind="plugin",
    plugin="argoproj-labs/gatewayAPI",
    config='{"httpRouteSelector":{"matchLabels":{"app":"web"}}}',
)


def document(epoch: int = 1, **overrides: Any) -> RouteDocument:
    fields: dict[str, Any] = {
        "cluster": "c",
        "namespace": "shop",
        "rollout": "web",
        "uid": "5f0c",
        "epoch": epoch,
        "generation": 1,
        "decided_at": "2026-01-01T00:00:00Z",
        "routers": (SMI,),
        "services": Services(),
        "hashes": Hashes(),
        "weights": Weights(canary=0, stable=100),
    }
    return RouteDocument(**{**fields, **overrides})


def rollout(version: int, **status: Any) -> Manifest:
    return {
        "metadata": {
            "namespace": "shop",
            "name": "web",
            "uid": "5f0c",
            "resourceVersion": str(version),
        },
        "status": status,
    }


def routed(version: int, doc: RouteDocument, **status: Any) -> Manifest:
    return rollout(version, headrace={"route": doc.dump()}, **status)


def split(version: int, name: str = "web") -> Manifest:
    metadata = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": metadata}


class Desk:
    """A waker, its caches, and what it woke."""

    def __init__(self) -> None:
        clock = VirtualClock()
        client = MemoryCluster(clock).client("router")
        around = Surroundings(client, clock, random.Random(1), None)
        self.rollouts = Store()
        self.sources = Sources(around, self.rollouts, "")
        self.memory = RouteMemory()
        self.woken: list[tuple[str, Lane]] = []
        self.waker = Waker(
            self.sources,
            DocumentCache(),
            self.memory,
            lambda key, lane: self.woken.append((key, lane)),
        )
        self.waker.listen()

    def taken(self) -> list[tuple[str, Lane]]:
        woken, self.woken = self.woken, []
        return woken


@pytest.fixture
def desk() -> Desk:
    return Desk()


def event(payload: RouteRequested | RouteVerifyRequested | StepEntered) -> Event:
    return Event.of(payload, source="c", time=Instant(0))


def test_a_rollout_wakes_its_key_only_when_something_relevant_changed(desk: Desk) -> None:
    desk.rollouts.offer(routed(1, document()))
    assert desk.taken() == [("shop/web", Lane.FACT)]
    desk.rollouts.offer(routed(2, document(), phase="Progressing"))
    assert desk.taken() == []
    desk.rollouts.offer(routed(3, document(), abort=True))
    assert desk.taken() == [("shop/web", Lane.FACT)]
    desk.rollouts.offer(routed(4, document(2, aborted=True), abort=True))
    assert desk.taken() == [("shop/web", Lane.ABORT)]
    desk.rollouts.offer(routed(5, document(3)))
    assert desk.taken() == [("shop/web", Lane.USER)]
    desk.rollouts.remove("shop", "web", "5f0c")
    assert desk.taken() == [("shop/web", Lane.REST)]


def applied(epoch: int, uid: str = "5f0c") -> Said:
    return Said("applied", uid, epoch, 0, "written")


def acknowledged(version: int, doc: RouteDocument, epoch: int, **status: Any) -> Manifest:
    headrace = {"route": doc.dump(), "acknowledged": {"epoch": epoch, "canary": 0}}
    return rollout(version, headrace=headrace, **status)


async def test_what_the_bus_asked_and_was_answered_wakes_nobody_again(desk: Desk) -> None:
    """Neither when it stands in the Rollout nor when the answer is claimed there."""
    desk.rollouts.offer(routed(1, document(1)))
    fields = {"namespace": "shop", "rollout": "web", "uid": "5f0c"}
    await desk.waker.hear(event(RouteRequested(**fields, route=document(2))))
    desk.memory.answered("shop/web", applied(2), Instant(1))
    desk.taken()
    desk.rollouts.offer(routed(2, document(2)))
    desk.rollouts.offer(acknowledged(3, document(2), 2, canary={"weights": {"canary": {}}}))
    assert desk.taken() == []
    desk.rollouts.offer(acknowledged(4, document(2), 2, canary={"weights": {}}, abort=True))
    assert desk.taken() == [("shop/web", Lane.FACT)]


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (document(2, weights=Weights(canary=10, stable=90)), applied(2)),  # not what the bus said
        (document(3), applied(2)),
        (document(2, renewal=1), applied(2)),
        (document(2), applied(2, uid="its predecessor")),
        (document(2), Said("refused", "5f0c", 2, 0, "expired")),
    ],
)
async def test_a_request_that_was_not_answered_as_it_stands_is_looked_at(
    desk: Desk, stored: RouteDocument, said: Said
) -> None:
    desk.rollouts.offer(routed(1, document(1)))
    fields = {"namespace": "shop", "rollout": "web", "uid": "5f0c"}
    await desk.waker.hear(event(RouteRequested(**fields, route=document(2))))
    desk.memory.answered("shop/web", said, Instant(1))
    desk.taken()
    desk.rollouts.offer(routed(2, stored))
    assert desk.taken() == [("shop/web", Lane.USER)]


def test_weights_that_somebody_else_claims_are_looked_at(desk: Desk) -> None:
    desk.rollouts.offer(routed(1, document(2)))
    desk.memory.answered("shop/web", applied(2), Instant(1))
    desk.taken()
    desk.rollouts.offer(routed(2, document(2), canary={"weights": {"canary": {"weight": 5}}}))
    assert desk.taken() == [("shop/web", Lane.FACT)]


def test_an_object_wakes_the_rollouts_that_name_it(desk: Desk) -> None:
    desk.rollouts.offer(routed(1, document()))
    desk.taken()
    store = desk.sources.kind(TRAFFIC_SPLITS).store
    store.offer(split(2))
    assert desk.taken() == [("shop/web", Lane.FACT)]
    store.offer(split(3, "other"))
    assert desk.taken() == []
    desk.rollouts.offer(routed(4, document(2, routers=())))
    desk.taken()
    store.offer(split(5))
    assert desk.taken() == []


def test_an_object_wakes_the_rollouts_whose_fence_it_has_or_had(desk: Desk) -> None:
    fence = Fence(uid="dead", rollout="shop/gone", epoch=1, level="written")
    store = desk.sources.kind(TRAFFIC_SPLITS).store
    store.offer(stamp(split(2), fence))
    assert desk.taken() == [("shop/gone", Lane.FACT)]
    store.offer(split(3))
    assert desk.taken() == [("shop/gone", Lane.FACT)]


def test_an_object_wakes_the_rollouts_that_may_select_it(desk: Desk) -> None:
    desk.rollouts.offer(routed(1, document(routers=(SELECTING,))))
    desk.taken()
    desk.sources.kind(HTTP_ROUTES).store.offer(split(2, "any"))
    assert desk.taken() == [("shop/web", Lane.FACT)]


def test_every_request_and_every_fence_is_known(desk: Desk) -> None:
    desk.rollouts.offer(routed(1, document()))
    fence = Fence(uid="dead", rollout="shop/gone", epoch=1, level="written")
    desk.sources.kind(TRAFFIC_SPLITS).store.offer(stamp(split(2), fence))
    desk.taken()
    assert set(desk.waker.known_keys()) == {"shop/web", "shop/gone"}


async def test_requests_of_the_bus_are_remembered(desk: Desk) -> None:
    fields = {"namespace": "shop", "rollout": "web", "uid": "5f0c"}
    await desk.waker.hear(event(RouteRequested(**fields, route=document())))
    await desk.waker.hear(event(RouteRequested(**fields, route=document(2, aborted=True))))
    await desk.waker.hear(event(RouteVerifyRequested(**fields, check="targetGroups")))
    await desk.waker.hear(event(StepEntered(**fields, ordinal=1)))
    assert [lane for _, lane in desk.taken()] == [Lane.USER, Lane.ABORT, Lane.FACT]
    assert desk.memory.document("shop/web", None) == document(2, aborted=True)
    assert desk.memory.of("shop/web").verify is not None


def test_the_index_forgets_what_is_no_longer_named() -> None:
    index = TargetIndex()
    index.put("shop/web", document())
    index.put("shop/api", document(rollout="web"))
    assert index.keys(TRAFFIC_SPLITS, split(1)) == {"shop/web", "shop/api"}
    index.put("shop/web", None)
    assert index.keys(TRAFFIC_SPLITS, split(1)) == {"shop/api"}
