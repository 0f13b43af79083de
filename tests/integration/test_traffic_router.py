"""The traffic-router's shell on a memory cluster and a memory bus, both paths."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from headrace.errors import Forbidden, Rejected, RolloutError, Unavailable
from headrace.events.envelope import Event, decode
from headrace.events.rollout import RouteRequested, RouteVerifyRequested
from headrace.events.topics import TopicSettings, topics
from headrace.events.traffic import RouteApplied, RouteDrifted, RouteRefused, RouteVerified
from headrace.kubernetes.resources import (
    EVENTS,
    HTTP_ROUTES,
    ROLLOUTS,
    TRAFFIC_SPLITS,
    Manifest,
    Resource,
)
from headrace.model.meta import format_time
from headrace.model.route import (
    Hashes,
    RouteDocument,
    RouterConfig,
    Services,
    Verify,
    Weights,
    WithdrawnObject,
)
from headrace.routes import read_fence
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import SystemClock
from headrace.runtime.cluster import JsonPatch, MergePatch
from headrace.runtime.cluster_memory import MemoryCluster, MemoryClusterSettings, Request
from headrace.runtime.component import Ports
from headrace.runtime.lease import Terms
from headrace.runtime.metrics import Metrics
from headrace.runtime.ownership import Membership, Ownership
from headrace.runtime.recorder import Recorder
from headrace.runtime.service import Part, Service, ownership_part
from traffic_router.router import TrafficRouter
from traffic_router.settings import RouterSettings

SPLITS = TRAFFIC_SPLITS.at_version("v1alpha4")
TOPICS = topics(TopicSettings("test"))
SMI = RouterConfig(kind="smi", config=json.dumps({"rootService": "root"}))
GATEWAY = RouterConfig(
    kind="plugin", plugin="argoproj-labs/gatewayAPI", config=json.dumps({"httpRoute": "web"})
)
WAIT_SECONDS = 5.0


class World:
    """A memory cluster and bus, a router on them, and the controller's hand."""

    def __init__(self, cluster_settings: MemoryClusterSettings | None = None) -> None:
        self.clock = SystemClock()
        self.cluster = MemoryCluster(self.clock, cluster_settings)
        self.user = self.cluster.client("user")
        self.broker = MemoryBroker()
        self.controller_bus = MemoryBus(self.broker, "controller")
        self.settings = RouterSettings(
            bus="memory", route_verify_seconds=0.02, rediscover_seconds=0.02
        )
        self.uid = ""
        self.router: TrafficRouter | None = None
        self._task: asyncio.Task[None] | None = None

    # The router's process.

    async def start(self, identity: str = "router-1") -> None:
        client = self.cluster.client("traffic-router")
        bus = MemoryBus(self.broker, "traffic-router")
        terms = Terms(duration_seconds=1.0, renew_seconds=0.2, retry_seconds=0.02)
        membership = Membership("traffic-router", "default", identity, terms=terms)
        ownership = Ownership(client, self.clock, membership)
        metrics = Metrics(("traffic-router",), self.clock)
        recorder = Recorder(lambda key: ownership.guard(client, key), self.clock, metrics)
        ports = Ports(
            cluster=client,
            bus=bus,
            topics=TOPICS,
            ownership=ownership,
            clock=self.clock,
            rng=random.Random(1),
            recorder=recorder,
            metrics=metrics,
            source="memory",
        )
        self.router = TrafficRouter(ports, self.settings)
        service = Service(
            "traffic-router",
            parts=(
                Part("bus", start=bus.start, close=bus.close),
                self.router.caches,
                ownership_part(ownership),
                *self.router.work,
            ),
            grace_seconds=1.0,
        )
        self._task = asyncio.create_task(service.run())
        await self.until(lambda: len(ownership.shards) == 4)

    async def kill(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})
        self._task = None

    async def close(self) -> None:
        if self._task is not None:
            await self.kill()
        await self.controller_bus.close()

    # The controller's hand.

    async def create_rollout(self, **metadata: Any) -> None:
        await self.controller_bus.start()
        manifest = {"metadata": {"name": "web", "namespace": "shop", **metadata}, "spec": {}}
        created = await self.user.create(
            ROLLOUTS, {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", **manifest}
        )
        self.uid = created["metadata"]["uid"]

    def document(self, canary: int, epoch: int, **overrides: Any) -> RouteDocument:
        now = self.clock.now()
        fields: dict[str, Any] = {
            "cluster": "memory",
            "namespace": "shop",
            "rollout": "web",
            "uid": self.uid,
            "epoch": epoch,
            "generation": 1,
            "decided_at": format_time(now),
            "valid_until": format_time(now + 60),
            "routers": (SMI,),
            "services": Services(
                canary="web-canary",
                stable="web-stable",
                canary_role="web-canary",
                stable_role="web-stable",
            ),
            "hashes": Hashes(canary="c1", stable="s1"),
            "weights": Weights(canary=canary, stable=100 - canary),
        }
        return RouteDocument(**{**fields, **overrides})

    async def ask_durably(self, document: RouteDocument) -> None:
        route = document.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        await self.patch_status({"headrace": {"route": None}})
        await self.patch_status({"headrace": {"epoch": document.epoch, "route": route}})

    def ask_by_bus(self, document: RouteDocument) -> None:
        request = RouteRequested(
            namespace="shop", rollout="web", uid=self.uid, epoch=document.epoch, route=document
        )
        self.say(request)

    def say(self, request: RouteRequested | RouteVerifyRequested) -> None:
        event = Event.of(request, source="memory", time=self.clock.now())
        assert self.controller_bus.publish(TOPICS.steps, event, is_request=True)

    async def acknowledge(self, document: RouteDocument) -> None:
        weights = document.weights
        await self.patch_status(
            {
                "headrace": {"acknowledged": {"epoch": document.epoch, "canary": weights.canary}},
                "canary": {
                    "weights": {
                        "canary": {"weight": weights.canary},
                        "stable": {"weight": weights.stable},
                    }
                },
            }
        )

    async def patch_status(self, status: dict[str, Any]) -> None:
        patch = MergePatch({"status": status})
        await self.user.patch(ROLLOUTS, "shop", "web", patch, subresource="status")

    # What is seen.

    async def find(self, resource: Resource, name: str = "web") -> Manifest | None:
        listing = await self.user.list(resource)
        return next((each for each in listing.items if each["metadata"]["name"] == name), None)

    def facts(self, kind: type[Any]) -> list[Any]:
        events = [
            decode(record.key, record.headers, record.value)
            for record in self.broker.records(TOPICS.traffic.name)
        ]
        return [event.payload for event in events if isinstance(event.payload, kind)]

    def fact_ids(self) -> list[str]:
        return [record.headers["ce_id"] for record in self.broker.records(TOPICS.traffic.name)]

    async def events(self) -> list[tuple[str, str, str]]:
        listing = await self.user.list(EVENTS)
        return [(each["type"], each["reason"], each["message"]) for each in listing.items]

    def writes(self) -> list[Request]:
        return [
            request
            for request in self.cluster.requests
            if request.identity == "traffic-router"
            and request.resource in ("trafficsplits", "httproutes")
            and request.verb in ("create", "patch", "get", "delete")
        ]

    async def until(self, is_so: Callable[[], Any]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not is_so():
                await asyncio.sleep(0.002)

    async def until_weights(self, *weights: Any) -> Manifest:
        async with asyncio.timeout(WAIT_SECONDS):
            while (split := await self.find(SPLITS)) is None or (
                tuple(each["weight"] for each in split["spec"]["backends"]) != weights
            ):
                await asyncio.sleep(0.002)
        return split

    async def until_applied(self, epoch: int, renewal: int = 0) -> RouteApplied:
        def found() -> list[RouteApplied]:
            facts = self.facts(RouteApplied)
            return [each for each in facts if (each.epoch, each.renewal) == (epoch, renewal)]

        await self.until(found)
        return found()[-1]

    async def settled(self, canary: int, epoch: int) -> RouteDocument:
        """A route that was asked for, applied and acknowledged."""
        document = self.document(canary, epoch)
        await self.ask_durably(document)
        await self.until_applied(epoch)
        await self.acknowledge(document)
        return document

    async def edit_split(self, canary: int) -> None:
        backends = [
            {"service": "web-canary", "weight": canary},
            {"service": "web-stable", "weight": 100 - canary},
        ]
        await self.user.patch(SPLITS, "shop", "web", MergePatch({"spec": {"backends": backends}}))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.create_rollout()
    yield world
    await world.close()


async def test_applies_a_durable_request_with_one_write(world: World) -> None:
    await world.start()
    await world.ask_durably(world.document(10, 1))
    applied = await world.until_applied(1)
    assert applied.level == "written"
    assert [each.weight for each in applied.answers[0].observed] == [10, 90]
    split = await world.until_weights(10, 90)
    assert split["spec"]["service"] == "root"
    fence = read_fence(split, world.uid)
    assert fence is not None
    assert fence.epoch == 1
    assert [request.verb for request in world.writes()] == ["create"]
    assert await world.events() == [("Normal", "TrafficSplitCreated", "TrafficSplit `web` created")]


async def test_applies_a_request_of_the_bus_before_the_watch_brings_it(world: World) -> None:
    await world.start()
    world.ask_by_bus(world.document(10, 1))
    await world.until_applied(1)
    await world.until_weights(10, 90)


async def test_the_next_epoch_costs_one_request(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    before = len(world.writes())
    second = world.document(33, 2)
    world.ask_by_bus(second)
    await world.ask_durably(second)
    await world.until_applied(2)
    await world.acknowledge(second)
    await world.until_weights(33, 67)
    assert [request.verb for request in world.writes()[before:]] == ["patch"]


async def test_a_satisfied_request_is_acknowledged_again_under_the_same_id(world: World) -> None:
    await world.start()
    document = await world.settled(10, 1)
    before = len(world.writes())
    first = world.fact_ids()
    world.ask_by_bus(document)
    await world.until(lambda: len(world.fact_ids()) > len(first))
    assert set(world.fact_ids()) == set(first)
    assert len(world.writes()) == before


async def test_old_messages_have_no_effect(world: World) -> None:
    await world.start()
    await world.settled(33, 3)
    world.ask_by_bus(world.document(50, 2))
    await world.until(lambda: len(world.facts(RouteApplied)) > 1)
    assert {each.epoch for each in world.facts(RouteApplied)} == {3}
    await world.until_weights(33, 67)


async def test_refuses_an_epoch_that_is_older_than_the_fence(world: World) -> None:
    await world.start()
    await world.settled(33, 9)
    await world.patch_status({"headrace": None})
    await world.ask_durably(world.document(50, 2))
    await world.until(lambda: world.facts(RouteRefused))
    refused = world.facts(RouteRefused)[-1]
    assert (refused.epoch, refused.found_epoch, refused.reason) == (2, 9, "OlderEpoch")
    await world.until_weights(33, 67)


async def test_refuses_an_expired_raise_until_it_is_renewed(world: World) -> None:
    await world.start()
    await world.settled(0, 1)
    late = world.document(33, 2, valid_until=format_time(world.clock.now() - 5))
    await world.ask_durably(late)
    await world.until(lambda: world.facts(RouteRefused))
    assert world.facts(RouteRefused)[-1].reason == "RaiseExpired"
    await world.until_weights(0, 100)
    renewed = world.document(33, 2, renewal=1)
    await world.ask_durably(renewed)
    await world.until_applied(2, renewal=1)
    await world.until_weights(33, 67)


async def test_raises_nothing_while_the_rollout_is_aborted(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    await world.patch_status({"abort": True})
    await world.ask_durably(world.document(33, 2))
    await world.until(lambda: world.facts(RouteRefused))
    assert world.facts(RouteRefused)[-1].reason == "RolloutIsAborted"
    await world.ask_durably(world.document(0, 3, aborted=True, valid_until=None))
    await world.until_weights(0, 100)


async def test_repairs_drift_and_says_it(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    await world.edit_split(80)
    await world.until(lambda: world.facts(RouteDrifted))
    drifted = world.facts(RouteDrifted)[0]
    assert drifted.object == "TrafficSplit/web"
    assert [each.weight for each in drifted.answers[0].observed] == [80, 20]
    await world.until_weights(10, 90)


async def test_repairs_what_drifted_while_it_was_away(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    await world.kill()
    await world.edit_split(80)
    await world.start("router-2")
    await world.until_weights(10, 90)
    await world.until(lambda: world.facts(RouteDrifted))


async def test_creates_a_deleted_split_again(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    await world.user.delete(SPLITS, "shop", "web")
    await world.until(lambda: world.facts(RouteDrifted))
    split = await world.until_weights(10, 90)
    assert world.facts(RouteDrifted)[0].resource_version == split["metadata"]["resourceVersion"]


async def test_leaves_drift_alone_when_the_claimed_weights_are_anothers(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    foreign = {"canary": {"weight": 80}, "stable": {"weight": 20}}
    await world.patch_status({"canary": {"weights": foreign}})
    await world.edit_split(80)
    await world.ask_durably(world.document(10, 1, renewal=1))
    await world.settled(20, 2)
    await world.until_weights(20, 80)
    assert [request.verb for request in world.writes()] == ["create", "patch"]


async def test_a_rollout_in_deletion_is_left_alone_and_its_split_collected(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    await world.user.patch(
        ROLLOUTS, "shop", "web", MergePatch({"metadata": {"finalizers": ["test/hold"]}})
    )
    await world.user.delete(ROLLOUTS, "shop", "web")
    before = len(world.writes())
    await world.user.delete(SPLITS, "shop", "web")
    world.ask_by_bus(world.document(33, 2))
    await world.user.patch(ROLLOUTS, "shop", "web", MergePatch({"metadata": {"finalizers": None}}))
    await world.until(lambda: not world.router or len(world.router.rollouts) == 0)
    assert len(world.writes()) == before


async def test_a_re_created_rollout_is_not_fenced_by_its_predecessor(world: World) -> None:
    await world.start()
    await world.settled(33, 9)
    await world.user.delete(ROLLOUTS, "shop", "web")
    await world.until(lambda: not world.router or len(world.router.rollouts) == 0)
    world.cluster.step()
    assert await world.find(SPLITS) is None
    await world.create_rollout()
    await world.ask_durably(world.document(0, 1))
    await world.until_weights(0, 100)


async def test_answers_again_after_a_restart(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    before = world.fact_ids()
    await world.kill()
    await world.start("router-2")
    await world.until(lambda: len(world.fact_ids()) > len(before))
    assert set(world.fact_ids()) == set(before)
    assert [request.verb for request in world.writes()] == ["create"]


async def test_answers_again_when_the_bus_is_back(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    before = world.fact_ids()
    world.broker.is_up = False
    await world.ask_durably(world.document(33, 2))
    await world.until_weights(33, 67)
    world.broker.is_up = True
    await world.until(lambda: len(world.fact_ids()) > len(before))
    await world.until_applied(2)


async def test_a_write_between_two_others_is_tried_again_on_what_is_there(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    raced = False

    def race(request: Request) -> None:
        nonlocal raced
        if request.verb == "patch" and request.identity == "traffic-router" and not raced:
            if request.resource != "trafficsplits":
                return
            raced = True
            patch = MergePatch({"metadata": {"labels": {"team": "a"}}})
            with pytest.raises(StopIteration):
                world.user.patch(SPLITS, "shop", "web", patch).send(None)

    world.cluster.intercept = race
    await world.ask_durably(world.document(33, 2))
    split = await world.until_weights(33, 67)
    assert raced
    assert split["metadata"]["labels"] == {"team": "a"}


async def test_an_api_server_that_fails_is_tried_again(world: World) -> None:
    await world.start()
    await world.settled(10, 1)
    failures = 3

    def fail(request: Request) -> None:
        nonlocal failures
        is_ours = request.identity == "traffic-router" and request.resource == "trafficsplits"
        if is_ours and request.verb == "patch" and failures:
            failures -= 1
            raise Unavailable("the API server is away")

    world.cluster.intercept = fail
    await world.ask_durably(world.document(33, 2))
    await world.until_weights(33, 67)
    await world.until_applied(2)
    assert failures == 0


async def test_a_forbidden_create_is_told_and_tried_again_at_the_renewal(world: World) -> None:
    await world.start()
    is_forbidden = True

    def forbid(request: Request) -> None:
        is_ours = request.identity == "traffic-router" and request.resource == "trafficsplits"
        if is_forbidden and is_ours and request.verb == "create":
            raise Forbidden("cannot create trafficsplits")

    world.cluster.intercept = forbid
    await world.ask_durably(world.document(0, 1))
    await world.until(lambda: world.facts(RouteRefused))
    refused = world.facts(RouteRefused)[-1]
    assert refused.answers[0].error == "cannot create trafficsplits"
    assert await world.events() == [
        (
            "Normal",
            "TrafficSplitNotCreated",
            "TrafficSplit `web` failed creation: cannot create trafficsplits",
        )
    ]
    is_forbidden = False
    await world.ask_durably(world.document(0, 1, renewal=1))
    await world.until_applied(1, renewal=1)


async def test_a_foreign_split_is_refused(world: World) -> None:
    await world.user.create(SPLITS, {"metadata": {"name": "web", "namespace": "shop"}})
    await world.start()
    await world.ask_durably(world.document(0, 1))
    await world.until(lambda: world.facts(RouteRefused))
    assert world.facts(RouteRefused)[0].message == "Rollout does not own TrafficSplit `web`"


async def test_an_unreadable_document_disturbs_nobody(world: World) -> None:
    await world.start()
    await world.patch_status({"headrace": {"route": {"epoch": "x"}}})
    world.ask_by_bus(world.document(10, 1))
    await world.until_applied(1)


async def test_withdraws_an_object_that_is_no_longer_named(world: World) -> None:
    await world.start()
    await world.settled(33, 1)
    named = RouterConfig(
        kind="smi", config=json.dumps({"rootService": "root", "trafficSplitName": "other"})
    )
    moved = world.document(
        33, 2, routers=(named,), withdraw=(WithdrawnObject(router=SMI),), valid_until=None
    )
    await world.ask_durably(moved)
    split = await world.until_weights(0, 100)
    assert read_fence(split, world.uid) is None
    await world.until_applied(2)
    other = await world.find(SPLITS, "other")
    assert other is not None


@pytest.mark.spec("traffic-routing 11.1")
async def test_withdraws_a_route_that_its_selector_does_not_choose_any_more(world: World) -> None:
    for name in ("web", "api"):
        await create_route(world, name, labels={"app": "web"})
    await world.start()
    chosen = {"httpRouteSelector": {"matchLabels": {"app": "web"}}}
    router = GATEWAY.model_copy(update={"config": json.dumps(chosen)})
    document = world.document(33, 1, routers=(router,))
    await world.ask_durably(document)
    await world.until_applied(1)
    await world.acknowledge(document)
    assert weights_of(await world.find(HTTP_ROUTES, "api")) == [33, 67]

    await world.user.patch(
        HTTP_ROUTES, "shop", "api", MergePatch({"metadata": {"labels": {"app": "other"}}})
    )
    async with asyncio.timeout(WAIT_SECONDS):
        while weights_of(await world.find(HTTP_ROUTES, "api")) != [0, 100]:
            await asyncio.sleep(0.002)
    route = await world.find(HTTP_ROUTES, "api")
    assert route is not None
    assert read_fence(route, world.uid) is None
    assert weights_of(await world.find(HTTP_ROUTES, "web")) == [33, 67]


async def test_answers_a_check_that_is_no_route(world: World) -> None:
    await world.start()
    world.say(
        RouteVerifyRequested(
            namespace="shop", rollout="web", uid=world.uid, check="stableService", routers=(SMI,)
        )
    )
    await world.until(lambda: world.facts(RouteVerified))
    assert world.facts(RouteVerified)[0].verified is None


async def create_route(world: World, name: str = "web", **metadata: Any) -> None:
    refs = [{"name": "web-canary", "port": 80}, {"name": "web-stable", "port": 80, "weight": 1}]
    await world.user.create(
        HTTP_ROUTES,
        {
            "metadata": {"name": name, "namespace": "shop", **metadata},
            "spec": {"parentRefs": [{"name": "web"}], "rules": [{"backendRefs": refs}]},
        },
    )


def weights_of(route: Manifest | None) -> list[int]:
    assert route is not None
    return [ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]]


async def test_waits_for_a_route_that_comes_later(world: World) -> None:
    await world.start()
    await world.ask_durably(world.document(10, 1, routers=(GATEWAY,)))
    await world.until(lambda: world.facts(RouteRefused))
    message = 'httproutes.gateway.networking.k8s.io "web" not found'
    assert world.facts(RouteRefused)[0].message == message
    await create_route(world)
    applied = await world.until_applied(1)
    assert applied.answers[0].verified is True
    assert weights_of(await world.find(HTTP_ROUTES)) == [10, 90]


async def test_says_a_higher_level_once_the_provider_accepts(world: World) -> None:
    await create_route(world)
    await world.start()
    wanted = Verify(wanted=True, level="accepted")
    await world.ask_durably(world.document(10, 1, routers=(GATEWAY,), verify=wanted))
    assert (await world.until_applied(1)).level == "written"
    route = await world.find(HTTP_ROUTES)
    assert route is not None
    condition = {
        "type": "Accepted",
        "status": "True",
        "observedGeneration": route["metadata"]["generation"],
    }
    patch = MergePatch({"status": {"parents": [{"conditions": [condition]}]}})
    await world.user.patch(HTTP_ROUTES, "shop", "web", patch, subresource="status")
    await world.until(lambda: world.facts(RouteApplied)[-1].level == "accepted")
    assert len(set(world.fact_ids())) == 2


async def test_cleans_the_route_of_a_rollout_that_is_gone(world: World) -> None:
    await create_route(world)
    await world.start()
    await world.ask_durably(world.document(33, 1, routers=(GATEWAY,)))
    await world.until_applied(1)
    await world.user.delete(ROLLOUTS, "shop", "web")
    async with asyncio.timeout(WAIT_SECONDS):
        while weights_of(await world.find(HTTP_ROUTES)) != [0, 100]:
            await asyncio.sleep(0.002)
    route = await world.find(HTTP_ROUTES)
    assert route is not None
    assert not route["metadata"].get("annotations")
    assert not route["metadata"].get("labels")


@pytest.mark.parametrize("error", [Forbidden("no"), Rejected("denied by a webhook")])
async def test_a_cleaning_that_is_refused_is_tried_again_with_pauses(
    world: World, error: RolloutError
) -> None:
    await create_route(world)
    await create_route(world, "api")
    both = RouterConfig(
        kind="plugin",
        plugin="argoproj-labs/gatewayAPI",
        config=json.dumps({"httpRoutes": [{"name": "web"}, {"name": "api"}]}),
    )
    await world.start()
    await world.ask_durably(world.document(33, 1, routers=(both,)))
    await world.until_applied(1)
    is_refused = True

    def refuse(request: Request) -> None:
        is_ours = request.identity == "traffic-router" and request.verb == "patch"
        if is_refused and is_ours and request.name == "web":
            raise error

    world.cluster.intercept = refuse
    before = len(world.writes())
    await world.user.delete(ROLLOUTS, "shop", "web")
    await until_cleaned(world, "api")
    await asyncio.sleep(0.2)
    assert 1 < len(world.writes()) - before < 20
    is_refused = False
    await until_cleaned(world, "web")


async def until_cleaned(world: World, name: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while weights_of(await world.find(HTTP_ROUTES, name)) != [0, 100]:
            await asyncio.sleep(0.002)


async def test_an_error_is_no_absence(world: World) -> None:
    await create_route(world)
    await world.start()
    await world.ask_durably(world.document(33, 1, routers=(GATEWAY,)))
    await world.until_applied(1)
    asked = 0

    def fail(request: Request) -> None:
        nonlocal asked
        if request.identity == "traffic-router" and request.resource == "rollouts":
            asked += request.verb == "get"
            if request.verb == "get" and asked < 3:
                raise Unavailable("the API server is away")

    world.cluster.intercept = fail
    before = len(world.writes())
    await world.user.delete(ROLLOUTS, "shop", "web")
    await world.until(lambda: asked == 2)
    assert len(world.writes()) == before
    await world.until(lambda: len(world.writes()) > before)


async def test_a_rollout_that_is_made_anew_inherits_no_weight(world: World) -> None:
    await create_route(world)
    await world.start()
    await world.ask_durably(world.document(33, 1, routers=(GATEWAY,)))
    await world.until_applied(1)
    await world.kill()
    dead = world.uid
    await world.user.delete(ROLLOUTS, "shop", "web")
    await world.create_rollout()
    await world.start("router-2")
    async with asyncio.timeout(WAIT_SECONDS):
        while (await world.find(HTTP_ROUTES) or {})["metadata"].get("annotations"):
            await asyncio.sleep(0.002)
    route = await world.find(HTTP_ROUTES)
    assert route is not None
    assert read_fence(route, dead) is None
    assert weights_of(route) == [0, 100]


async def test_a_foreign_annotation_is_kept_by_the_conditional_patch(world: World) -> None:
    await create_route(world, annotations={"team": "a"})
    await world.start()
    await world.ask_durably(world.document(10, 1, routers=(GATEWAY,)))
    await world.until_applied(1)
    patch = JsonPatch([{"op": "replace", "path": "/metadata/annotations/team", "value": "b"}])
    await world.user.patch(HTTP_ROUTES, "shop", "web", patch)
    await world.ask_durably(world.document(0, 2, routers=(GATEWAY,)))
    await world.until_applied(2)
    route = await world.find(HTTP_ROUTES)
    assert route is not None
    assert route["metadata"]["annotations"]["team"] == "b"


async def test_a_kind_that_is_not_served_is_told_and_the_rest_goes_on() -> None:
    base = MemoryClusterSettings()
    served = {group: each for group, each in base.served.items() if group != "split.smi-spec.io"}
    world = World(replace(base, served=served))
    await world.create_rollout()
    await create_route(world)
    await world.start()
    try:
        await world.ask_durably(world.document(10, 1))
        await world.until(lambda: world.facts(RouteRefused))
        message = "the API server does not serve trafficsplits.split.smi-spec.io"
        assert world.facts(RouteRefused)[0].message == message
        await world.ask_durably(world.document(10, 2, routers=(GATEWAY,)))
        await world.until_applied(2)
    finally:
        await world.close()


async def test_the_flag_wins_over_the_preferred_version(world: World) -> None:
    world.settings = world.settings.model_copy(update={"traffic_split_api_version": "v1alpha1"})
    await world.start()
    await world.ask_durably(world.document(10, 1))
    await world.until_applied(1)
    await world.until_weights("10", "90")


async def test_rollouts_of_another_instance_are_left_alone(world: World) -> None:
    await world.user.patch(
        ROLLOUTS,
        "shop",
        "web",
        MergePatch(
            {"metadata": {"labels": {"argo-rollouts.argoproj.io/controller-instance-id": "x"}}}
        ),
    )
    await world.start()
    world.ask_by_bus(world.document(10, 1))
    await world.until(
        lambda: any(
            request.verb == "get" and request.resource == "rollouts"
            for request in world.cluster.requests
        )
    )
    assert world.writes() == []


async def test_two_rollouts_that_want_different_shares_of_one_service_fight_with_pauses(
    world: World,
) -> None:
    names = ("web-canary", "api-canary", "web-stable")
    refs = [{"name": name, "port": 80, "weight": 0} for name in names]
    spec = {"parentRefs": [{"name": "web"}], "rules": [{"backendRefs": refs}]}
    await world.user.create(
        HTTP_ROUTES, {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}
    )
    await world.start()
    first = world.document(10, 1, routers=(GATEWAY,))
    await world.ask_durably(first)
    await world.until_applied(1)
    await world.acknowledge(first)
    before = len(world.writes())
    manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {}}
    created = await world.user.create(
        ROLLOUTS, {**manifest, "metadata": {"name": "api", "namespace": "shop"}}
    )
    services = Services(
        canary="api-canary",
        stable="web-stable",
        canary_role="api-canary",
        stable_role="web-stable",
    )
    second = world.document(
        20,
        1,
        routers=(GATEWAY,),
        rollout="api",
        uid=created["metadata"]["uid"],
        services=services,
    )
    route = second.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    status = MergePatch({"status": {"headrace": {"epoch": 1, "route": route}}})
    await world.user.patch(ROLLOUTS, "shop", "api", status, subresource="status")
    await world.until(lambda: len(world.writes()) > before + 2)
    await asyncio.sleep(0.5)
    assert len(world.writes()) - before < 10
