"""The three services on memory ports, with Experiments, a Rollout and a metrics store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from memory_ports import parts_of, ports_of, serving

from analysis_runner.core.samples import Samples
from analysis_runner.providers.provider import InstantProvider, Provider, RunContext
from analysis_runner.runner import AnalysisRunner
from analysis_runner.settings import RunnerSettings
from headrace.errors import NotFound
from headrace.expression.values import floats
from headrace.kubernetes.resources import (
    ANALYSIS_TEMPLATES,
    EVENTS,
    EXPERIMENTS,
    PODS,
    REPLICA_SETS,
    ROLLOUTS,
    SERVICES,
    TRAFFIC_SPLITS,
    Manifest,
    Resource,
)
from headrace.model.analysis import Metric
from headrace.runtime.bus_memory import MemoryBroker
from headrace.runtime.clock import LoopClock
from headrace.runtime.cluster import MergePatch
from headrace.runtime.cluster_memory import (
    MemoryCluster,
    MemoryClusterSettings,
    Request,
)
from headrace.runtime.component import Ports
from headrace.runtime.metric_catalog import ServiceName
from headrace.runtime.process import Component
from headrace.runtime.service import Service
from rollout_controller.controller import RolloutController
from rollout_controller.settings import ControllerSettings
from traffic_router.router import TrafficRouter
from traffic_router.settings import RouterSettings

NAMES: tuple[ServiceName, ...] = ("rollout-controller", "traffic-router", "analysis-runner")
SPLITS = TRAFFIC_SPLITS.at_version("v1alpha4")
HASH = "rollouts-pod-template-hash"
WAIT_SECONDS = 120.0


class Ratios(InstantProvider):
    """A metrics store that says for each query what the test wants."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def address(self, metric: Metric) -> str:
        return "ratios"

    def metadata(self, metric: Metric) -> Mapping[str, str]:
        return {}

    async def run(self, metric: Metric, context: RunContext) -> Samples:
        assert metric.provider.prometheus is not None
        value = self.values.get(metric.provider.prometheus.query, 1.0)
        return Samples(floats([value]), f"[{value}]")


class World:
    """Three services on one memory cluster, and a person."""

    def __init__(self) -> None:
        self.clock = LoopClock()
        settings = MemoryClusterSettings(pod_ready_seconds=1.0, pod_termination_seconds=1.0)
        self.cluster = MemoryCluster(self.clock, settings)
        self.person = self.cluster.client("person")
        self.broker = MemoryBroker()
        self.ratios = Ratios()

    def services(self) -> list[Service]:
        return [self._service(name) for name in NAMES]

    def _service(self, name: ServiceName) -> Service:
        ports = ports_of(name, self.cluster, self.broker, self.clock)
        return Service(name, parts=parts_of(ports, self._component(name, ports)))

    def _component(self, name: ServiceName, ports: Ports) -> Component:
        match name:
            case "rollout-controller":
                return RolloutController(ports, ControllerSettings(bus="memory", identity="x"))
            case "traffic-router":
                return TrafficRouter(ports, RouterSettings(bus="memory", identity="x"))
            case _:
                providers: dict[str, Provider] = {"prometheus": self.ratios}
                settings = RunnerSettings(bus="memory", identity="x")
                return AnalysisRunner(ports, settings, providers)

    # What the tests look at

    async def find(self, resource: Resource, name: str) -> Manifest | None:
        try:
            return await self.person.get(resource, "default", name)
        except NotFound:
            return None

    async def status(self, name: str = "exp") -> dict[str, Any]:
        found = await self.person.get(EXPERIMENTS, "default", name)
        return dict(found.get("status") or {})

    async def template(self, template: str = "a", name: str = "exp") -> dict[str, Any]:
        status = await self.status(name)
        return next((t for t in status.get("templateStatuses") or () if t["name"] == template), {})

    async def size(self, name: str) -> int:
        replica_set = await self.person.get(REPLICA_SETS, "default", name)
        return int(replica_set["spec"]["replicas"])

    async def hash(self, name: str) -> str:
        replica_set = await self.person.get(REPLICA_SETS, "default", name)
        return str(replica_set["metadata"]["labels"][HASH])

    async def kill_pods(self, app: str) -> None:
        """Delete every pod with a label."""
        for pod in (await self.person.list(PODS)).items:
            if pod["metadata"]["labels"].get("app") == app:
                await self.person.delete(PODS, "default", pod["metadata"]["name"])

    async def events(self, name: str = "exp") -> list[tuple[str, str, str]]:
        found = await self.person.list(EVENTS)
        ours = [each for each in found.items if each["involvedObject"]["name"] == name]
        ours.sort(key=lambda each: int(each["metadata"]["name"].rpartition(".")[2], 16))
        return [(each["type"], each["reason"], each["message"]) for each in ours]

    async def until(self, what: str, is_so: Callable[[], Any]) -> None:
        deadline = self.clock.monotonic() + WAIT_SECONDS
        while not await is_so():
            assert self.clock.monotonic() < deadline, f"{what}: {await self._all_statuses()}"
            await asyncio.sleep(0.1)

    async def until_phase(self, phase: str, name: str = "exp") -> None:
        async def is_there() -> bool:
            return (await self.status(name)).get("phase") == phase

        await self.until(f"{name} is {phase}", is_there)

    async def _all_statuses(self) -> list[Any]:
        return [each.get("status") for each in (await self.person.list(EXPERIMENTS)).items]

    # What a person does

    async def create(self, spec: Mapping[str, Any], name: str = "exp") -> None:
        await self.person.create(EXPERIMENTS, experiment(spec, name))

    async def patch(self, body: Mapping[str, Any], name: str = "exp") -> None:
        await self.person.patch(EXPERIMENTS, "default", name, MergePatch(body))

    async def add_template(self, name: str, **metric: Any) -> None:
        await self.person.create(ANALYSIS_TEMPLATES, analysis_template(name, **metric))

    def writes(self, since: int) -> list[Request]:
        """Return what the services wrote since so many requests, Leases apart."""
        return [
            request
            for request in [*self.cluster.requests][since:]
            if request.identity in NAMES
            and request.verb in ("create", "patch", "delete", "replace")
            and request.resource != "leases"
        ]


@asynccontextmanager
async def running() -> AsyncIterator[World]:
    world = World()
    async with serving(world.cluster, world.services()):
        yield world


def template(name: str = "a", *, port: bool = False, **fields: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "app", "image": f"app:{name}"}
    if port:
        container["ports"] = [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    return {
        "name": name,
        "replicas": 2,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        **fields,
    }


def experiment(spec: Mapping[str, Any], name: str = "exp") -> Manifest:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": dict(spec),
    }


def analysis_template(name: str, **metric: Any) -> Manifest:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "args": [{"name": "hash", "value": "none"}],
            "metrics": [
                {
                    "name": "ratio",
                    "successCondition": "result[0] >= 0.95",
                    "provider": {"prometheus": {"address": "http://p", "query": name}},
                    **metric,
                }
            ],
        },
    }


def analysis(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "templateName": name, **fields}


def reasons(events: Iterable[tuple[str, str, str]]) -> list[str]:
    return [reason for _, reason, _ in events]


def rollout(*steps: Mapping[str, Any], **strategy: Any) -> Manifest:
    container = {"name": "app", "image": "app:v1", "ports": [{"containerPort": 8080}]}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "app", "namespace": "default", "labels": {"team": "a"}},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "app"}},
            "template": {
                "metadata": {"labels": {"app": "app"}},
                "spec": {"containers": [container]},
            },
            "strategy": {"canary": {"steps": list(steps), **strategy}},
        },
    }


ROUTED: dict[str, Any] = {
    "canaryService": "canary",
    "stableService": "stable",
    "trafficRouting": {"smi": {"rootService": "root", "trafficSplitName": "split"}},
}


def experiment_step(*templates: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"experiment": {"templates": list(templates), "scaleDownDelaySeconds": 0, **fields}}


def part(name: str, ref: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "specRef": ref, "replicas": 1, **fields}


def current_of(status: Mapping[str, Any]) -> str:
    return str(status.get("canary", {}).get("currentExperiment", ""))


class Canary:
    """A Rollout `app` in a world, as a person sees it."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def deploy(self, manifest: Manifest) -> None:
        for name in ("canary", "stable", "root"):
            metadata = {"name": name, "namespace": "default"}
            spec = {"selector": {"app": "app"}, "ports": [{"port": 80}]}
            service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
            await self.world.person.create(SERVICES, service)
        await self.world.person.create(ROLLOUTS, manifest)
        await self.until_phase("Healthy")

    async def release(self, image: str) -> None:
        rollout = await self.world.person.get(ROLLOUTS, "default", "app")
        container = {**rollout["spec"]["template"]["spec"]["containers"][0], "image": image}
        body = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await self.world.person.patch(ROLLOUTS, "default", "app", MergePatch(body))

    async def patch_status(self, status: Mapping[str, Any]) -> None:
        body = MergePatch({"status": status})
        await self.world.person.patch(ROLLOUTS, "default", "app", body, subresource="status")

    async def status(self) -> dict[str, Any]:
        found = await self.world.person.get(ROLLOUTS, "default", "app")
        return dict(found.get("status") or {})

    async def until(self, what: str, is_so: Callable[[dict[str, Any]], Any]) -> None:
        async def holds() -> bool:
            return bool(is_so(await self.status()))

        await self.world.until(f"{what}: {await self.status()}", holds)

    async def until_phase(self, phase: str) -> None:
        await self.until(phase, lambda status: status.get("phase") == phase)

    async def until_experiment(self, name: str, phase: str) -> None:
        async def is_there() -> bool:
            found = await self.world.find(EXPERIMENTS, name)
            return found is not None and (found.get("status") or {}).get("phase") == phase

        await self.world.until(f"{name} is {phase}", is_there)

    async def experiment(self) -> str:
        """Return the name of the current Experiment, as soon as there is one."""
        name = "status.canary.currentExperiment"
        await self.until(name, current_of)
        return current_of(await self.status())

    async def split(self) -> dict[str, int]:
        found = await self.world.person.get(SPLITS, "default", "split")
        return {each["service"]: each["weight"] for each in found["spec"]["backends"]}

    async def is_split(self, **weights: int) -> None:
        wanted = {name.replace("_", "-"): weight for name, weight in weights.items()}

        async def holds() -> bool:
            return await self.split() == wanted

        await self.world.until(f"split {wanted}: {await self.split()}", holds)
