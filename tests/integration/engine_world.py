"""One rollout-controller on a memory cluster in virtual time, with a router that obeys or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headrace.events.envelope import Event
from headrace.events.topics import Topic
from headrace.kubernetes.resources import (
    ANALYSIS_RUNS,
    ANALYSIS_TEMPLATES,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    Manifest,
)
from headrace.routes import ApiVersions
from headrace.runtime.bus_memory import MemoryBroker, MemoryBus
from headrace.runtime.clock import VirtualClock
from headrace.runtime.cluster import EVERYTHING, MergePatch, Selection
from headrace.runtime.cluster_memory import MemoryCluster, MemoryClusterSettings
from headrace.runtime.guard import Caches as GuardCaches
from headrace.runtime.guard import GuardedCluster
from headrace.runtime.reconciler import CoreShell, Reconciler
from rollout_controller.act import Actor
from rollout_controller.caches import Caches, Facts
from rollout_controller.core import labels
from rollout_controller.core.decide import decide
from rollout_controller.core.frozen import freeze
from rollout_controller.core.invariants import check
from rollout_controller.core.observed import Acknowledgement, Observed, Settings
from rollout_controller.core.plan import Plan, foresee
from rollout_controller.decoded import Decoded
from rollout_controller.gather import Gatherer
from rollout_controller.voice import Voice

STEPS: list[dict[str, Any]] = [
    {"setWeight": 10},
    {"setCanaryScale": {"weight": 25}},
    {"pause": {}},
    {"setWeight": 33},
    {"setCanaryScale": {"weight": 50}},
    {"pause": {}},
]


class SilentBus(MemoryBus):
    """A bus that keeps what is published, and says it to nobody."""

    def __init__(self) -> None:
        super().__init__(MemoryBroker(), "rollout-controller")
        self.events: list[Event] = []

    @property
    def is_up(self) -> bool:
        return True

    def publish(
        self,
        topic: Topic,
        event: Event,
        *,
        is_request: bool = False,
        on_delivered: Callable[[Event], None] | None = None,
    ) -> bool:
        self.events.append(event)
        return True


class ListRecorder:
    """Keeps Kubernetes Events in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    async def record(
        self, involved: Manifest, reason: str, message: str, type: str = "Normal"
    ) -> None:
        self.events.append((str(reason), message))

    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.events]


class SilentMetrics:
    """Counts nothing."""

    def observe(self, name: str, value: float, *labels: str) -> None:
        pass


class World:
    """One controller, one Rollout, virtual time."""

    def __init__(
        self, spec: dict[str, Any], check: Callable[[Observed, Plan], None] = check
    ) -> None:
        self.clock = VirtualClock()
        self.cluster = MemoryCluster(self.clock, MemoryClusterSettings(pod_ready_seconds=1.0))
        self.user = self.cluster.client("user")
        self.caches, self.facts = Caches(), Facts()
        self.bus, self.recorder = SilentBus(), ListRecorder()
        self.router_obeys = True
        client = self.cluster.client("rollout-controller")
        stores = {
            ROLLOUTS: self.caches.rollouts,
            REPLICA_SETS: self.caches.replica_sets,
            SERVICES: self.caches.services,
            ANALYSIS_RUNS: self.caches.runs,
            ANALYSIS_TEMPLATES: self.caches.templates,
            PODS: self.caches.pods,
            DEPLOYMENTS: self.caches.workloads[DEPLOYMENTS],
        }
        self.stores = stores
        guard = GuardedCluster(client, lambda: True, GuardCaches(stores))
        settings = Settings(cluster_uid="cluster")
        decoded = Decoded()
        sources = (self.caches, self.facts, decoded)
        gatherer = Gatherer(sources, client, settings, ApiVersions, lambda: True)
        voice = Voice(self.bus, Topic("steps"), self.recorder, self.facts, SilentMetrics())
        actor = Actor(lambda key: guard, (self.facts, decoded), voice)
        shell = CoreShell(gatherer, decide, check, actor, freeze, foresee)
        self.reconciler = Reconciler(shell, self.clock, lambda key: True)
        self.rollout = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": "app", "namespace": "default"},
            "spec": spec,
        }

    async def create(self) -> None:
        for name in ("active", "preview"):
            service = {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"selector": {"app": "app"}},
            }
            await self.user.create(SERVICES, service)
        await self.user.create(ROLLOUTS, self.rollout)

    async def sync(self) -> None:
        client = self.cluster.client("reader")
        for resource, store in self.stores.items():
            ours = Selection(labels=labels.HASH) if resource == REPLICA_SETS else EVERYTHING
            store.replace(await client.list(resource, ours))

    async def settle(self, seconds: float = 5.0) -> None:
        """Let everything happen that happens within some seconds, in quarters of one."""
        for _ in range(int(seconds * 4)):
            self.cluster.step()
            await self.sync()
            for _ in range(6):
                outcome = await self.reconciler.process("default/app")
                assert not outcome.is_error, outcome.message
                self.cluster.step()
                await self.sync()
                if not await self.route():
                    break
            self.clock.advance(0.25)

    async def route(self) -> bool:
        """Acknowledge the newest route; return whether there was one to be acknowledged."""
        document = (await self.status()).get("headrace", {}).get("route")
        if not document or not self.router_obeys:
            return False
        uid = document["uid"]
        known = self.facts.acknowledgements.get(uid)
        if known is not None and known.epoch == document["epoch"]:
            return False
        self.facts.acknowledge(uid, Acknowledgement(document["epoch"]))
        return True

    async def get(self) -> Manifest:
        return await self.user.get(ROLLOUTS, "default", "app")

    async def status(self) -> dict[str, Any]:
        return dict((await self.get()).get("status") or {})

    async def patch_status(self, status: dict[str, Any]) -> None:
        body = MergePatch({"status": status})
        await self.user.patch(ROLLOUTS, "default", "app", body, subresource="status")

    async def set_image(self, image: str) -> None:
        rollout = await self.get()
        template = rollout["spec"]["template"]
        container = {**template["spec"]["containers"][0], "image": image}
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await self.user.patch(ROLLOUTS, "default", "app", MergePatch(body))

    async def weight(self) -> int:
        route = (await self.status())["headrace"]["route"]
        return int(route["weights"]["canary"])

    async def selected(self, service: str) -> str:
        manifest = await self.user.get(SERVICES, "default", service)
        return str(manifest["spec"]["selector"].get("rollouts-pod-template-hash", ""))

    async def replicas(self) -> dict[str, int]:
        listing = await self.user.list(REPLICA_SETS)
        return {
            rs["metadata"]["annotations"]["rollout.argoproj.io/revision"]: rs["spec"]["replicas"]
            for rs in listing.items
        }


def canary(**strategy: Any) -> dict[str, Any]:
    return {
        "replicas": 4,
        "selector": {"matchLabels": {"app": "app"}},
        "template": {
            "metadata": {"labels": {"app": "app"}},
            "spec": {"containers": [{"name": "app", "image": "app:v1"}]},
        },
        "strategy": {"canary": strategy},
    }


def routed(**strategy: Any) -> dict[str, Any]:
    return canary(
        **{
            "stableService": "active",
            "canaryService": "preview",
            "trafficRouting": {"smi": {"rootService": "root", "trafficSplitName": "split"}},
            "steps": STEPS,
            **strategy,
        }
    )


async def deployed(spec: dict[str, Any]) -> World:
    world = World(spec)
    await world.create()
    await world.settle()
    return world
